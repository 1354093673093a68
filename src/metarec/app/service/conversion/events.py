"""Conversion of events as they are sent into events as they are stored."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

from metarec.app.service import schemas
from metarec.data.errors import BadInput
from metarec.data.kinds import Kinds
from metarec.data.places import LATITUDE, LONGITUDE
from metarec.data.schema import NO_KIND
from metarec.feedback.events import Event

SEARCH = "search"


def as_events(
    body: schemas.EventBatch, kinds: Kinds, *, now: float, future_seconds: float
) -> list[Event]:
    """Convert the events of a batch.

    Args:
        now: time of the request in seconds since 1970, for events without a time.
        future_seconds: seconds by which an event may lie after `now`.

    Raises:
        BadInput: if an event lies in the future, has a query and a kind that is not a search, or is
            a search without a query.
    """
    for place, event in enumerate(body.events):
        _check_time(f"body.events.{place}", event, now + future_seconds)
        _check_kind(f"body.events.{place}", event, kinds)
    return [_event(event, now) for event in body.events]


def unknown_kinds(named: Iterable[str], kinds: Kinds) -> list[str]:
    """Return a sentence on each unknown kind among these."""
    unknown = kinds.unknown(named)
    hints = [f"; did you mean {near!r}?" if (near := kinds.nearest(one)) else "" for one in unknown]
    return [
        f"kind {name!r} is not known and counts as positive{hint}"
        for name, hint in zip(unknown, hints, strict=True)
    ]


def _event(event: schemas.NewEvent, now: float) -> Event:
    is_bare_search = event.query is not None and event.kind == NO_KIND
    return Event(
        event_id=event.event_id or uuid.uuid4().hex,
        user_id=event.user_id,
        item_id=event.item_id or "",
        query=event.query,
        kind=SEARCH if is_bare_search else event.kind,
        value=event.value,
        timestamp=now if event.timestamp is None else event.timestamp,
        is_timed=event.timestamp is not None,
        slate_id=event.slate_id,
        context=_context_of(event),
    )


def _context_of(event: schemas.NewEvent) -> dict[str, Any]:
    """Return the circumstances of an event, with its location as two of them."""
    if event.location is None:
        return event.context
    latitude, longitude = event.location.degrees
    return {**event.context, LATITUDE: latitude, LONGITUDE: longitude}


def _check_time(where: str, event: schemas.NewEvent, latest: float) -> None:
    """Refuse times after `latest`: such an event would remain the newest for a long time."""
    if event.timestamp is not None and event.timestamp > latest:
        raise BadInput(
            f"{where}.timestamp: {event.timestamp:.0f} lies in the future; send seconds since 1970 "
            f"in UTC, or none for now"
        )


def _check_kind(where: str, event: schemas.NewEvent, kinds: Kinds) -> None:
    is_search = kinds.of(event.kind).sign == SEARCH
    if event.query is None and is_search:
        raise BadInput(
            f"{where}.query: an event of kind {event.kind!r} says what was searched for and has no "
            f"item; send what was done with an item found as a view or click of its own"
        )
    if event.query is None or event.kind == NO_KIND or is_search:
        return
    raise BadInput(
        f"{where}.kind: an event with a query is of kind 'search', got {event.kind!r}; send what "
        f"was done with an item as an event of its own"
    )
