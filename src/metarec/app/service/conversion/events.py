"""From events as they are sent to events as they are stored."""

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
    """The events of a batch.

    Raises:
        BadInput: if one lies in the future, has a query and is of a kind that is no search, or is
            a search without one.
    """
    for place, event in enumerate(body.events):
        _check_time(f"body.events.{place}", event, now + future_seconds)
        _check_kind(f"body.events.{place}", event, kinds)
    return [_event(event, now) for event in body.events]


def unknown_kinds(named: Iterable[str], kinds: Kinds) -> list[str]:
    """A sentence on each kind of these events that is not known."""
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
    """Circumstances, and the place among them."""
    if event.location is None:
        return event.context
    latitude, longitude = event.location.degrees
    return {**event.context, LATITUDE: latitude, LONGITUDE: longitude}


def _check_time(where: str, event: schemas.NewEvent, latest: float) -> None:
    """Refuse times after `latest`: such an event would count as the newest for ever."""
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
