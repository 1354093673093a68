"""Slates of each of the last days and how many were answered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from metarec.feedback.outcomes import ValueScale, answered_slates, taken_items
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store

DAY = 86_400.0
_ANSWERS: dict[str, Any] = {
    "item_id": pl.Utf8,
    "timestamp": pl.Float64,
    "kind": pl.Utf8,
    "value": pl.Float64,
    "slate_id": pl.Utf8,
    "ago": pl.Int64,
}
AT_ONCE = 50_000
"""Rows read at a time; bounds the memory of rows as Python objects."""


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day of 24 hours."""

    until: float
    """End of the day, seconds since 1970."""
    slates: int
    """Slates shown."""
    clicked: int
    """Slates of that day answered by a positive event on an item that they showed."""
    converted: int
    """Slates of that day with an item taken, as rewards and experiments count it."""


def by_day(store: Store, scale: ValueScale, now: float, days: int = 14) -> list[Day]:
    """Return the last `days` days before `now` (seconds since 1970), oldest first.

    Raises:
        StoreUnavailable: if the store does not answer.
    """
    slates = tables.slates.c
    ago: Any = (now - slates.timestamp) / DAY
    ago = sa.cast(ago if store.is_sqlite else sa.func.floor(ago), sa.Integer)
    is_recent = (slates.timestamp > now - days * DAY) & (slates.timestamp <= now)
    with store.reading() as connection:
        counts = sa.select(ago, sa.func.count()).where(is_recent).group_by(ago)
        slates_by_day = {int(day): int(number) for day, number in connection.execute(counts)}
        answers = _answers(connection, ago, is_recent)
    day_of = answers.select("slate_id", "ago").unique()
    clicked = answered_slates(answers, scale).filter("clicked")
    converted = taken_items(answers.drop("ago"), scale).filter("is_taken")
    by_ago = [_by_ago(day_of, of_slates) for of_slates in (clicked, converted)]
    return [
        Day(
            until=now - day * DAY,
            slates=slates_by_day.get(day, 0),
            clicked=by_ago[0].get(day, 0),
            converted=by_ago[1].get(day, 0),
        )
        for day in range(days - 1, -1, -1)
    ]


def _by_ago(day_of: pl.DataFrame, slates: pl.DataFrame) -> dict[int, int]:
    """Return days ago -> number of these slates."""
    counts = day_of.join(slates, on="slate_id", how="semi").group_by("ago").len()
    return dict(counts.iter_rows())


def _answers(
    connection: sa.Connection, ago: sa.ColumnElement[Any], is_recent: sa.ColumnElement[bool]
) -> pl.DataFrame:
    """Return the events that answer recent slates, on items that these slates showed, in order of
    arrival, and how many days `ago` their slate was shown.
    """
    slates, events = tables.slates.c, tables.events.c
    query = (
        sa.select(*(events[name] for name in _ANSWERS if name != "ago"), ago)
        .select_from(tables.slates.join(tables.events, events.slate_id == slates.slate_id))
        .where(is_recent, _was_shown(connection.dialect.name))
        .order_by(events.sequence)
    )
    parts = [
        pl.DataFrame([tuple(row) for row in rows], schema=_ANSWERS, orient="row")
        for rows in connection.execute(query).partitions(AT_ONCE)
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=_ANSWERS)


def _was_shown(dialect: str) -> sa.ColumnElement[bool]:
    """Return whether the item of an event is one of its slate."""
    shown: Any = tables.slates.c.shown
    items: Any = (
        sa.func.json_array_elements_text(sa.cast(shown, sa.JSON)["item_ids"])
        if dialect == "postgresql"
        else sa.func.json_each(shown, "$.item_ids")
    )
    one = items.table_valued("value")
    in_slate = (
        sa.select(sa.literal(1)).select_from(one).where(one.c.value == tables.events.c.item_id)
    )
    return sa.exists(in_slate.correlate(tables.slates, tables.events))
