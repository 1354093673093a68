"""Kill a service again and again under load and count what was lost.

Every kill is a SIGKILL, in turn of one worker and of all processes together. An event counts as acknowledged once HTTP 200 came back.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from journeys.running import Running, Senders
from metarec.feedback import open_store


@dataclass
class Outcome:
    """What a series of kills did."""

    kills: int
    acknowledged: int
    lost: int
    doubled: int
    unsent: int
    """Rows that nobody sent."""
    back_after_one: list[float]
    """Seconds from each kill of one worker to the next acknowledged event."""
    back_after_all: list[float]
    """Seconds from each kill of all processes, starting anew included, to the next acknowledged event."""


def kill_again_and_again(model: Path, store_url: str, kills: int, *, workers: int = 2, pause: float = 0.5, seed: int = 0) -> Outcome:
    rng, back_one, back_all = random.Random(seed), [], []
    service = Running(model, store_url, workers)
    service.start(wait=300)
    try:
        with Senders(service) as senders:
            senders.wait_for_answer(time.monotonic())
            for _, everything in zip(range(kills), itertools.cycle([False, True]), strict=False):
                time.sleep(pause * rng.uniform(0.5, 1.5))
                if everything:
                    service.kill_all()
                    killed = time.monotonic()
                    service.start(wait=300)
                    back_all.append(senders.wait_for_answer(killed, most=300))
                else:
                    service.wait_for_all_workers(most=300)
                    service.kill(rng.choice(service.worker_ids()))
                    back_one.append(senders.wait_for_answer(time.monotonic()))
    finally:
        service.stop()
    store = open_store(store_url)
    held = Counter(store.as_frame()["event_id"].to_list())
    store.close()
    told = senders.told
    return Outcome(kills=kills, acknowledged=len(told.acknowledged), lost=len(set(told.acknowledged) - set(held)),
                   doubled=sum(count > 1 for count in held.values()), unsent=len(set(held) - set(told.sent)), back_after_one=back_one,
                   back_after_all=back_all)
