"""What a process of the service does before it serves, and how it is told to stop."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from metarec.app.service.settings import ServiceSettings
from metarec.runtime.device import use_device

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Where one of these is set, its owner has said how many threads a worker may use."""
TURN_SECONDS = 0.0001
"""Python lets a thread that computes keep the interpreter for 5 ms whenever another asks for it. A
slate asks some tens of times, so a batch of events being written would hold it up by a quarter of a
second.
"""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """SIGTERM ends what is inside in order, and the process with exit code 0: uvicorn stops
    gracefully, then raises the signal again, which by default would kill the process before
    anything is put away.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _stop)
    try:
        with suppress(KeyboardInterrupt, _Stopped):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)


class _Stopped(BaseException):
    """SIGTERM came."""


def _stop(_signal: int, _frame: Any) -> None:
    raise _Stopped


def set_up_worker(settings: ServiceSettings) -> None:
    """Make this process one that serves: its device, logs and threads."""
    from metarec.runtime.logs import setup_logs

    use_device(settings.device)
    setup_logs(settings.log_level, as_json=settings.log_json)
    if not any(name in os.environ for name in THREADS):
        one_thread()
    sys.setswitchinterval(TURN_SECONDS)


def one_thread() -> None:
    """Let this process multiply on one thread: over a catalog of thousands of items a second one
    costs more than it saves, and as many workers as there are cores use them all.
    """
    import torch

    # Comes with scikit-learn
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # has no types

    torch.set_num_threads(1)
    threadpool_limits(1)


def check_can_serve(settings: ServiceSettings) -> None:
    """Fail here, once and in words, rather than in every worker: is there a model that can serve,
    does the store open?
    """
    from metarec.feedback import open_store
    from metarec.feedback.registry import Registry
    from metarec.runtime.artifacts import BrokenArtifact, read_rows, read_whole_config

    registry = Registry(settings.model)
    broken: Exception | None = None
    for version in registry.ways_back():
        try:
            read_whole_config(registry.place_of(version))
        except (BrokenArtifact, FileNotFoundError) as error:
            broken = broken or error
        else:
            if settings.shards > 1:  # what it imports is large, and else not needed here
                from metarec.recommendation.shards import check_shards

                check_shards(settings.shards, read_rows(registry.place_of(version))["catalog"])
            open_store(settings.store_url).close()
            return
    assert broken is not None, "there is always the first model to try"
    raise broken
