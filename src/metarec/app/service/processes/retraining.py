"""Retraining beside a running service: every few hours or on request, in a process of its own."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from metarec.app.retraining.loop import retrain
from metarec.app.service.processes.parent_process import end_with_parent
from metarec.app.service.settings import ServiceSettings
from metarec.data.errors import BadInput, NothingToDo
from metarec.feedback import open_store
from metarec.feedback.events import StoreUnavailable
from metarec.runtime.artifacts import BrokenArtifact

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

log = logging.getLogger("metarec.retrain")


def retrain_periodically(settings: ServiceSettings, stop: threading.Event) -> None:
    """Retrain every `retrain_hours` in a process of its own until `stop` is set. Failures are
    logged, and failed rounds are retried.

    Where nothing was stored since the last round, none is run: the same data would give the same
    model.
    """
    learned_from: dict[str, Any] | None = None
    while not stop.wait(settings.retrain_hours * 3600.0):
        stored = _what_is_stored(settings.store_url)
        if stored == learned_from:
            continue
        job = start_retraining(settings)
        joining = threading.Thread(target=job.join, daemon=True)
        joining.start()
        while joining.is_alive() and not stop.is_set():
            joining.join(0.2)
        joining.join(0.2)
        if joining.is_alive():  # the service stops: a half-trained model is of no use
            job.kill()
        joining.join()
        learned_from = stored if job.exitcode == 0 else None  # failed rounds are retried


def start_retraining(settings: ServiceSettings) -> BaseProcess:
    """Start one round in a process of its own, which ends with this one."""
    import multiprocessing

    place = (settings.model, settings.store_url, settings.data or None)
    job = multiprocessing.get_context("spawn").Process(
        target=partial(_scheduled, keep=settings.keep_versions), args=place
    )
    job.start()
    return job


class LocalRetrainings:
    """Retrainings started by requests to this worker: one at a time, ended when the worker
    stops.
    """

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None

    def start(self) -> bool:
        """Start a round; return False where one of this worker runs already."""
        with self._lock:
            if self._process is not None and self._process.is_alive():
                return False
            self._process = start_retraining(self._settings)
            return True

    def stop(self) -> None:
        """Kill a running round; its half-trained model is of no use."""
        with self._lock:
            if self._process is not None and self._process.is_alive():
                self._process.kill()
                self._process.join()


def _what_is_stored(url: str) -> dict[str, Any] | None:
    """Return what a round depends on: the numbers of events, forgotten and merged users, the
    version of items, and digests of the attributes and friends of users; None while the store is
    unavailable. A round runs where they differ from those of the last one.
    """
    try:
        with closing(open_store(url)) as store:
            rows = store.counts()
            return {
                **{table: rows[table] for table in ("events", "forgotten", "merges")},
                "items": store.items_version(),
                "users": _digest(store.profiles()),
                "friends": _digest(store.friends()),
            }
    except StoreUnavailable as error:
        log.warning("not retrained: the store is away", extra={"reason": str(error)})
        return None


def _digest(frame: pl.DataFrame) -> str:
    digest = hashlib.blake2b(repr(frame.columns).encode())
    for row in frame.iter_rows():
        digest.update(repr(row).encode())
    return digest.hexdigest()


def _scheduled(model: str, store: str, data: str | None, *, keep: int) -> None:
    from metarec.runtime.logs import setup_logs

    end_with_parent()
    if hasattr(os, "nice"):
        os.nice(10)  # answers have priority
    setup_logs(as_json=True)
    try:
        retrain(model, store, data=data, keep=keep)
    except NothingToDo as error:
        log.info("did not retrain", extra={"reason": str(error)})
    # Such as data that are missing, a full disk or an unavailable store: the served model stays.
    except (BadInput, OSError, BrokenArtifact) as error:
        log.error("retraining failed, the model before keeps serving", extra={"reason": str(error)})
        raise SystemExit(1) from error
