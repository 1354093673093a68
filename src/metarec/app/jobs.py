"""Records of jobs that take minutes (retraining, imports, slates for all users) for the operator:
one file each beside the model, `MODEL/jobs/ID.json`, whichever process started it.

A file has the stage, its progress and the last log lines, and no data of users. The process holds a
lock beside the file while the job runs, which tells a running job from one that was killed.
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

from metarec.data.errors import NothingToDo
from metarec.runtime.folders import take_lock, write_text

RETRAINING, IMPORT, BATCH = "retraining", "import", "batch"
RUNNING, DONE, SKIPPED, FAILED, LOST = "running", "done", "skipped", "failed", "lost"
"""States of a job. Skipped: there was nothing to do, or it was refused. Lost: its process ended
without a word.
"""
KEPT, LINES = 20, 60
"""Number of jobs whose files are kept, and of log lines kept for each."""
_EVERY = 0.5
"""Least number of seconds between two writes of a file."""
_FOLDER = "jobs"
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


@dataclass(frozen=True, kw_only=True)
class Job:
    """State of one job."""

    job_id: str
    kind: str
    """`RETRAINING`, `IMPORT` or `BATCH`."""
    state: str
    started: float
    """Seconds since 1970."""
    ended: float | None = None
    stage: str = ""
    """Name of the current stage."""
    done: float = 0.0
    """Progress of the stage, in [0, 1]."""
    outcome: str = ""
    """Result, in a sentence; empty while the job runs."""
    lines: tuple[str, ...] = ()
    """The last lines of its log."""


class JobRecord(logging.Handler):
    """Writes the record of one job, from the log lines of its process and from calls with its
    progress.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        super().__init__(logging.INFO)
        self._path = folder / f"{time.time_ns():020d}-{uuid.uuid4().hex[:6]}.json"
        self._facts: dict[str, Any] = {"kind": kind, "state": RUNNING, "started": time.time()}
        self._lines: deque[str] = deque(maxlen=LINES)
        self._written = 0.0
        self.outcome = ""
        """Result, in a sentence; the job sets it before it ends."""

    def emit(self, record: logging.LogRecord) -> None:
        """Add a log line to the record; one of the logger `metarec.progress` sets the stage too."""
        fields = {name: one for name, one in record.__dict__.items() if name not in _STANDARD}
        if record.name == "metarec.progress":
            self._facts |= {"stage": str(fields.get("stage", "")), "done": fields.get("done", 0.0)}
        facts = " ".join(f"{name}={one}" for name, one in fields.items())
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        self._lines.append(f"{at} {record.getMessage()} {facts}".rstrip()[:400])
        self._write(at_once=False)

    def __call__(self, stage: str, done: float, note: str = "") -> None:
        """Set stage and progress; the signature is that of `metarec.runtime.progress`."""
        if stage != self._facts.get("stage"):
            self._lines.append(f"{time.strftime('%H:%M:%S')} {stage} {note}".rstrip())
        self._facts |= {"stage": stage, "done": round(min(max(done, 0.0), 1.0), 3)}
        self._write(at_once=False)

    def end(self, state: str, outcome: str) -> None:
        """Write the final state and the outcome."""
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
        """Hold the lock of a running job and collect its log lines. Where the folder cannot be
        written, the job runs without a record.
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
    """Record the body of the `with` statement as a job of the model in `folder`.

    `NothingToDo`, such as no new events to learn from, ends the job as skipped, any other exception
    as failed, such as data that are missing; both are raised again.
    """
    _prune(folder / _FOLDER)
    record = JobRecord(folder / _FOLDER, kind)
    with record.running():
        try:
            yield record
        except NothingToDo as error:
            record.end(SKIPPED, _one_line(error))
            raise
        except BaseException as error:
            record.end(FAILED, _one_line(error) or type(error).__name__)
            raise
        record.end(DONE, record.outcome)


def jobs_of(folder: Path) -> list[Job]:
    """Return the latest jobs of a model folder, newest first, without unreadable files."""
    jobs = (_read(path) for path in _files(folder / _FOLDER)[:KEPT])
    return [job for job in jobs if job is not None]


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
