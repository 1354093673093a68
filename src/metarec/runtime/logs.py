"""Logs for the app: one line an event, plain for a user or JSON for a machine. Only the app calls
it.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """A record as one JSON object: `time` (ISO, UTC), `level`, `logger`, `message`, and whatever
    `extra` carried.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        from datetime import UTC, datetime

        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def setup_logs(level: str = "info", *, as_json: bool = False, stream: TextIO | None = None) -> None:
    """Send metarec's log records, and warnings of its server, to `stream` (stderr unless given),
    replacing an earlier set-up.

    Raises:
        ValueError: if `level` is not debug, info, warning or error.
    """
    levels = {
        "debug": logging.DEBUG,
        "info": logging.INFO,
        "warning": logging.WARNING,
        "error": logging.ERROR,
    }
    if level not in levels:
        raise ValueError(f"log level must be one of {', '.join(levels)}, got {level!r}")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        JsonLines()
        if as_json
        else logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
    )
    for name, least in (("metarec", levels[level]), ("uvicorn", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(least)
        logger.propagate = False


class LoggedProgress:
    """Progress as log lines, for jobs that nobody watches: a line when a stage begins, and one for
    each quarter of it that took more than some seconds.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds, self._told = seconds, (0.0, 0)
        self._stage = ""

    def __call__(self, stage: str, done: float, note: str = "") -> None:
        """Log what is new."""
        now, quarter = time.monotonic(), int(min(max(done, 0.0), 1.0) * 4)
        is_new = stage != self._stage
        if not is_new and (quarter <= self._told[1] or now - self._told[0] < self._seconds):
            return
        self._stage, self._told = stage, (now, quarter)
        told = {"stage": stage, "done": round(done, 2), **({"note": note} if note else {})}
        logging.getLogger("metarec.progress").info("progress", extra=told)
