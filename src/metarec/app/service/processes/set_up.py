"""Set-up of the service's processes before they serve, and their end by SIGTERM."""

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
"""Environment variables by which the user sets the number of threads of a worker; where one is set,
it is left alone.
"""
TURN_SECONDS = 0.0001
"""Interval of Python's switches between threads. By default a computing thread keeps the
interpreter for 5 ms whenever another asks for it. A slate asks some tens of times, so writing a
batch of events would delay it by a quarter of a second.
"""


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM end the body in order, and the process with exit code 0. uvicorn stops gracefully
    and then raises the signal again, which by default would kill the process before anything is
    cleaned up. Does nothing outside of the main thread.
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
    """SIGTERM was received."""


def _stop(_signal: int, _frame: Any) -> None:
    raise _Stopped


def set_up_worker(settings: ServiceSettings) -> None:
    """Set up device, logs and threads of this process, so that it can serve."""
    from metarec.runtime.logs import setup_logs

    use_device(settings.device)
    setup_logs(settings.log_level, as_json=settings.log_json)
    if not any(name in os.environ for name in THREADS):
        one_thread()
    sys.setswitchinterval(TURN_SECONDS)


def one_thread() -> None:
    """Let matrix products of this process run on one thread: over a catalog of thousands of items a
    second thread costs more than it saves, and as many workers as there are cores use all of them.
    """
    import torch

    # Comes with scikit-learn
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # has no types

    torch.set_num_threads(1)
    threadpool_limits(1)


def check_can_serve(settings: ServiceSettings) -> None:
    """Check once that a model can be read and the store opens, before every worker would fail.

    Raises:
        BadInput: if there are more shards than items.
        FileNotFoundError, BrokenArtifact: if no model can be read.
        StoreUnavailable: if the store cannot be opened.
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
            if settings.shards > 1:  # its import is slow, and only needed here
                from metarec.recommendation.shards import check_shards

                check_shards(settings.shards, read_rows(registry.place_of(version))["catalog"])
            open_store(settings.store_url).close()
            return
    assert broken is not None, "there is always the first model to try"
    raise broken
