"""How long events and slates are kept: what is older is deleted, a piece at a time.

A slate that a kept event answers stays as long as the event, for training weighs the event by it.
Older than the limit only such slates are left, so estimates over everything shown must begin after
it: `whole_since` says when.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store

AT_ONCE = 2_000
"""Rows deleted in one transaction, so that events to be written do not wait long."""
_SINCE = "slates_whole_since"
_EVENTS = sa.text(
    "DELETE FROM events WHERE sequence IN "
    "(SELECT sequence FROM events WHERE timestamp < :before LIMIT :most)"
)
_SLATES = sa.text(
    "DELETE FROM slates WHERE slate_id IN (SELECT slate_id FROM slates WHERE timestamp < :before "
    "AND NOT EXISTS (SELECT 1 FROM events WHERE events.user_id = slates.user_id "
    "AND events.slate_id = slates.slate_id) LIMIT :most)"
)


@dataclass(frozen=True, kw_only=True)
class Removed:
    """Rows deleted in one step."""

    events: int
    slates: int

    @property
    def is_all(self) -> bool:
        """Whether nothing older is left."""
        return max(self.events, self.slates) < AT_ONCE


def remove_old(
    store: Store, *, events_before: float | None = None, slates_before: float | None = None
) -> Removed:
    """Delete some of what lies before these moments (seconds since 1970); call again until
    `is_all`.

    Raises:
        StoreUnavailable: if the store cannot write now.
    """
    removed: Removed = store.call(
        lambda connection: Removed(
            events=_delete(connection, _EVENTS, events_before),
            slates=_delete_slates(connection, slates_before),
        )
    ).result()
    return removed


def whole_since(store: Store) -> float | None:
    """The moment from which on every slate shown is still there (but for forgotten users'); None
    where none were deleted for their age.
    """
    query = sa.select(tables.facts.c.value).where(tables.facts.c.name == _SINCE)
    with store.reading() as connection:
        found = connection.execute(query).scalar()
    return None if found is None else float(found)


def _delete(connection: sa.Connection, statement: sa.TextClause, before: float | None) -> int:
    if before is None:
        return 0
    return connection.execute(statement, {"before": before, "most": AT_ONCE}).rowcount


def _delete_slates(connection: sa.Connection, before: float | None) -> int:
    removed = _delete(connection, _SLATES, before)
    if removed and before is not None:
        facts = tables.facts.c
        known = connection.execute(sa.select(facts.value).where(facts.name == _SINCE)).scalar()
        if known is None:
            connection.execute(sa.insert(tables.facts).values(name=_SINCE, value=str(before)))
        elif float(known) < before:
            connection.execute(
                sa.update(tables.facts).where(facts.name == _SINCE).values(value=str(before))
            )
    return removed
