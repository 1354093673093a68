"""Retention of events and slates: rows older than a limit are deleted, in small batches.

A slate that a kept event answers is kept as long as the event, since training weights the event by
its propensity. Before the limit only such slates are left, so estimates over all impressions must
begin after it: `whole_since` returns this time.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store

AT_ONCE = 2_000
"""Rows deleted in one transaction; bounds how long writes of events wait."""
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
        """Whether nothing older than the limits is left."""
        return max(self.events, self.slates) < AT_ONCE


def remove_old(
    store: Store, *, events_before: float | None = None, slates_before: float | None = None
) -> Removed:
    """Delete one batch of rows from before these times (seconds since 1970); call again until
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
    """Return the time (seconds since 1970) from which all slates shown are still stored, except
    those of forgotten users; None if no slates were deleted for their age.
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
    """Delete a batch of slates, and record the time before which slates are incomplete."""
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
