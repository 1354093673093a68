"""Reads over all users: events, slates, items, attributes and friends, as tables."""

from __future__ import annotations

import json
import math
from typing import Any

import polars as pl
import sqlalchemy as sa

from metarec.feedback.store import tables
from metarec.feedback.store.connections import Connections
from metarec.feedback.store.rows import SLATE_COLUMNS, SLATE_SCHEMA, slates_of_rows

_EVENTS = {
    "sequence": pl.Int64,
    "event_id": pl.Utf8,
    "user_id": pl.Utf8,
    "item_id": pl.Utf8,
    "timestamp": pl.Float64,
    "value": pl.Float64,
    "kind": pl.Utf8,
    "slate_id": pl.Utf8,
}
_ITEMS_VERSION = sa.text("SELECT value FROM facts WHERE name = 'items_version'")


class TableReads(Connections):
    """Reads of whole tables of a store."""

    def recent_users(self, max_users: int, n_events: int = 5_000) -> list[tuple[str, int, float]]:
        """Return the users of the newest `n_events` events, at most `max_users`: id, number of
        these events, and time of the newest, seconds since 1970; newest event first.
        """
        events = tables.events.c
        newest_first = sa.select(events.user_id, events.timestamp).order_by(events.sequence.desc())
        recent = newest_first.limit(n_events).subquery().c
        newest = sa.func.max(recent.timestamp)
        query = (
            sa.select(recent.user_id, sa.func.count(), newest)
            .group_by(recent.user_id)
            .order_by(newest.desc(), recent.user_id)
            .limit(max_users)
        )
        with self.reading() as connection:
            return [(user, int(n), float(at)) for user, n, at in connection.execute(query)]

    def friends(self) -> pl.DataFrame:
        """Return every friendship as it was given: `user_id, friend_id, weight`."""
        columns = tables.friends.c
        query = sa.select(columns.user_id, columns.friend_id, columns.weight).order_by(
            columns.user_id, columns.friend_id
        )
        return self.frame(query, {"user_id": pl.Utf8, "friend_id": pl.Utf8, "weight": pl.Float64})

    def searches(self) -> pl.DataFrame:
        """Return every search: `user_id, query, timestamp`, in order of arrival."""
        events = tables.events.c
        query = (
            sa.select(events.user_id, events.query, events.timestamp)
            .where(events.query.is_not(None))
            .order_by(events.sequence)
        )
        return self.frame(query, {"user_id": pl.Utf8, "query": pl.Utf8, "timestamp": pl.Float64})

    def contexts(self) -> pl.DataFrame:
        """Return the contexts of events on items as they were sent: `sequence, context` (JSON)."""
        events = tables.events.c
        query = (
            sa.select(events.sequence, events.context)
            .where(events.context.is_not(None) & events.query.is_(None))
            .order_by(events.sequence)
        )
        return self.frame(query, {"sequence": pl.Int64, "context": pl.Utf8})

    def items_version(self) -> int:
        """Return the version of the items, a number that grows with every change of an item."""
        with self.reading() as connection:
            return int(connection.execute(_ITEMS_VERSION).scalar_one())

    def items_since(self, version: int) -> list[tuple[str, dict[str, Any], int]]:
        """Return items added or changed after `version`, as `(item_id, attributes, version)`,
        oldest change first; deleted ones have `available` False.
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
        """Return the ids of items that were deleted and not put again."""
        items = tables.items.c
        with self.reading() as connection:
            return frozenset(
                connection.execute(sa.select(items.item_id).where(items.is_deleted == 1)).scalars()
            )

    def acts(self, after: int, latest: int) -> pl.DataFrame:
        """Return `sequence, item_id, kind, timestamp` of the events on items with a sequence number
        above `after`, at most the `latest` of them, in order of arrival.
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

    def count(self, table: sa.Table, since: float, until: float = math.inf) -> int:
        """Return the number of rows of `tables.events` or `tables.slates` with a time from `since`
        to `until`, both included (seconds since 1970).
        """
        query = sa.select(sa.func.count()).select_from(table).where(table.c.timestamp >= since)
        if until < math.inf:
            query = query.where(table.c.timestamp <= until)
        with self.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def count_acts(self, since: float, *, in_experiments: bool = True) -> int:
        """Return the number of events that `as_frame` returns without `latest`."""
        chosen = _on_items(since, in_experiments=in_experiments)
        query = sa.select(sa.func.count()).select_from(tables.events).where(*chosen)
        with self.reading() as connection:
            return int(connection.execute(query).scalar_one())

    def as_frame(
        self,
        since: float | None = None,
        *,
        latest: int | None = None,
        in_experiments: bool = True,
        only_answers: bool = False,
    ) -> pl.DataFrame:
        """Return events on items in order of arrival, all columns but the context: those with a
        time of `since` (seconds since 1970) or later, at most the `latest` that arrived last, and
        without those that answer slates of experiments if `in_experiments` is False; with
        `only_answers`, those alone that name a slate.
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
        query = query.where(*_on_items(since, in_experiments=in_experiments))
        if only_answers:
            query = query.where(events.slate_id.is_not(None))
        table = self.frame(query.limit(latest), _EVENTS)
        return table if latest is None else table.reverse()

    def slates(self, since: float | None = None, *, latest: int | None = None) -> pl.DataFrame:
        """Return one row per slate shown:
        `slate_id, user_id, timestamp, model_version, n_support, experiment, arm`, and the lists
        `item_ids, scores, propensity`; those with a time of `since` or later, and at most the
        `latest`.
        """
        at = tables.slates.c.timestamp
        query = sa.select(*SLATE_COLUMNS).order_by(at if latest is None else at.desc())
        query = query if since is None else query.where(at >= since)
        table = slates_of_rows(self.frame(query.limit(latest), SLATE_SCHEMA))
        return table if latest is None else table.reverse()

    def profiles(self) -> pl.DataFrame:
        """Return users with attributes: `user_id` and one column per attribute."""
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
        """Return the number of events in each of the last `minutes` minutes before `now` (seconds
        since 1970), oldest first.
        """
        ago: Any = (now - tables.events.c.timestamp) / 60.0
        ago = sa.cast(
            ago if self.is_sqlite else sa.func.floor(ago), sa.Integer
        )  # SQLite's cast truncates, and it may lack floor; PostgreSQL's cast rounds
        query = (
            sa.select(ago, sa.func.count())
            .where(
                tables.events.c.timestamp > now - 60.0 * minutes, tables.events.c.timestamp <= now
            )
            .group_by(ago)
        )
        with self.reading() as connection:
            counts = {int(minute): int(count) for minute, count in connection.execute(query)}
        return [counts.get(minute, 0) for minute in range(minutes - 1, -1, -1)]

    def counts(self) -> dict[str, int]:
        """Return the number of rows of each table."""
        with self.reading() as connection:
            return {
                str(name): int(
                    connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
                )
                for name, table in tables.metadata.tables.items()
            }


def _on_items(since: float | None, *, in_experiments: bool) -> list[sa.ColumnElement[bool]]:
    """Return conditions of events on items: of a time of `since` or later, and without answers to
    slates of experiments if `in_experiments` is False.
    """
    events, slates = tables.events.c, tables.slates.c
    chosen: list[sa.ColumnElement[bool]] = [events.query.is_(None)]
    if since is not None:
        chosen.append(events.timestamp >= since)
    if not in_experiments:
        of_arm = (slates.slate_id == events.slate_id) & slates.arm.is_not(None)
        chosen.append(~sa.exists().where(of_arm))
    return chosen
