"""Logging for the app: one line per event, plain text or JSON. Only the app calls it."""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import TextIO

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object: `time` (ISO, UTC), `level`, `logger`, `message`, and the
    fields of `extra`.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line."""
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
    """Send metarec's log records, and warnings of its HTTP server, to `stream` (stderr unless
    given), replacing an earlier setup.

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
    """Progress as log lines, for background jobs: a line when a stage begins, and at most one per
    quarter of it, `seconds` apart.
    """

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds, self._told = seconds, (0.0, 0)
        self._stage = ""

    def __call__(self, stage: str, done: float, note: str = "") -> None:
        """Log the progress if it is due."""
        now, quarter = time.monotonic(), int(min(max(done, 0.0), 1.0) * 4)
        is_new = stage != self._stage
        if not is_new and (quarter <= self._told[1] or now - self._told[0] < self._seconds):
            return
        self._stage, self._told = stage, (now, quarter)
        record = {"stage": stage, "done": round(done, 2), **({"note": note} if note else {})}
        logging.getLogger("metarec.progress").info("progress", extra=record)
