"""Kill a service again and again under load, on SQLite or PostgreSQL, and count what was lost.

    python benchmarks/kills.py --kills 50 --store sqlite
    python benchmarks/kills.py --kills 50 --store postgresql
"""

from __future__ import annotations

import argparse
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
        if options.store == "sqlite":
            report(options.store, kill_again_and_again(model, str(Path(folder) / "events.db"), options.kills, workers=options.workers))
        else:
            with private_cluster() as cluster:
                report(options.store, kill_again_and_again(model, cluster.new_database("kills"), options.kills, workers=options.workers))


def report(store: str, found: Outcome) -> None:
    print(f"{store}: {found.kills} kills under load, {found.acknowledged:,} events acknowledged: "
          f"lost {found.lost}, doubled {found.doubled}, never sent {found.unsent}")
    for what, seconds in (("one worker", found.back_after_one), ("all processes", found.back_after_all)):
        if seconds:
            print(f"  after the kill of {what}: next event acknowledged in {statistics.median(seconds):.2f} s (median), "
                  f"{max(seconds):.2f} s (most)")


if __name__ == "__main__":
    main()
