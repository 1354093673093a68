"""The event store: an acknowledged event is never lost, and any process answers for any user.

SQLite (write-ahead log, a flush at each commit) unless a PostgreSQL url is given. Writes go through
one thread (`writer.py`) and return futures; reads answer at once from what is committed.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from metarec.data.schema import BadInput
from metarec.feedback import tables
from metarec.feedback.aliases import ids_now
from metarec.feedback.engines import (
    BUSY_SECONDS,
    STATEMENT_SECONDS,
    known_url,
    server_engine,
    sqlite_engine,
)
from metarec.feedback.events import (
    Appended,
    Event,
    EventConflict,
    Impression,
    KnownBeside,
    StoreUnavailable,
)
from metarec.feedback.exposures import mark_answered, note_exposures
from metarec.feedback.migrations import MIGRATIONS, Migrated, migrate, take_schema
from metarec.feedback.tombstones import asked_at, digest_of, hold_off_forgetting, read_key
from metarec.feedback.writer import GroupWriter, Write, explained, first_line

R = TypeVar("R", Event, Impression)
_EVENT_FIELDS = (
    "event_id",
    "user_id",
    "item_id",
    "timestamp",
    "kind",
    "value",
    "slate_id",
    "context",
    "query",
)
N_SEARCHES = 5
"""Stored searches that a request tells, the newest."""
SPENT_AFTER = 5
"""A stored search is no longer told after so many later events."""
RECENT_SECONDS = 86_400.0
"""So long a user is taken to be where their newest event happened."""
SLATE_SCHEMA = {
    "slate_id": pl.Utf8,
    "user_id": pl.Utf8,
    "timestamp": pl.Float64,
    "model_version": pl.Utf8,
    "shots": pl.Int64,
    "experiment": pl.Utf8,
    "arm": pl.Utf8,
    "shown": pl.Utf8,
}
SLATE_COLUMNS = [tables.slates.c[name] for name in SLATE_SCHEMA]
"""What is read of a slate; `slates_of_rows` makes it a table of slates."""


class Store:
    """Events, impressions, added items and profiles behind one url."""

    def __init__(self, url: str, *, patience: float = 20.0, as_it_is: bool = False) -> None:
        """Open the store, creating or migrating its tables.

        Args:
            url: a path to a SQLite file, `sqlite:///file`, or `postgresql://...`, where
                `?schema=NAME` says in which schema the tables lie, `metarec` unless given.
            patience: seconds a write may wait while the store is busy or away.
            as_it_is: neither create nor migrate tables, as to look at a store.

        Raises:
            BadInput: if the url names a store that metarec does not know, or a newer one.
            StoreUnavailable: if it cannot be opened now.
        """
        self.url, self.schema = known_url(url)
        self._engine = (
            sqlite_engine(self.url, BUSY_SECONDS["write"])
            if self.is_sqlite
            else server_engine(self.url, self.schema)
        )
        reads = sqlite_engine(self.url, BUSY_SECONDS["read"]) if self.is_sqlite else self._engine
        self._reads = reads.execution_options(isolation_level="AUTOCOMMIT")
        self._insert = sqlite.insert if self.is_sqlite else postgresql.insert
        self._writer = GroupWriter(self._engine.begin, patience=patience)
        try:
            if not self.is_sqlite:
                # A server that is away is told at once, without the writer's patience
                self._engine.connect().close()
            self.migrated = None if as_it_is else self.call(self._migrate).result()
            """What opening changed of the tables; None where it was to change nothing."""
        except (sa.exc.OperationalError, StoreUnavailable, BadInput) as error:
            self.close()
            if isinstance(error, BadInput):
                raise
            raise StoreUnavailable(
                f"cannot open the store {self.url.render_as_string()} ({first_line(error)})"
            ) from error

    def _migrate(self, connection: sa.Connection) -> Migrated:
        moved = take_schema(connection, self.schema)
        return Migrated(steps=migrate(connection), version=len(MIGRATIONS), moved_from=moved)

    @property
    def is_sqlite(self) -> bool:
        """True for the file of one machine; False for a server, whose answers take a network's
        time.
        """
        return self.url.get_backend_name() == "sqlite"

    @property
    def waiting(self) -> int:
        """Rows queued to be written."""
        return self._writer.waiting

    def close(self) -> None:
        """Write what waits and let go of all connections."""
        self._writer.close()
        self._engine.dispose()
        self._reads.dispose()

    # writes: each gives a future that is done once the rows are on disk

    def append(self, events: Sequence[Event], *, strict: bool = False) -> Future[Appended]:
        """Store events; an id of the same user stored before changes nothing, and events of a user
        who asked to be forgotten after they happened, or after they were handed over, are dropped.

        Args:
            strict: store none of them where such an id was used for something else (another item,
                kind, value, slate or context).

        Raises:
            StoreUnavailable: at once, if too much waits already; or from the future, if the store
                cannot write.
            EventConflict: from the future, if `strict` and an id was used for something else.
        """
        body = self._append_strictly if strict else self._append
        return self._writer.submit(
            Write(body=body, content=(time.time(), events), rows=len(events))
        )

    def show(self, impressions: Sequence[Impression]) -> Future[int]:
        """Store slates that were shown; how many were new. Those asked for before their user asked
        to be forgotten are dropped.
        """
        return self._writer.submit(
            Write(body=self._show, content=(time.time(), impressions), rows=len(impressions))
        )

    def put_item(self, item_id: str, attributes: Mapping[str, Any]) -> Future[int]:
        """Add an item, or change those attributes; gives the items' version that includes it."""
        return self.put_items([(item_id, attributes)])

    def put_items(self, items: Sequence[tuple[str, Mapping[str, Any]]]) -> Future[int]:
        """Add items, or change those attributes, all or none; gives the items' version then."""
        return self._writer.submit(Write(body=self._put_items, content=items, rows=len(items)))

    def delete_item(self, item_id: str) -> Future[int]:
        """Show an item no more, until it is put again; gives the items' version then."""
        return self._writer.submit(Write(body=self._delete_items, content=item_id, rows=1))

    def put_profile(self, user_id: str, profile: Mapping[str, Any]) -> Future[None]:
        """Set a user's attributes, replacing those given before; dropped where the user asked to be
        forgotten meanwhile.
        """
        return self._writer.submit(
            Write(body=self._put_profiles, content=(time.time(), (user_id, profile)), rows=1)
        )

    def put_friends(self, user_id: str, friends: Mapping[str, float]) -> Future[None]:
        """Set whom a user knows, and how well, replacing those given before; an edge is dropped
        where either end asked to be forgotten meanwhile.
        """
        content = (time.time(), (user_id, friends))
        return self._writer.submit(
            Write(body=self._put_friends, content=content, rows=1 + len(friends))
        )

    def call(self, change: Any) -> Future[Any]:
        """Run `change(connection)` in a transaction of the writer's thread, in its turn."""
        return self._writer.submit(Write(body=_call, content=change, rows=1))

    # reads

    def id_now(self, user_id: str) -> str:
        """Whom a user became by a merge, or who they are."""
        with self.reading() as connection:
            found = connection.execute(sa.select(self._now(user_id))).scalar_one()
        return str(found)

    def events_of(self, user_id: str, last: int | None = None) -> list[Event]:
        """The events of a user, oldest first; only the `last` ones if asked."""
        columns = [tables.events.c[name] for name in _EVENT_FIELDS]
        newest_first = (tables.events.c.timestamp.desc(), tables.events.c.sequence.desc())
        query = (
            sa.select(*columns)
            .where(tables.events.c.user_id == self._now(user_id))
            .order_by(*newest_first)
            .limit(last)
        )
        with self.reading() as connection:
            rows = connection.execute(query).all()
        return [_event(row) for row in reversed(rows)]

    def profile_of(self, user_id: str) -> dict[str, Any]:
        """The attributes given for a user; empty if none were."""
        with self.reading() as connection:
            found = connection.execute(_PROFILE, self._named(user_id)).scalar()
        return json.loads(found) if found else {}

    def slates_of(self, user_id: str) -> int:
        """How many slates shown to a user are kept."""
        query = (
            sa.select(sa.func.count())
            .select_from(tables.slates)
            .where(tables.slates.c.user_id == self._now(user_id))
        )
        with self.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def user(
        self, user_id: str, last: int
    ) -> tuple[list[tuple[str, float | None, str, float]], dict[str, Any]]:
        """What a request needs of a user, and no more.

        Returns:
            The `last` events as `(item_id, value, kind, timestamp)`, oldest first, and the
            attributes.
        """
        known = self._named(user_id)
        with self.reading() as connection:
            rows = connection.execute(_HISTORY, known | {"last": last}).all()
            profile = connection.execute(_PROFILE, known).scalar()
        return [(row[0], row[1], row[2], row[3]) for row in reversed(rows)], json.loads(
            profile
        ) if profile else {}

    def acted_on(self, user_id: str, latest: int) -> list[tuple[str, str]]:
        """Items of the `latest` events of a user, each with the kinds of these once."""
        asked = self._named(user_id) | {"last": latest}
        with self.reading() as connection:
            return [(item, kind) for item, kind in connection.execute(_ACTED_ON, asked)]

    def recent_users(self, most: int, latest: int = 5_000) -> list[tuple[str, int, float]]:
        """Users of the `latest` events: id, how many of these are theirs, and the time of their
        newest, seconds since 1970; the newest first.
        """
        events = tables.events.c
        some = sa.select(events.user_id, events.timestamp).order_by(events.sequence.desc())
        found = some.limit(latest).subquery().c
        newest = sa.func.max(found.timestamp)
        query = (
            sa.select(found.user_id, sa.func.count(), newest)
            .group_by(found.user_id)
            .order_by(newest.desc(), found.user_id)
            .limit(most)
        )
        with self.reading() as connection:
            return [(user, int(n), float(at)) for user, n, at in connection.execute(query)]

    def arms_of(self, user_id: str) -> dict[str, str]:
        """Experiment -> the arm that a user saw."""
        rows = tables.exposures.c
        query = sa.select(rows.experiment, rows.arm).where(rows.user_id == self._now(user_id))
        with self.reading() as connection:
            return {name: arm for name, arm in connection.execute(query)}

    def known_beside(self, user_id: str) -> KnownBeside:
        """Friends, newest searches, and where the user was within the last day."""
        known = self._named(user_id)
        with self.reading() as connection:
            friends = connection.execute(_FRIENDS, known).all()
            searches = connection.execute(
                _SEARCHES, known | {"last": N_SEARCHES, "spent": SPENT_AFTER - 1}
            ).all()
            newest = connection.execute(_NEWEST, known).first()
        return KnownBeside(
            friends={friend: weight for friend, weight in friends},
            searches=[query for (query,) in reversed(searches)],
            location=None if newest is None else _place_in(*newest),
        )

    def friends_of(self, user_id: str) -> dict[str, float]:
        """Whom a user knows, and how well; empty if nobody was named."""
        with self.reading() as connection:
            rows = connection.execute(_FRIENDS, self._named(user_id)).all()
        return {friend: weight for friend, weight in rows}

    def friends(self) -> pl.DataFrame:
        """Every edge as it was given: `user_id, friend_id, weight`."""
        columns = tables.friends.c
        query = sa.select(columns.user_id, columns.friend_id, columns.weight).order_by(
            columns.user_id, columns.friend_id
        )
        return self.frame(query, {"user_id": pl.Utf8, "friend_id": pl.Utf8, "weight": pl.Float64})

    def searches(self) -> pl.DataFrame:
        """Every search: `user_id, query, timestamp`, in order of arrival."""
        events = tables.events.c
        query = (
            sa.select(events.user_id, events.query, events.timestamp)
            .where(events.query.is_not(None))
            .order_by(events.sequence)
        )
        return self.frame(query, {"user_id": pl.Utf8, "query": pl.Utf8, "timestamp": pl.Float64})

    def contexts(self) -> pl.DataFrame:
        """Circumstances of events on items as they were sent: `sequence, context` (JSON)."""
        events = tables.events.c
        query = (
            sa.select(events.sequence, events.context)
            .where(events.context.is_not(None) & events.query.is_(None))
            .order_by(events.sequence)
        )
        return self.frame(query, {"sequence": pl.Int64, "context": pl.Utf8})

    def items_version(self) -> int:
        """A number that grows with every change of an item."""
        with self.reading() as connection:
            return int(connection.execute(_ITEMS_VERSION).scalar_one())

    def items_since(self, version: int) -> list[tuple[str, dict[str, Any], int]]:
        """Items added or changed after `version`, as `(item_id, attributes, version)`, oldest
        change first; deleted ones are not available.
        """
        items = tables.items.c
        query = (
            sa.select(items.item_id, items.attributes, items.version, items.is_deleted)
            .where(items.version > version)
            .order_by(items.version)
        )
        with self.reading() as connection:
            return [
                (item_id, json.loads(attributes) | ({"available": False} if gone else {}), at)
                for item_id, attributes, at, gone in connection.execute(query)
            ]

    def deleted_items(self) -> frozenset[str]:
        """Ids of items that were deleted and not put again."""
        items = tables.items.c
        with self.reading() as connection:
            return frozenset(
                connection.execute(sa.select(items.item_id).where(items.is_deleted == 1)).scalars()
            )

    def acts(self, after: int, latest: int) -> pl.DataFrame:
        """When each item was acted on, and how: `sequence, item_id, kind, timestamp` of the events
        on items that arrived after the one of number `after`, and of these of the `latest`, in
        order of arrival.
        """
        events = tables.events.c
        query = (
            sa.select(events.sequence, events.item_id, events.kind, events.timestamp)
            .where(events.sequence > after, events.query.is_(None))
            .order_by(events.sequence.desc())
            .limit(latest)
        )
        names = {"sequence": pl.Int64, "item_id": pl.Utf8, "kind": pl.Utf8}
        return self.frame(query, {**names, "timestamp": pl.Float64}).reverse()

    def frame(self, query: sa.Select[Any], schema: Mapping[str, Any]) -> pl.DataFrame:
        """A query's rows as a table, read in pieces so that ten million rows do not pass through
        Python at once.
        """
        pieces = [pl.DataFrame(schema=dict(schema))]
        with self.reading(long=True) as connection:
            for part in (
                connection.execution_options(stream_results=True).execute(query).partitions(100_000)
            ):
                pieces.append(
                    pl.DataFrame([tuple(row) for row in part], schema=dict(schema), orient="row")
                )
        return pl.concat(pieces)

    def count(self, table: sa.Table, since: float) -> int:
        """Rows of `tables.events` or `tables.slates` of times `since` (seconds since 1970)."""
        query = sa.select(sa.func.count()).select_from(table).where(table.c.timestamp >= since)
        with self.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def as_frame(
        self, since: float | None = None, *, latest: int | None = None, in_experiments: bool = True
    ) -> pl.DataFrame:
        """Events on items in order of arrival, all columns but the context; only those of times
        `since` (seconds since 1970), and of these only so many that arrived last, if asked; without
        those that answer slates of experiments, if asked.
        """
        events = tables.events.c
        query = sa.select(
            events.sequence,
            events.event_id,
            events.user_id,
            events.item_id,
            events.timestamp,
            events.value,
            events.kind,
            events.slate_id,
        ).order_by(events.sequence if latest is None else events.sequence.desc())
        query = query.where(events.query.is_(None))
        query = query if since is None else query.where(events.timestamp >= since)
        if not in_experiments:
            slates = tables.slates.c
            of_arm = (slates.slate_id == events.slate_id) & slates.arm.is_not(None)
            query = query.where(~sa.exists().where(of_arm))
        table = self.frame(
            query.limit(latest),
            {
                "sequence": pl.Int64,
                "event_id": pl.Utf8,
                "user_id": pl.Utf8,
                "item_id": pl.Utf8,
                "timestamp": pl.Float64,
                "value": pl.Float64,
                "kind": pl.Utf8,
                "slate_id": pl.Utf8,
            },
        )
        return table if latest is None else table.reverse()

    def slates(self, since: float | None = None, *, latest: int | None = None) -> pl.DataFrame:
        """One row per slate shown: `slate_id, user_id, timestamp, model_version, shots, experiment,
        arm`, and the lists `item_ids, scores, propensity`; of times `since`, and the latest so
        many, if asked.
        """
        at = tables.slates.c.timestamp
        query = sa.select(*SLATE_COLUMNS).order_by(at if latest is None else at.desc())
        query = query if since is None else query.where(at >= since)
        table = slates_of_rows(self.frame(query.limit(latest), SLATE_SCHEMA))
        return table if latest is None else table.reverse()

    def profiles(self) -> pl.DataFrame:
        """Users whose attributes were given: `user_id` and one column per attribute."""
        with self.reading() as connection:
            rows = [
                {"user_id": user_id, **json.loads(profile)}
                for user_id, profile in connection.execute(
                    sa.select(tables.users.c.user_id, tables.users.c.profile).order_by(
                        tables.users.c.user_id
                    )
                )
            ]
        return (
            pl.DataFrame(rows, infer_schema_length=None)
            if rows
            else pl.DataFrame(schema={"user_id": pl.Utf8})
        )

    def events_by_minute(self, now: float, minutes: int = 60) -> list[int]:
        """Events of each of the last `minutes` minutes before `now` (seconds since 1970), oldest
        first.
        """
        ago: Any = (now - tables.events.c.timestamp) / 60.0
        ago = sa.cast(
            ago if self.is_sqlite else sa.func.floor(ago), sa.Integer
        )  # SQLite cuts, and may lack floor; PostgreSQL rounds
        query = (
            sa.select(ago, sa.func.count())
            .where(
                tables.events.c.timestamp > now - 60.0 * minutes, tables.events.c.timestamp <= now
            )
            .group_by(ago)
        )
        with self.reading() as connection:
            found = {int(minute): int(count) for minute, count in connection.execute(query)}
        return [found.get(minute, 0) for minute in range(minutes - 1, -1, -1)]

    def counts(self) -> dict[str, int]:
        """Rows in each table."""
        with self.reading() as connection:
            return {
                str(name): int(
                    connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                )
                for name, table in tables.metadata.tables.items()
            }

    @cached_property
    def _key(self) -> bytes:
        with self.reading() as connection:
            return read_key(connection)

    def _named(self, user_id: str) -> dict[str, Any]:
        """What the queries below need of a user."""
        return {"user_id": user_id, "digest": digest_of(self._key, user_id)}

    def _now(self, user_id: str) -> sa.ColumnElement[str]:
        """The id that a user has now, as part of a query."""
        merges, digest = tables.merges.c, digest_of(self._key, user_id)
        became = sa.select(merges.user_id).where(merges.digest == digest).scalar_subquery()
        return sa.func.coalesce(became, user_id)

    @contextmanager
    def reading(self, *, long: bool = False) -> Iterator[sa.Connection]:
        """A connection that sees what is committed; a `long` read may come in pieces (a server
        keeps its place in a transaction).

        Raises:
            StoreUnavailable: if the store is away.
        """
        engine = self._engine if long and not self.is_sqlite else self._reads
        try:
            with engine.connect() as connection:
                if long and not self.is_sqlite:
                    seconds = STATEMENT_SECONDS["long"]
                    connection.exec_driver_sql(f"SET LOCAL statement_timeout = {seconds * 1e3:.0f}")
                yield connection
        except sa.exc.OperationalError as error:
            raise StoreUnavailable(
                f"the store does not answer ({first_line(error)}); try again later"
            ) from error
        except sa.exc.DatabaseError as error:
            raise explained(error) from error

    # bodies of writes: rows of neighbouring writes go in one statement, each write gets its own
    # answer

    def _append(
        self, connection: sa.Connection, batches: Sequence[tuple[float, Sequence[Event]]]
    ) -> list[Appended]:
        kept = _living(connection, batches)
        first: dict[tuple[str, str], Event] = {}
        for batch in kept:
            for event in batch:
                first.setdefault(_key(event), event)
        new = set(
            self._insert_new(
                connection,
                tables.events,
                ["user_id", "event_id"],
                [_event_row(event) for event in first.values()],
            )
        )
        mark_answered(connection, (user for user, name in new if first[user, name].slate_id))
        answers = []
        for batch, (_, sent) in zip(kept, batches, strict=True):
            mine = {_key(event) for event in batch} & new
            new -= mine
            answers.append(
                Appended(
                    accepted=len(mine),
                    duplicates=len(batch) - len(mine),
                    forgotten=len(sent) - len(batch),
                )
            )
        return answers

    def _append_strictly(
        self, connection: sa.Connection, batches: Sequence[tuple[float, Sequence[Event]]]
    ) -> list[Appended]:
        answers = self._append(connection, batches)
        if any(answer.duplicates for answer in answers):
            for batch in _living(connection, batches):
                _check_same(connection, batch)
        return answers

    def _show(
        self, connection: sa.Connection, batches: Sequence[tuple[float, Sequence[Impression]]]
    ) -> list[int]:
        kept = _living(connection, batches)
        first = {slate.slate_id: slate for batch in kept for slate in batch}
        new = set(
            self._insert_new(
                connection,
                tables.slates,
                ["slate_id"],
                [_slate_row(slate) for slate in first.values()],
            )
        )
        note_exposures(connection, [first[slate_id] for (slate_id,) in new])
        return [sum((slate.slate_id,) in new for slate in batch) for _, batch in batches]

    def _insert_new(
        self,
        connection: sa.Connection,
        table: sa.Table,
        key: Sequence[str],
        rows: list[dict[str, Any]],
    ) -> list[tuple[str, ...]]:
        """The keys of the rows that were not there before."""
        if not rows:
            return []
        insert = (  # whichever key is taken: copies of an event have ids of their own
            self._insert(table).on_conflict_do_nothing().returning(*(table.c[name] for name in key))
        )
        return [tuple(row) for row in connection.execute(insert, rows)]

    def _put_items(
        self,
        connection: sa.Connection,
        puts: Sequence[Sequence[tuple[str, Mapping[str, Any]]]],
    ) -> list[int]:
        versions = self._next_versions(connection, [len(batch) for batch in puts])
        known = _items_named(connection, {item_id for batch in puts for item_id, _ in batch})
        rows: dict[str, dict[str, Any]] = {}
        for batch, newest in zip(puts, versions, strict=True):
            for place, (item_id, given) in enumerate(batch, start=newest - len(batch) + 1):
                was_deleted, before = known.get(item_id, (False, {}))
                back = {"available": True} if was_deleted else {}
                known[item_id] = False, {**before, **back, **given}
                rows[item_id] = _item_row(item_id, known[item_id][1], place, is_deleted=False)
        if rows:
            self._upsert(connection, tables.items, "item_id", list(rows.values()))
        return versions

    def _delete_items(self, connection: sa.Connection, item_ids: Sequence[str]) -> list[int]:
        versions = self._next_versions(connection, [1] * len(item_ids))
        known = _items_named(connection, set(item_ids))
        rows = {
            item_id: _item_row(item_id, known.get(item_id, (True, {}))[1], at, is_deleted=True)
            for item_id, at in zip(item_ids, versions, strict=True)
        }
        self._upsert(connection, tables.items, "item_id", list(rows.values()))
        return versions

    def _next_versions(self, connection: sa.Connection, sizes: Sequence[int]) -> list[int]:
        """The last version of each of several batches of changes."""
        raised = (
            sa.update(tables.facts)
            .where(tables.facts.c.name == "items_version")
            .values(
                value=sa.cast(sa.cast(tables.facts.c.value, sa.BigInteger) + sum(sizes), sa.Text)
            )
            .returning(tables.facts.c.value)
        )
        before = int(connection.execute(raised).scalar_one()) - sum(sizes)
        return [before + int(size) for size in np.cumsum(sizes)]

    def _put_profiles(
        self,
        connection: sa.Connection,
        puts: Sequence[tuple[float, tuple[str, Mapping[str, Any]]]],
    ) -> list[None]:
        asked, now = _asked(connection, (user_id for _, (user_id, _) in puts))
        last = {
            now[user_id]: {"user_id": now[user_id], "profile": json.dumps(dict(profile))}
            for at, (user_id, profile) in puts
            if at > asked.get(user_id, -math.inf)
        }
        if last:
            self._upsert(connection, tables.users, "user_id", list(last.values()))
        return [None] * len(puts)

    def _put_friends(
        self,
        connection: sa.Connection,
        puts: Sequence[tuple[float, tuple[str, Mapping[str, float]]]],
    ) -> list[None]:
        named = {user for _, (user_id, friends) in puts for user in (user_id, *friends)}
        asked, now = _asked(connection, named)
        for at, (user_id, friends) in puts:
            if at <= asked.get(user_id, -math.inf):
                continue
            own = now[user_id]
            connection.execute(sa.delete(tables.friends).where(tables.friends.c.user_id == own))
            known = {
                now[friend]: weight
                for friend, weight in friends.items()
                if at > asked.get(friend, -math.inf) and now[friend] != own
            }
            rows = [
                {"user_id": own, "friend_id": friend, "weight": weight}
                for friend, weight in known.items()
            ]
            if rows:
                connection.execute(sa.insert(tables.friends), rows)
        return [None] * len(puts)

    def _upsert(
        self, connection: sa.Connection, table: sa.Table, key: str, rows: list[dict[str, Any]]
    ) -> None:
        insert = self._insert(table)
        others = {
            column.name: insert.excluded[column.name] for column in table.c if column.name != key
        }
        connection.execute(insert.on_conflict_do_update(index_elements=[key], set_=others), rows)


_NOW = "COALESCE((SELECT user_id FROM merges WHERE digest = :digest), :user_id)"
"""The id that a user has now."""
_HISTORY = sa.text(
    f"SELECT item_id, value, kind, timestamp FROM events WHERE user_id = {_NOW} "
    "AND query IS NULL ORDER BY timestamp DESC, sequence DESC LIMIT :last"
)
_ACTED_ON = sa.text(
    f"SELECT DISTINCT item_id, kind FROM (SELECT item_id, kind FROM events WHERE user_id = {_NOW} "
    "AND query IS NULL ORDER BY timestamp DESC, sequence DESC LIMIT :last) AS latest"
)
_FRIENDS = sa.text(
    f"SELECT friend_id, weight FROM friends WHERE user_id = {_NOW} ORDER BY friend_id"
)
_SEARCHES = sa.text(
    f"SELECT query FROM events WHERE user_id = {_NOW} AND query IS NOT NULL AND timestamp > "
    f"COALESCE((SELECT timestamp FROM events WHERE user_id = {_NOW} AND query IS NULL "
    "ORDER BY timestamp DESC LIMIT 1 OFFSET :spent), -1) "
    "ORDER BY timestamp DESC, sequence DESC LIMIT :last"
)
_NEWEST = sa.text(
    f"SELECT context, timestamp FROM events WHERE user_id = {_NOW} "
    "ORDER BY timestamp DESC, sequence DESC LIMIT 1"
)
_PROFILE = sa.text(f"SELECT profile FROM users WHERE user_id = {_NOW}")
_ITEMS_VERSION = sa.text("SELECT value FROM facts WHERE name = 'items_version'")


def _call(connection: sa.Connection, changes: Sequence[Any]) -> list[Any]:
    return [change(connection) for change in changes]


def _asked(
    connection: sa.Connection, user_ids: Iterable[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """Who of them asked to be forgotten, by this id or the one they have now, and when; and the id
    that each has now. Nobody more is forgotten or merged until the transaction ends.
    """
    hold_off_forgetting(connection)
    users = set(user_ids)
    became = ids_now(connection, users)
    asked = asked_at(connection, users | set(became.values()))
    for user, other in became.items():
        if other in asked:
            asked[user] = max(asked[other], asked.get(user, -math.inf))
    return asked, {user: became.get(user, user) for user in users}


def _living(
    connection: sa.Connection, batches: Sequence[tuple[float, Sequence[R]]]
) -> list[list[R]]:
    """The rows of each batch under the ids that their users have now, without what belongs to
    whatever those asked to forget.
    """
    asked, now = _asked(connection, (row.user_id for _, batch in batches for row in batch))
    return [
        [
            row if now[row.user_id] == row.user_id else replace(row, user_id=now[row.user_id])
            for row in batch
            if not _is_older(row, at, asked)
        ]
        for at, batch in batches
    ]


def _is_older(row: Event | Impression, handed_over: float, asked: Mapping[str, float]) -> bool:
    """Whether it belongs to what its user asked to forget."""
    return min(row.timestamp, handed_over) <= asked.get(row.user_id, -math.inf)


def slates_of_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows as `SLATE_SCHEMA` says, with what was shown as lists: see `Store.slates`."""
    lists = pl.Struct(
        {
            "item_ids": pl.List(pl.Utf8),
            "scores": pl.List(pl.Float64),
            "propensity": pl.List(pl.Float64),
        }
    )
    return rows.with_columns(pl.col("shown").str.json_decode(lists)).unnest("shown")


def file_of(url: str) -> Path | None:
    """The SQLite file that `url` names; None for a server.

    Raises:
        BadInput: if the url names a store that metarec does not know.
    """
    known, _ = known_url(url)
    return Path(known.database) if known.get_backend_name() == "sqlite" and known.database else None


def _items_named(
    connection: sa.Connection, item_ids: Iterable[str]
) -> dict[str, tuple[bool, dict[str, Any]]]:
    """Whether each was deleted, and its attributes, of those that are stored."""
    found: dict[str, tuple[bool, dict[str, Any]]] = {}
    items, wanted = tables.items.c, list(item_ids)
    for start in range(0, len(wanted), 500):
        query = sa.select(items.item_id, items.is_deleted, items.attributes).where(
            items.item_id.in_(wanted[start : start + 500])
        )
        for item_id, gone, attributes in connection.execute(query):
            found[item_id] = bool(gone), json.loads(attributes)
    return found


def _item_row(
    item_id: str, attributes: Mapping[str, Any], version: int, *, is_deleted: bool
) -> dict[str, Any]:
    return {
        "item_id": item_id,
        "attributes": json.dumps(dict(attributes)),
        "version": version,
        "is_deleted": int(is_deleted),
    }


def _event_row(event: Event) -> dict[str, Any]:
    return {
        **{name: getattr(event, name) for name in _EVENT_FIELDS},
        "context": json.dumps(event.context) if event.context else None,
        "copy_key": event.copy_key,
    }


def _key(event: Event) -> tuple[str, str]:
    return event.user_id, event.event_id


def _check_same(connection: sa.Connection, events: Sequence[Event]) -> None:
    """Raise EventConflict where what is stored under an id is not what was sent; the time is not
    compared, for one that was not stated is made up each time.
    """
    columns = tables.events.c
    query = sa.select(*(columns[name] for name in _EVENT_FIELDS)).where(
        sa.tuple_(columns.user_id, columns.event_id).in_(list({_key(event) for event in events}))
    )
    stored = {_key(event): event for event in map(_event, connection.execute(query))}
    for event in events:
        if (before := stored.get(_key(event))) is None:
            continue  # a copy of it stands under another id
        for name in ("item_id", "query", "kind", "value", "slate_id", "context"):
            if getattr(before, name) != getattr(event, name):
                raise EventConflict(
                    f"event_id {event.event_id!r} was used before by the same user with another "
                    f"{name}; nothing of this request was stored; give each event an id of its own"
                )


def _event(row: Any) -> Event:
    return Event(**{**row._mapping, "context": json.loads(row.context) if row.context else {}})


def _place_in(context: str | None, timestamp: float) -> tuple[float, float] | None:
    """Where a recent event happened, of its context as JSON."""
    if not context or timestamp < time.time() - RECENT_SECONDS:
        return None
    told = json.loads(context)
    place = (told.get("latitude"), told.get("longitude"))
    return place if all(isinstance(degree, int | float) for degree in place) else None


def _slate_row(slate: Impression) -> dict[str, Any]:
    shown = {
        "item_ids": list(slate.item_ids),
        "scores": [float(score) for score in slate.scores],
        "propensity": [float(chance) for chance in slate.propensity],
    }
    return {
        "slate_id": slate.slate_id,
        "user_id": slate.user_id,
        "timestamp": slate.timestamp,
        "model_version": slate.model_version,
        "shots": slate.shots,
        "shown": json.dumps(shown),
        "experiment": None if slate.exposure is None else slate.exposure.experiment,
        "arm": None if slate.exposure is None else slate.exposure.arm,
    }
