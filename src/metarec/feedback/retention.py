"""Retention of events and slates: rows older than a limit are deleted, in small batches.

A slate that a kept event answers is kept as long as the event, since training weights the event by
its propensity. Before the limit only such slates are left, so estimates over all impressions must
begin after it: `whole_since` returns this time.

Imported events without a time have their position as `timestamp`. Their age counts from the last
import of such events: `note_untimed`.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from metarec.data.schema import EARLIEST_MOMENT
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store

AT_ONCE = 2_000
"""Rows deleted in one transaction; bounds how long writes of events wait."""
_SINCE = "slates_whole_since"
_UNTIMED = "untimed_imported_at"
_IMPORTED = "events_imported_at"
_EVENTS = sa.text(
    "DELETE FROM events WHERE sequence IN "
    "(SELECT sequence FROM events WHERE timestamp < :before AND timestamp >= :since LIMIT :most)"
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
            events=_delete_events(connection, events_before),
            slates=_delete_slates(connection, slates_before),
        )
    ).result()
    return removed


def whole_since(store: Store) -> float | None:
    """Return the time (seconds since 1970) from which all slates shown are still stored, except
    those of forgotten users; None if no slates were deleted for their age.
    """
    with store.reading() as connection:
        return _fact(connection, _SINCE)


def note_untimed(store: Store, at: float) -> None:
    """Record that events without a time are imported at `at` (seconds since 1970), from which
    their age counts.

    Raises:
        StoreUnavailable: if the store cannot write now.
    """
    store.call(lambda connection: _raise_fact(connection, _UNTIMED, at)).result()


def note_import(store: Store, at: float) -> None:
    """Record that an import stored events at `at` (seconds since 1970), however old they are.

    Raises:
        StoreUnavailable: if the store cannot write now.
    """
    store.call(lambda connection: _raise_fact(connection, _IMPORTED, at)).result()


def imported_at(store: Store) -> float | None:
    """Return the time (seconds since 1970) of the last import that stored events, by the clock of
    its machine; None if there is none.
    """
    with store.reading() as connection:
        return _fact(connection, _IMPORTED)


def _delete_events(connection: sa.Connection, before: float | None) -> int:
    if before is None:
        return 0
    is_old = (_fact(connection, _UNTIMED) or 0.0) < before
    bounds = {"before": before, "since": -1e300 if is_old else EARLIEST_MOMENT, "most": AT_ONCE}
    return connection.execute(_EVENTS, bounds).rowcount


def _delete_slates(connection: sa.Connection, before: float | None) -> int:
    """Delete a batch of slates, and record the time before which slates are incomplete."""
    if before is None:
        return 0
    removed = connection.execute(_SLATES, {"before": before, "most": AT_ONCE}).rowcount
    if removed:
        _raise_fact(connection, _SINCE, before)
    return removed


def _fact(connection: sa.Connection, name: str) -> float | None:
    query = sa.select(tables.facts.c.value).where(tables.facts.c.name == name)
    fact = connection.execute(query).scalar()
    return None if fact is None else float(fact)


def _raise_fact(connection: sa.Connection, name: str, value: float) -> None:
    """Record a number under a name, unless a larger one is there."""
    recorded = _fact(connection, name)
    if recorded is None:
        connection.execute(sa.insert(tables.facts).values(name=name, value=str(value)))
    elif recorded < value:
        changed = sa.update(tables.facts).where(tables.facts.c.name == name)
        connection.execute(changed.values(value=str(value)))
