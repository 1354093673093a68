"""One writer thread per process, with group commit: all queued writes go into one transaction.

A durable commit costs one disk flush, a few milliseconds, whether it holds one event or a thousand.
So writes queue, and while one transaction flushes, the next one gathers. A write's future is
resolved only after its transaction is on disk.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DatabaseError, DBAPIError, OperationalError, SQLAlchemyError

from metarec.feedback.events import StoreUnavailable

Body = Callable[[Connection, Sequence[Any]], Sequence[Any]]
"""Writes the rows of one or several writes and returns one answer for each write."""

_RETRY_WORDS = (
    "locked",
    "busy",
    "deadlock",
    "serializ",
    "closed",
    "terminat",
    "refused",
    "starting up",
    "shutting down",
    "connection",
    "lock timeout",
)
"""Words of transient failures, which are retried; any other (a full disk, a missing table) is
raised at once.
"""

_LOCK_PAUSE, _AWAY_PAUSE = 0.002, 0.25
"""Seconds between retries: a lock is held for milliseconds, a server is away for seconds."""
NOTHING_STORED = "; nothing of this request was stored"
"""Last words of the message on a store that cannot write; writers of many requests replace them."""


@dataclass(kw_only=True)
class Write:
    """One queued write; adjacent writes with the same body are passed to it together."""

    body: Body
    content: Any
    """Argument of the body."""
    rows: int
    """Number of rows that the write counts in the queue."""
    done: Future[Any] = field(default_factory=Future)
    """Future with the body's answer, set after the commit."""


class _PatienceSpent(StoreUnavailable):
    """The store did not come back in time; retrying the writes of a group one by one would only
    wait again.
    """


class GroupWriter:
    """Takes writes from any thread and commits them in order, in groups."""

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[Connection]],
        *,
        most_rows: int = 5_000,
        most_waiting: int = 20_000,
        patience: float = 20.0,
    ) -> None:
        """Start the writer thread.

        Args:
            transaction: opens a transaction that commits on leaving, or rolls back on an error.
            most_rows: approximate number of rows in one transaction; a write is never split.
            most_waiting: queued rows above which new writes are refused.
            patience: seconds to retry while the store is busy or away.
        """
        self._transaction = transaction
        self._most_rows, self._most_waiting, self._patience = most_rows, most_waiting, patience
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._waiting = 0
        self._jitter = random.Random()
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="metarec-writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Number of rows queued or being written."""
        return self._waiting

    def submit(self, write: Write) -> Future[Any]:
        """Queue a write; its future holds the body's answer once the write is on disk.

        Raises:
            StoreUnavailable: if the queue is full, or the writer was closed.
        """
        with self._lock:
            if self._closed:
                raise StoreUnavailable("the store is closed")
            if self._waiting and self._waiting + write.rows > self._most_waiting:
                raise StoreUnavailable(
                    f"{self._waiting} rows wait to be written, more than the store keeps up with; "
                    f"try again later"
                )
            self._waiting += write.rows
            self._queue.put(write)
        return write.done

    def close(self, timeout: float = 30.0) -> None:
        """Write the queue, then stop the thread."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._queue.put(None)
        self._thread.join(timeout)

    def _work(self) -> None:
        for group in self._groups():
            live = [write for write in group if write.done.set_running_or_notify_cancel()]
            self._commit(live)
            with self._lock:
                self._waiting -= sum(write.rows for write in group)

    def _groups(self) -> Iterator[list[Write]]:
        """Yield the queued writes in groups of about `most_rows` rows, until the writer is
        closed.
        """
        while (write := self._queue.get()) is not None:
            group, rows = [write], write.rows
            while rows < self._most_rows:
                try:
                    following = self._queue.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    yield group
                    return
                group.append(following)
                rows += following.rows
            yield group

    def _commit(self, group: list[Write]) -> None:
        """Write a group; if a group of several writes fails, each is retried alone, so that one bad
        write does not fail the others.
        """
        if not group:
            return
        try:
            answers = self._persist(group)
        except (
            Exception
        ) as error:  # any error goes to the waiting callers, and the thread must survive
            if len(group) > 1 and not isinstance(error, _PatienceSpent):
                for write in group:
                    self._commit([write])
            else:
                for write in group:
                    write.done.set_exception(error)
            return
        for write, answer in zip(group, answers, strict=True):
            write.done.set_result(answer)

    def _persist(self, group: list[Write]) -> list[Any]:
        """Run the transaction, retried on transient failures for at most `patience` seconds."""
        until = time.monotonic() + self._patience
        while True:
            try:
                with self._transaction() as connection:
                    return [
                        answer
                        for body, writes in groupby(group, key=lambda write: write.body)
                        for answer in body(connection, [write.content for write in writes])
                    ]
            except SQLAlchemyError as error:
                if not passes(error):
                    raise explained(error) from error
                if time.monotonic() > until:
                    raise _PatienceSpent(
                        f"the store is busy or away for {self._patience:.0f} seconds "
                        f"({first_line(error)}); "
                        "send the same events again later"
                    ) from error
                # Short, with jitter: frequent polling gets the lock, and two processes do not poll
                # in step.
                time.sleep(
                    self._jitter.uniform(0.5, 1.5)
                    * (_LOCK_PAUSE if _is_lock(error) else _AWAY_PAUSE)
                )


def passes(error: SQLAlchemyError) -> bool:
    """Return whether the failure is transient: a locked file, a deadlock, a server that
    restarts.
    """
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return True
    return isinstance(error, OperationalError) and any(
        word in str(error.orig).lower() for word in _RETRY_WORDS
    )


def _is_lock(error: SQLAlchemyError) -> bool:
    message = str(getattr(error, "orig", "")).lower()
    return "locked" in message or "lock timeout" in message


def explained(error: SQLAlchemyError) -> Exception:
    """Return failures of the store, not of the data sent, as `StoreUnavailable`; others unchanged,
    without the values in their messages.
    """
    if isinstance(error, OperationalError):
        message = first_line(error)
        # SQLite's message on a disk so full that it cannot even begin
        hint = "; is the disk full?" if "disk I/O error" in message else ""
        return StoreUnavailable(
            f"the store could not write ({message}{hint}); nothing of this request was stored"
        )
    if is_damaged(error):
        return StoreUnavailable(f"the store is damaged ({first_line(error)}); restore a backup")
    if (
        isinstance(error, DBAPIError) and error.orig is not None
    ):  # PostgreSQL shows the failing row after the first line
        error.orig.args = (first_line(error),)
        error.args = (str(error.args[0]).splitlines()[0],)
    return error


def is_damaged(error: SQLAlchemyError) -> bool:
    """Return whether SQLite reports its file as damaged."""
    message = str(getattr(error, "orig", "")).lower()
    return isinstance(error, DatabaseError) and (
        "malformed" in message or "not a database" in message
    )


def first_line(error: Exception) -> str:
    """Return the database's message, without the library's explanations around it."""
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
