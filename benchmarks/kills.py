"""Kill a service again and again under load, on SQLite or PostgreSQL, and count what was lost.

python benchmarks/kills.py --kills 50 --store sqlite
python benchmarks/kills.py --kills 50 --store postgresql
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from feedback.cluster import private_cluster  # noqa: E402
from journeys.kills import Outcome, kill_again_and_again  # noqa: E402
from world import tiny_world  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--workers", type=int, default=2)
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
            report(
                options.store,
                kill_again_and_again(model, url, options.kills, workers=options.workers, told=tell),
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
