"""Kill a service again and again under load and count what was lost.

Every kill is a SIGKILL. An event counts as acknowledged once HTTP 200 came back.
"""

from __future__ import annotations

import itertools
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from journeys.running import Running, Senders
from metarec.feedback import open_store

STARTED_ANEW = ("everything", "supervisor")


@dataclass
class Outcome:
    """What a series of kills did."""

    kills: int
    acknowledged: int
    lost: int
    doubled: int
    unsent: int
    """Rows that nobody sent."""
    back: dict[str, list[float]]
    """What was killed -> seconds from each such kill to the next acknowledged event."""
    whole: list[float]
    """Seconds from each kill of a worker until all of them answered again."""


def kill_again_and_again(
    model: Path,
    store_url: str,
    kills: int,
    *,
    workers: int = 2,
    pause: float = 0.5,
    seed: int = 0,
    told: Callable[[str], None] = lambda _line: None,
) -> Outcome:
    """Kill in turn one worker, all workers (the supervisor starts others), everything, and the
    supervisor (whose workers must end by themselves); after the last two it is started anew.
    """
    rng, whole = random.Random(seed), []
    back = {"one worker": [], "all workers": [], "everything": [], "supervisor": []}
    service = Running(model, store_url, workers)
    service.start(wait=300)
    try:
        with Senders(service) as senders:
            senders.wait_for_answer(time.monotonic())
            for number, what in zip(range(1, kills + 1), itertools.cycle(back), strict=False):
                service.wait_for_all_workers(most=300)
                time.sleep(pause * rng.uniform(0.5, 1.5))
                if what == "everything":
                    service.kill_all()
                elif what == "supervisor":
                    service.kill_supervisor()
                else:
                    for worker in (
                        service.worker_ids()
                        if what == "all workers"
                        else [rng.choice(service.worker_ids())]
                    ):
                        service.kill(worker)
                killed = time.monotonic()
                if what in STARTED_ANEW:  # events are taken before texts can be read
                    service.start(wait=300, until="/healthz")
                back[what].append(senders.wait_for_answer(killed, most=300))
                told(
                    f"kill {number}, {what}: back after {back[what][-1]:.2f} s, "
                    f"{len(senders.told.acknowledged):,} events acknowledged"
                )
                if what not in STARTED_ANEW:
                    service.wait_for_all_workers(most=300)
                    whole.append(time.monotonic() - killed)
                    told(f"    all workers answer after {whole[-1]:.2f} s")
    finally:
        service.stop()
    store = open_store(store_url)
    held = Counter(store.as_frame()["event_id"].to_list())
    store.close()
    sent = senders.told
    return Outcome(
        kills=kills,
        acknowledged=len(sent.acknowledged),
        lost=len(set(sent.acknowledged) - set(held)),
        doubled=sum(count > 1 for count in held.values()),
        unsent=len(set(held) - set(sent.sent)),
        back=back,
        whole=whole,
    )
