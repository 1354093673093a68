"""The event store: an acknowledged event is never lost, and any process can answer for any user.

SQLite (write-ahead log, a flush at each commit) unless a PostgreSQL url is given. Writes go through
one thread (`writer.py`) and return futures; reads see committed data at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metarec.data.schema import BadInput
from metarec.feedback.events import (
    Appended,
    Event,
    Impression,
    StoreUnavailable,
)
from metarec.feedback.store.engines import (
    BUSY_SECONDS,
    check_writable,
    known_url,
    server_engine,
    sqlite_engine,
)
from metarec.feedback.store.everybody import TableReads
from metarec.feedback.store.migrations import (
    MIGRATIONS,
    Migrated,
    migrate,
    take_schema,
    version_of,
)
from metarec.feedback.store.one_user import UserReads
from metarec.feedback.store.writer import GroupWriter, Write, first_line
from metarec.feedback.store.writes import Writes


class Store(UserReads, TableReads):
    """Store of events, impressions, added items and profiles, given by one url."""

    def __init__(
        self, url: str, *, patience: float = 20.0, as_it_is: bool = False, create: bool = True
    ) -> None:
        """Open the store, creating or migrating its tables.

        Args:
            url: a path to a SQLite file, `sqlite:///file`, or `postgresql://...`, where
                `?schema=NAME` names the schema of the tables, `metarec` unless given.
            patience: seconds a write may wait while the store is busy or away.
            as_it_is: neither create nor migrate tables, as for inspecting a store.
            create: whether tables are created where a server has none.

        Raises:
            BadInput: if the url names a store that metarec does not know, or a newer one, or there
                is none and `create` is False.
            StoreUnavailable: if it cannot be opened now.
        """
        self.url, self.schema = known_url(url)
        check_writable(self.url)
        self._engine = (
            sqlite_engine(self.url, BUSY_SECONDS["write"], as_it_is=as_it_is)
            if self.is_sqlite
            else server_engine(self.url, self.schema)
        )
        reads = (
            sqlite_engine(self.url, BUSY_SECONDS["read"], as_it_is=as_it_is)
            if self.is_sqlite
            else self._engine
        )
        self._reads = reads.execution_options(isolation_level="AUTOCOMMIT")
        self._bodies = Writes(sqlite.insert if self.is_sqlite else postgresql.insert)
        self._writer = GroupWriter(self._engine.begin, patience=patience)
        try:
            if not self.is_sqlite:
                # Fail at once if the server is away, without the writer's retries
                self._engine.connect().close()
            migrating = partial(self._migrate, create=create or self.is_sqlite)
            self.migrated = None if as_it_is else self.call(migrating).result()
            """Migrations applied when the store was opened; None with `as_it_is`."""
        except (sa.exc.OperationalError, StoreUnavailable, BadInput) as error:
            self.close()
            if isinstance(error, BadInput):
                raise
            raise StoreUnavailable(
                f"cannot open the store {self.url.render_as_string()} ({first_line(error)})"
            ) from error

    def _migrate(self, connection: sa.Connection, *, create: bool) -> Migrated:
        moved = take_schema(connection, self.schema)
        if not create and not version_of(connection):
            place = self.url.render_as_string()
            raise BadInput(
                f"{place} holds no event store yet in the schema {self.schema}; name yours with "
                f"--store"
            )
        return Migrated(steps=migrate(connection), version=len(MIGRATIONS), moved_from=moved)

    @property
    def waiting(self) -> int:
        """Number of rows queued to be written."""
        return self._writer.waiting

    def close(self) -> None:
        """Write the queued rows and close all connections."""
        self._writer.close()
        self._engine.dispose()
        self._reads.dispose()

    def append(self, events: Sequence[Event], *, strict: bool = False) -> Future[Appended]:
        """Store events. An event id already stored for the same user changes nothing; events of a
        user who asked to be forgotten after they happened, or after they were submitted, are
        dropped.

        Args:
            strict: store none of the events if an id was used for a different event (another item,
                kind, value, slate or context).

        Raises:
            StoreUnavailable: at once, if the queue is full; or from the future, if the store cannot
                write.
            EventConflict: from the future, if `strict` and an id was used for a different event.
        """
        body = self._bodies.append_strictly if strict else self._bodies.append
        return self._writer.submit(
            Write(body=body, content=(time.time(), events), rows=len(events))
        )

    def show(self, impressions: Sequence[Impression]) -> Future[int]:
        """Store slates that were shown; the future holds the number of new ones. Slates requested
        before their user asked to be forgotten are dropped.
        """
        return self._writer.submit(
            Write(body=self._bodies.show, content=(time.time(), impressions), rows=len(impressions))
        )

    def put_item(self, item_id: str, attributes: Mapping[str, Any]) -> Future[int]:
        """Add an item, or change these attributes of it; the future holds the version of the items
        that includes it.
        """
        return self.put_items([(item_id, attributes)])

    def put_items(self, items: Sequence[tuple[str, Mapping[str, Any]]]) -> Future[int]:
        """Add items, or change these attributes of them, all or none; the future holds the new
        version of the items.
        """
        return self._writer.submit(
            Write(body=self._bodies.put_items, content=items, rows=len(items))
        )

    def delete_item(self, item_id: str) -> Future[int]:
        """Mark an item as deleted until it is put again; the future holds the new version of the
        items.
        """
        return self._writer.submit(Write(body=self._bodies.delete_items, content=item_id, rows=1))

    def put_profile(self, user_id: str, profile: Mapping[str, Any]) -> Future[None]:
        """Set a user's attributes, replacing those given before; dropped if the user asked to be
        forgotten meanwhile.
        """
        return self._writer.submit(
            Write(body=self._bodies.put_profiles, content=(time.time(), (user_id, profile)), rows=1)
        )

    def put_friends(self, user_id: str, friends: Mapping[str, float]) -> Future[None]:
        """Set a user's friends and the weights of the friendships, replacing those given before; an
        edge is dropped if either user asked to be forgotten meanwhile.
        """
        content = (time.time(), (user_id, friends))
        return self._writer.submit(
            Write(body=self._bodies.put_friends, content=content, rows=1 + len(friends))
        )

    def call(self, change: Any) -> Future[Any]:
        """Run `change(connection)` in a transaction of the writer's thread, in its turn in the
        queue.
        """
        return self._writer.submit(Write(body=_call, content=change, rows=1))


def _call(connection: sa.Connection, changes: Sequence[Any]) -> list[Any]:
    return [change(connection) for change in changes]


def file_of(url: str) -> Path | None:
    """Return the SQLite file that `url` names; None for a server.

    Raises:
        BadInput: if the url names a store that metarec does not know.
    """
    url_parts, _ = known_url(url)
    return (
        Path(url_parts.database)
        if url_parts.get_backend_name() == "sqlite" and url_parts.database
        else None
    )
