"""Slates of each of the last days and how many were answered, counted in the store by SQL."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from metarec.feedback.outcomes import ValueScale
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store

DAY = 86_400.0


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day of 24 hours."""

    until: float
    """End of the day, seconds since 1970."""
    slates: int
    """Slates shown."""
    clicked: int
    """Slates of that day answered by a positive event."""
    converted: int
    """Slates of that day with an item taken by a positive event of a target kind, a rating only
    where the item was liked, and neither refused nor undone later in answer to the same slate.
    """


def by_day(store: Store, scale: ValueScale, now: float, days: int = 14) -> list[Day]:
    """Return the last `days` days before `now` (seconds since 1970), oldest first.

    Raises:
        StoreUnavailable: if the store does not answer.
    """
    slates, events = tables.slates.c, tables.events.c
    ago: Any = (now - slates.timestamp) / DAY
    ago = sa.cast(ago if store.is_sqlite else sa.func.floor(ago), sa.Integer)
    is_recent = (slates.timestamp > now - days * DAY) & (slates.timestamp <= now)
    shown = sa.select(ago, sa.func.count()).where(is_recent).group_by(ago)
    joined = tables.slates.join(tables.events, events.slate_id == slates.slate_id)
    answered = sa.select(ago, sa.func.count(slates.slate_id.distinct())).select_from(joined)
    kinds = (
        sa.select(events.kind)
        .where(events.slate_id.is_not(None), events.timestamp > now - days * DAY)
        .distinct()
    )
    with store.reading() as connection:

        def counted(query: sa.Select[Any]) -> dict[int, int]:
            return {int(day): int(number) for day, number in connection.execute(query)}

        names = [str(kind) for kind in connection.execute(kinds).scalars()]
        positive = [kind for kind in names if scale.kinds.of(kind).sign == "positive"]
        listed = scale.targets(names)
        targets = [kind for kind in positive if scale.kinds.key(kind) in listed]
        back = [kind for kind in names if scale.kinds.of(kind).sign in {"negative", "undo"}]
        is_liked = _is_liked(scale, names)
        takes = events.kind.in_(targets) & is_liked & ~_taken_back(back)
        converted = counted(answered.where(is_recent, takes).group_by(ago))
        clicks = events.kind.in_(positive) & is_liked
        all_shown, clicked = (
            counted(shown),
            counted(answered.where(is_recent, clicks).group_by(ago)),
        )
    return [
        Day(
            until=now - day * DAY,
            slates=all_shown.get(day, 0),
            clicked=clicked.get(day, 0),
            converted=converted.get(day, 0),
        )
        for day in range(days - 1, -1, -1)
    ]


def _is_liked(scale: ValueScale, said: Collection[str]) -> sa.ColumnElement[bool]:
    """Return whether an event is no rating below that from which an item counts as liked."""
    events = tables.events.c
    rating_kinds = [kind for kind in said if scale.kinds.is_rating(kind)]
    if not scale.has_values or not rating_kinds:
        return sa.true()
    is_low = events.kind.in_(rating_kinds) & (events.value < scale.relevant_from)
    return ~sa.func.coalesce(is_low, sa.false())


def _taken_back(kinds: Collection[str]) -> sa.ColumnElement[bool]:
    """Return whether a later answer to the same slate, of these kinds, is on the same item."""
    events, later = tables.events.c, tables.events.alias("later")
    same = (later.c.slate_id == events.slate_id) & (later.c.item_id == events.item_id)
    after = (later.c.timestamp >= events.timestamp) & (later.c.sequence > events.sequence)
    found = sa.select(later.c.sequence).where(same, after, later.c.kind.in_(kinds))
    return sa.exists(found.correlate(tables.events))
