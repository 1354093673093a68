"""Work that takes minutes, as an operator sees it: retraining, imports and slates for all users,
each a small file beside the model, `MODEL/jobs/ID.json`, whoever started it.

A file says what is done, how far it is and what was logged last; it holds no user. A lock beside it
is held while the work runs, so that work whose process was killed is told from work that goes on.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from metarec.data.schema import BadInput
from metarec.runtime.folders import take_lock, write_text

RETRAINING, IMPORT, BATCH = "retraining", "import", "batch"
RUNNING, DONE, SKIPPED, FAILED, LOST = "running", "done", "skipped", "failed", "lost"
"""States. Skipped: there was nothing to do, or it was refused. Lost: its process has gone."""
KEPT, LINES = 20, 60
"""Jobs that stay, and the last lines of what each logged."""
_EVERY = 0.5
"""Seconds between two writes of a file, at least."""
_FOLDER = "jobs"
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One piece of work."""

    job_id: str
    kind: str
    """`RETRAINING`, `IMPORT` or `BATCH`."""
    state: str
    started: float
    """Seconds since 1970."""
    ended: float | None = None
    stage: str = ""
    """What is being done."""
    done: float = 0.0
    """Share of the stage that is done, in [0, 1]."""
    outcome: str = ""
    """What came of it, in a sentence."""
    lines: tuple[str, ...] = ()
    """The last lines of its log."""


class JobRecord(logging.Handler):
    """Writes down how far a job is, from the log lines of its process and from what it is told."""

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(logging.INFO)
        self._path = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:6]}.json"
        self._facts: dict[str, Any] = {"kind": kind, "state": RUNNING, "started": time.time()}
        self._lines: deque[str] = deque(maxlen=LINES)
        self._written = 0.0
        self.outcome = ""
        """What came of it, in a sentence; set before the end."""

    def emit(self, record: logging.LogRecord) -> None:
        """Take over a line of the log."""
        told = {name: one for name, one in record.__dict__.items() if name not in _STANDARD}
        if record.name == "metarec.progress":
            self._facts |= {"stage": str(told.get("stage", "")), "done": told.get("done", 0.0)}
        facts = " ".join(f"{name}={one}" for name, one in told.items())
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        self._lines.append(f"{at} {record.getMessage()} {facts}".rstrip()[:400])
        self._write(at_once=False)

    def __call__(self, stage: str, done: float, note: str = "") -> None:
        """Take over progress, as `metarec.runtime.progress` tells it."""
        if stage != self._facts.get("stage"):
            self._lines.append(f"{time.strftime('%H:%M:%S')} {stage} {note}".rstrip())
        self._facts |= {"stage": stage, "done": round(min(max(done, 0.0), 1.0), 3)}
        self._write(at_once=False)

    def end(self, state: str, outcome: str) -> None:
        """Write down how it ended."""
        done = {"done": 1.0} if state == DONE else {}
        self._facts |= {"state": state, "outcome": outcome, "ended": time.time(), **done}
        self._write(at_once=True)

    def _write(self, *, at_once: bool) -> None:
        if not at_once and time.monotonic() - self._written < _EVERY:
            return
        self._written = time.monotonic()
        facts = {**self._facts, "lines": list(self._lines)}
        with suppress(OSError):  # a full disk stops the work itself, if it must
            write_text(self._path, json.dumps(facts, ensure_ascii=False) + "\n")

    @contextmanager
    def running(self) -> Iterator[None]:
        """Hold the lock that says the work goes on, and listen to the log; where the folder cannot
        be written the work goes on untold.
        """
        lock, handle = self._path.with_suffix(".lock"), None
        logger = logging.getLogger("metarec")
        with suppress(OSError):
            self._path.parent.mkdir(exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT, 0o644)
            take_lock(handle, wait=True)
        try:
            self._write(at_once=True)
            logger.addHandler(self)
            yield
        finally:
            logger.removeHandler(self)
            if handle is not None:
                os.close(handle)
                lock.unlink(missing_ok=True)


@contextmanager
def recorded(folder: Path, kind: str) -> Iterator[JobRecord]:
    """Write down what happens within, beside the model in `folder`.

    A caller's mistake (`BadInput`), such as nothing new to learn from, is told as skipped, anything
    else that is raised as failed.
    """
    _prune(folder / _FOLDER)
    record = JobRecord(folder / _FOLDER, kind)
    with record.running():
        try:
            yield record
        except BadInput as error:
            record.end(SKIPPED, _one_line(error))
            raise
        except BaseException as error:
            record.end(FAILED, _one_line(error) or type(error).__name__)
            raise
        record.end(DONE, record.outcome)


def jobs_of(folder: Path) -> list[Job]:
    """The latest jobs of a model folder, the newest first; what cannot be read is left out."""
    found = (_read(path) for path in _files(folder / _FOLDER)[:KEPT])
    return [job for job in found if job is not None]


def _read(path: Path) -> Job | None:
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        job = Job(job_id=path.stem, **{**facts, "lines": tuple(map(str, facts["lines"]))})
        float(job.started), float(job.ended or 0.0), float(job.done)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    if job.state != RUNNING or _is_held(path.with_suffix(".lock")):
        return job
    return Job(**{**asdict(job), "state": LOST, "outcome": "its process has gone"})


def _is_held(lock: Path) -> bool:
    try:
        handle = os.open(lock, os.O_RDWR)
    except OSError:
        return False
    try:
        return not take_lock(handle, wait=False)
    finally:
        os.close(handle)


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"), key=lambda path: path.name, reverse=True)


def _prune(folder: Path) -> None:
    for path in _files(folder)[KEPT - 1 :]:
        path.unlink(missing_ok=True)
        path.with_suffix(".lock").unlink(missing_ok=True)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400]
