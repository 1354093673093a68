"""Kill a service again and again under load, on SQLite or PostgreSQL, and count what was lost.

python benchmarks/kills.py --kills 50 --store sqlite
python benchmarks/kills.py --kills 50 --store postgresql
python benchmarks/kills.py --kills 10 --amid     # retraining, promotion, forgetting, migration
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

# The tests' own processes and servers, found once their folder is on the path (hence E402).
from feedback.cluster import private_cluster  # noqa: E402
from journeys.kills import Outcome, kill_again_and_again  # noqa: E402
from journeys.kills_amid import (  # noqa: E402
    kill_forgetting,
    kill_migrations,
    kill_promotions,
    kill_retraining,
)
from world import tiny_world  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--amid", action="store_true", help="Kill jobs instead of the service.")
    options = parser.parse_args()
    from metarec import Recommender

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        Recommender.fit(tiny_world(ratings=True).data, preset="tiny", seed=0).save(model)
        with (
            private_cluster()
            if options.store == "postgresql"
            else contextlib.nullcontext() as cluster
        ):
            url = cluster.new_database("kills") if cluster else str(Path(folder) / "events.db")
            if options.amid:

                def new_url(number: int, cluster=cluster, folder=folder) -> str:
                    if cluster:
                        return cluster.new_database(f"old{number}")
                    return str(Path(folder) / f"old{number}.db")

                report_amid(options.store, model, url, new_url, options.kills)
                return
            report(
                options.store,
                kill_again_and_again(model, url, options.kills, workers=options.workers, told=tell),
            )


def report_amid(
    store: str, model: Path, url: str, new_url: Callable[[int], str], kills: int
) -> None:
    for what, series in {
        "promotions": lambda: kill_promotions(model, kills),
        "migrations": lambda: kill_migrations(new_url, kills),
        "retrainings": lambda: kill_retraining(model, url, kills),
        "forgetting": lambda: kill_forgetting(model, url, kills),
    }.items():
        left = series()
        print(
            f"{store}: {left.kills} kills of {what}, {left.in_midst} at work: "
            f"{len(left.problems)} problems {left.problems[:3] or ''}",
            flush=True,
        )


def tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def report(store: str, found: Outcome) -> None:
    print(
        f"{store}: {found.kills} kills under load, {found.acknowledged:,} events acknowledged: "
        f"lost {found.lost}, doubled {found.doubled}, never sent {found.unsent}"
    )
    rows = [
        (f"next event acknowledged after the kill of {what}", seconds)
        for what, seconds in found.back.items()
    ]
    for what, seconds in [*rows, ("all workers answer again after the kill of some", found.whole)]:
        if seconds:
            print(
                f"  {what}: {statistics.median(seconds):.2f} s (median of {len(seconds)}), "
                f"{max(seconds):.2f} s (most)"
            )


if __name__ == "__main__":
    main()
