"""Kill a service again and again under load and count what was lost.

    python tests/journeys/kills.py --kills 50 --store sqlite
    python tests/journeys/kills.py --kills 50 --store postgresql

Every kill is a SIGKILL, in turn of one worker and of all processes together. An event counts as acknowledged once HTTP 200 came back.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from journeys.running import Running, Senders  # noqa: E402

from metarec.feedback import open_store  # noqa: E402


@dataclass
class Outcome:
    """What a series of kills did."""

    kills: int
    acknowledged: int
    lost: int
    doubled: int
    unsent: int
    """Rows that nobody sent."""
    back_after: list[float]
    """Seconds from each kill to the next acknowledged event."""


def kill_again_and_again(model: Path, store_url: str, kills: int, *, workers: int = 2, pause: float = 0.5, seed: int = 0) -> Outcome:
    rng, back = random.Random(seed), []
    service = Running(model, store_url, workers)
    service.start()
    try:
        with Senders(service) as senders:
            senders.wait_for_answer(time.monotonic())
            for _, everything in zip(range(kills), itertools.cycle([False, True]), strict=False):
                time.sleep(pause * rng.uniform(0.5, 1.5))
                if everything:
                    service.kill_all()
                    killed = time.monotonic()
                    service.start()
                else:
                    service.kill(rng.choice(service.worker_ids()))
                    killed = time.monotonic()
                back.append(senders.wait_for_answer(killed))
    finally:
        service.stop()
    store = open_store(store_url)
    held = Counter(store.as_frame()["event_id"].to_list())
    store.close()
    told = senders.told
    return Outcome(kills=kills, acknowledged=len(told.acknowledged), lost=len(set(told.acknowledged) - set(held)),
                   doubled=sum(count > 1 for count in held.values()), unsent=len(set(held) - set(told.sent)), back_after=back)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    from feedback.cluster import private_cluster
    from world import tiny_world

    from metarec import Recommender

    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        Recommender.fit(tiny_world(ratings=True).data, preset="tiny", seed=0).save(model)
        if options.store == "sqlite":
            outcome = kill_again_and_again(model, str(Path(folder) / "events.db"), options.kills)
        else:
            with private_cluster() as cluster:
                outcome = kill_again_and_again(model, cluster.new_database("kills"), options.kills)
    back = sorted(outcome.back_after)
    print(f"{options.store}: {outcome.kills} kills, {outcome.acknowledged:,} events acknowledged, lost {outcome.lost}, doubled {outcome.doubled}, "
          f"never sent {outcome.unsent}; back after {back[len(back) // 2]:.2f} s (median), {back[-1]:.2f} s (most)")


if __name__ == "__main__":
    main()
