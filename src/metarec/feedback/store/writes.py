"""Bodies of a store's writes: rows of adjacent writes go in one statement, and each write gets its
own answer.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import sqlalchemy as sa

from metarec.data.events.times import HOURS_FROM_UTC
from metarec.feedback.events import (
    Appended,
    Event,
    EventConflict,
    Impression,
)
from metarec.feedback.store import tables
from metarec.feedback.store.aliases import ids_now
from metarec.feedback.store.exposures import mark_answered, note_exposures
from metarec.feedback.store.rows import (
    EVENT_FIELDS,
    event_of,
    event_row,
    item_row,
    key_of,
    slate_row,
)
from metarec.feedback.store.tombstones import asked_at, block_forgetting

R = TypeVar("R", Event, Impression)


@dataclass(frozen=True)
class Writes:
    """Functions that run in a transaction of the writer's thread."""

    _insert: Any
    """INSERT of the store's SQL dialect."""

    def append(
        self, connection: sa.Connection, batches: Sequence[tuple[float, Sequence[Event]]]
    ) -> list[Appended]:
        """Store events, and return the counts of each batch."""
        kept = _living(connection, batches)
        first: dict[tuple[str, str], Event] = {}
        for batch in kept:
            for event in batch:
                first.setdefault(key_of(event), event)
        new = set(
            self._insert_new(
                connection,
                tables.events,
                ["user_id", "event_id"],
                [event_row(event) for event in first.values()],
            )
        )
        added = [event for key, event in first.items() if key in new]
        mark_answered(connection, (event.user_id for event in added if event.slate_id))
        not_kept = _slates_not_kept(connection, added)
        answers = []
        for batch, (_, sent) in zip(kept, batches, strict=True):
            mine = {key_of(event) for event in batch} & new
            new -= mine
            answers.append(
                Appended(
                    accepted=len(mine),
                    duplicates=len(batch) - len(mine),
                    forgotten=len(sent) - len(batch),
                    unknown_slates=sum(first[key].slate_id in not_kept for key in mine),
                )
            )
        return answers

    def append_strictly(
        self, connection: sa.Connection, batches: Sequence[tuple[float, Sequence[Event]]]
    ) -> list[Appended]:
        """Store events like `append`, or none of them if an id was used for a different event."""
        answers = self.append(connection, batches)
        if any(answer.duplicates for answer in answers):
            for batch in _living(connection, batches):
                _check_same(connection, batch)
        return answers

    def show(
        self, connection: sa.Connection, batches: Sequence[tuple[float, Sequence[Impression]]]
    ) -> list[int]:
        """Store slates, and return the number of new ones of each batch."""
        kept = _living(connection, batches)
        first = {slate.slate_id: slate for batch in kept for slate in batch}
        new = set(
            self._insert_new(
                connection,
                tables.slates,
                ["slate_id"],
                [slate_row(slate) for slate in first.values()],
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
        """Insert rows, and return the keys of those that were new."""
        if not rows:
            return []
        insert = (  # on a conflict of either key: copies of an event have other ids
            self._insert(table).on_conflict_do_nothing().returning(*(table.c[name] for name in key))
        )
        return [tuple(row) for row in connection.execute(insert, rows)]

    def put_items(
        self,
        connection: sa.Connection,
        puts: Sequence[Sequence[tuple[str, Mapping[str, Any]]]],
    ) -> list[int]:
        """Add or change items, and return the version of each batch."""
        versions = self._next_versions(connection, [len(batch) for batch in puts])
        stored = _items_named(connection, {item_id for batch in puts for item_id, _ in batch})
        rows: dict[str, dict[str, Any]] = {}
        for batch, newest in zip(puts, versions, strict=True):
            for place, (item_id, changes) in enumerate(batch, start=newest - len(batch) + 1):
                was_deleted, before = stored.get(item_id, (False, {}))
                back = {"available": True} if was_deleted else {}
                stored[item_id] = False, {**before, **back, **changes}
                rows[item_id] = item_row(item_id, stored[item_id][1], place, is_deleted=False)
        if rows:
            self._upsert(connection, tables.items, "item_id", list(rows.values()))
        return versions

    def delete_items(self, connection: sa.Connection, item_ids: Sequence[str]) -> list[int]:
        """Mark items as deleted, and return the version of each change."""
        versions = self._next_versions(connection, [1] * len(item_ids))
        stored = _items_named(connection, set(item_ids))
        rows = {
            item_id: item_row(item_id, stored.get(item_id, (True, {}))[1], at, is_deleted=True)
            for item_id, at in zip(item_ids, versions, strict=True)
        }
        self._upsert(connection, tables.items, "item_id", list(rows.values()))
        return versions

    def _next_versions(self, connection: sa.Connection, sizes: Sequence[int]) -> list[int]:
        """Reserve versions for several batches of changes, and return the last version of each."""
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

    def put_profiles(
        self,
        connection: sa.Connection,
        puts: Sequence[tuple[float, tuple[str, Mapping[str, Any]]]],
    ) -> list[None]:
        """Replace the attributes of users."""
        forgotten_at, now = _forgotten_and_current(
            connection, (user_id for _, (user_id, _) in puts)
        )
        last = {
            now[user_id]: {"user_id": now[user_id], "profile": json.dumps(dict(profile))}
            for at, (user_id, profile) in puts
            if at > forgotten_at.get(user_id, -math.inf)
        }
        if last:
            self._upsert(connection, tables.users, "user_id", list(last.values()))
        return [None] * len(puts)

    def put_friends(
        self,
        connection: sa.Connection,
        puts: Sequence[tuple[float, tuple[str, Mapping[str, float]]]],
    ) -> list[None]:
        """Replace the friends of users."""
        named = {user for _, (user_id, friends) in puts for user in (user_id, *friends)}
        forgotten_at, now = _forgotten_and_current(connection, named)
        for at, (user_id, friends) in puts:
            if at <= forgotten_at.get(user_id, -math.inf):
                continue
            owner = now[user_id]
            connection.execute(sa.delete(tables.friends).where(tables.friends.c.user_id == owner))
            weights = {
                now[friend]: weight
                for friend, weight in friends.items()
                if at > forgotten_at.get(friend, -math.inf) and now[friend] != owner
            }
            rows = [
                {"user_id": owner, "friend_id": friend, "weight": weight}
                for friend, weight in weights.items()
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


def _forgotten_and_current(
    connection: sa.Connection, user_ids: Iterable[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """Return the time of the last request to be forgotten of those users who made one, by this id
    or their current one, and the current id of each user. No user is forgotten or merged until the
    transaction ends.
    """
    block_forgetting(connection)
    users = set(user_ids)
    became = ids_now(connection, users)
    forgotten_at = asked_at(connection, users | set(became.values()))
    for user, other in became.items():
        if other in forgotten_at:
            forgotten_at[user] = max(forgotten_at[other], forgotten_at.get(user, -math.inf))
    return forgotten_at, {user: became.get(user, user) for user in users}


def _living(
    connection: sa.Connection, batches: Sequence[tuple[float, Sequence[R]]]
) -> list[list[R]]:
    """Return the rows of each batch under the current ids of their users, without those that a user
    asked to forget.
    """
    forgotten_at, now = _forgotten_and_current(
        connection, (row.user_id for _, batch in batches for row in batch)
    )
    return [
        [
            row if now[row.user_id] == row.user_id else replace(row, user_id=now[row.user_id])
            for row in batch
            if not _is_older(row, at, forgotten_at)
        ]
        for at, batch in batches
    ]


def _is_older(
    row: Event | Impression, handed_over: float, forgotten_at: Mapping[str, float]
) -> bool:
    """Return whether a row is from before its user's request to be forgotten, by its time or the
    time it was submitted.
    """
    return min(row.timestamp, handed_over) <= forgotten_at.get(row.user_id, -math.inf)


def _slates_not_kept(connection: sa.Connection, events: Iterable[Event]) -> set[str]:
    """Return the slates that these events name and the store does not hold."""
    named = sorted({event.slate_id for event in events if event.slate_id})
    kept: set[str] = set()
    for start in range(0, len(named), 500):
        is_named = tables.slates.c.slate_id.in_(named[start : start + 500])
        kept.update(
            connection.execute(sa.select(tables.slates.c.slate_id).where(is_named)).scalars()
        )
    return {*named} - kept


def _items_named(
    connection: sa.Connection, item_ids: Iterable[str]
) -> dict[str, tuple[bool, dict[str, Any]]]:
    """Return item id -> (whether it is deleted, attributes) of those that are stored."""
    by_id: dict[str, tuple[bool, dict[str, Any]]] = {}
    items, ids = tables.items.c, list(item_ids)
    for start in range(0, len(ids), 500):
        query = sa.select(items.item_id, items.is_deleted, items.attributes).where(
            items.item_id.in_(ids[start : start + 500])
        )
        for item_id, gone, attributes in connection.execute(query):
            by_id[item_id] = bool(gone), json.loads(attributes)
    return by_id


def _check_same(connection: sa.Connection, events: Sequence[Event]) -> None:
    """Raise EventConflict if the event stored under an id differs from the one sent. Times and
    their offsets are not compared, since a time that was not stated is generated anew at each
    sending.
    """
    columns = tables.events.c
    query = sa.select(*(columns[name] for name in EVENT_FIELDS)).where(
        sa.tuple_(columns.user_id, columns.event_id).in_(list({key_of(event) for event in events}))
    )
    stored = {key_of(event): event for event in map(event_of, connection.execute(query))}
    for event in events:
        if (before := stored.get(key_of(event))) is None:
            continue  # a copy of it is stored under another id
        for name in ("item_id", "query", "kind", "value", "slate_id", "context"):
            if _compared(before, name) != _compared(event, name):
                raise EventConflict(
                    f"event_id {event.event_id!r} was used before by the same user with another "
                    f"{name}; nothing of this request was stored; give each event an id of its own"
                )


def _compared(event: Event, name: str) -> Any:
    """Return what a field says beside the time of the event."""
    if name == "context":
        return {key: value for key, value in event.context.items() if key != HOURS_FROM_UTC}
    return getattr(event, name)
