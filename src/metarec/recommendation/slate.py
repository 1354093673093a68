"""Input and output of a recommendation: `Request` and `Slate`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import isfinite, nan
from numbers import Real
from operator import le
from typing import Any, TypeAlias

import numpy as np
import polars as pl

from metarec.data.arguments import (
    check_plain,
    check_seconds,
    check_type,
    check_whole,
    id_text,
    ids_of,
    seconds_of,
    shown,
)
from metarec.data.errors import BadInput

ItemIds: TypeAlias = Sequence[Sequence[str]]
"""Item ids for each request."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request for a slate: one user, as far as known.

    Unknown item ids in `history` are ignored and counted in `Slate.notes`; an empty history is
    fine.
    """

    history: Sequence[tuple[Any, ...]] = ()
    """Events, oldest first: `(item_id, value)`, or `(item_id, value, kind)`, or `(item_id, value,
    kind, timestamp)`, the timestamp in seconds since 1970 or a datetime; an item id alone is an
    event without a rating. Where all have a timestamp, they are sorted by it.
    """
    profile: dict[str, Any] = field(default_factory=dict)
    """Attributes of the user; any may be missing."""
    wish: str | None = None
    """A query in words."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """Circumstances of the request, such as `{"hour": 22, "weather": "rain"}`."""
    location: tuple[float, float] | None = None
    """Location of the user: latitude and longitude in degrees."""
    within_km: float | None = None
    """Show only items within this distance in kilometers; needs a location, or a home in the
    profile.
    """
    friends: Sequence[str] | Mapping[str, float] = ()
    """Ids of the user's friends, or weights by id; ids that are not among the training users are
    ignored and counted in `Slate.notes`.
    """
    searches: Sequence[str] = ()
    """The user's search queries, the newest last."""
    at: float | datetime | None = None
    """Time of the request, seconds since 1970 or a datetime; unless given, the time of the user's
    newest event.
    """
    exclude: Sequence[str] = ()
    """Item ids never to show."""
    allow: Sequence[str] | None = None
    """If given, only these item ids may be shown; lists of up to 150 are ranked as given
    candidates, see `ensemble.given`.
    """

    def __post_init__(self) -> None:
        for name, checked in (
            ("history", _events_of(self.history)),
            ("friends", _friends_of(self.friends)),
            ("exclude", ids_of("exclude", self.exclude)),
            ("allow", None if self.allow is None else ids_of("allow", self.allow)),
        ):
            object.__setattr__(self, name, checked)
        _check_searches(self.searches)
        for name in ("profile", "context"):
            if not isinstance(getattr(self, name), Mapping):
                raise BadInput(f"{name} maps names to values, got {shown(getattr(self, name))}")
            check_plain(name, getattr(self, name))
        if not isinstance(self.wish, str | None):
            raise BadInput(f"wish is a text, got {shown(self.wish)}")
        if self.at is not None:
            object.__setattr__(self, "at", _moment_of(self.at))
        km = self.within_km
        if km is not None and not (isinstance(km, int | float) and 0.0 < km < np.inf):
            raise BadInput(f"within_km must be a number of kilometers above 0, got {shown(km)}")


def _moment_of(at: Any) -> float:
    """Return a time as seconds since 1970."""
    try:
        seconds = nan if isinstance(at, str | bytes | bool) else seconds_of(at)
    except (TypeError, ValueError, OverflowError):
        seconds = nan
    if not isfinite(seconds):
        raise BadInput(f"at is a time in seconds since 1970 or a datetime, got {shown(at)}")
    check_seconds("at", seconds)
    return seconds


def _events_of(history: Any) -> Sequence[Any]:
    """Return a history as events with text ids; an item id alone is an event without a rating."""
    no_list = isinstance(history, str | bytes | Mapping | pl.DataFrame)
    if no_list or not isinstance(history, Iterable):
        raise BadInput(f"history is a list of events or item ids, got {shown(history)}")
    if isinstance(history, Sequence) and all(map(_is_event, history)):
        return _by_time(history)
    return _by_time([one if _is_event(one) else _event_of(one) for one in history])


def _by_time(events: Sequence[Any]) -> Sequence[Any]:
    """Return events by time, those of one time as given; as given where a time is not known."""
    times = [one[3] if len(one) > 3 else None for one in events]
    if None in times:
        return events
    try:
        seconds = [at if type(at) is float else seconds_of(at) for at in times]
    except (TypeError, ValueError, OverflowError):
        return events  # which the reader of events refuses in its own words
    if all(map(le, seconds, seconds[1:])) or not all(map(isfinite, seconds)):
        return events
    return [events[place] for place in sorted(range(len(events)), key=seconds.__getitem__)]


def _is_event(one: Any) -> bool:
    return isinstance(one, tuple | list) and (not one or isinstance(one[0], str))


def _event_of(one: Any) -> tuple[Any, ...]:
    if isinstance(one, tuple | list):
        return id_text("history", one[0]), *one[1:]
    return id_text("history", one), None


def _friends_of(friends: Any) -> list[str] | Mapping[str, float]:
    if isinstance(friends, Mapping):
        friend_weights(friends)
        return friends
    return ids_of("friends", friends)


def _check_searches(searches: Any) -> None:
    """Refuse a single text where a list is expected: it would be read letter by letter."""
    if isinstance(searches, str | bytes | Mapping) or not isinstance(searches, Iterable):
        text = shown(searches)
        raise BadInput(f"searches is a list, got {text}; write [{text}] for one")
    for query in searches:
        if not isinstance(query, str):
            raise BadInput(f"searches is a list of texts, and {shown(query)} is none")


def observed(request: Request, events: Sequence[tuple[Any, ...]]) -> Request:
    """Return the request of the same user after further events.

    Raises:
        BadInput: if `events` is not a list of events.
    """
    check_request(request)
    return replace(request, history=[*request.history, *Request(history=events).history])


def checked_requests(requests: Sequence[Request]) -> None:
    """Check that `requests` is a list of requests.

    Raises:
        BadInput: if it is a single request, or contains anything else.
    """
    if isinstance(requests, Request | str | bytes) or not isinstance(requests, Iterable):
        text = shown(requests)
        raise BadInput(f"requests is a list of Request, got {text}; write [Request(...)]")
    if isinstance(requests, Mapping):
        raise BadInput(f"requests is a list of Request, and {shown(requests)} is none")
    for one in requests:
        if not isinstance(one, Request):
            raise BadInput(f"requests is a list of Request, and {shown(one)} is none")


def check_request(request: Request) -> None:
    """Check that `request` is a `Request`.

    Raises:
        BadInput: naming what was given.
    """
    check_type("request", request, Request, "one Request, such as metarec.Request(history=[...])")


def friend_weights(friends: Sequence[str] | Mapping[str, float]) -> list[float]:
    """Return the weight of each friend; 1 where none is given.

    Raises:
        BadInput: if a weight is not a finite number above 0.
    """
    if not isinstance(friends, Mapping):
        return [1.0] * len(friends)
    for friend, weight in friends.items():
        number: Any = weight
        if not isinstance(number, Real) or not 0.0 < weight < np.inf:
            text = shown(weight)
            raise BadInput(f"the weight of a friend must be above 0, got {text} for {friend!r}")
    return list(friends.values())


@dataclass(frozen=True, kw_only=True)
class Slate:
    """Ranked list for one user, best first."""

    item_ids: list[str]
    """[K] item ids, best first."""
    scores: np.ndarray
    """[K] log-scores; only their order and their differences are meaningful."""
    uncertainty: np.ndarray
    """[K] standard deviation of each item's predicted value on the data's scale; without ratings,
    standard deviation of its score, 1 for an anonymous user and falling towards 0 as events on
    similar items arrive.
    """
    propensity: np.ndarray
    """[K] probability in (0, 1] that this item was shown at this position; 1 without
    exploration.
    """
    predicted: np.ndarray | None = None
    """[K] predicted values on the data's scale; None without ratings."""
    interval: np.ndarray | None = None
    """[K, 2] ends of the 90% interval of each predicted value, clipped to the scale; None without
    ratings.
    """
    model_version: str = ""
    """Version of the model that made the slate."""
    n_known: int = 0
    """Number of known events of the user: items accepted or refused, each once, without undone
    ones.
    """
    notes: list[str] = field(default_factory=list)
    """Sentences on what was ignored or assumed."""

    def after(self, offset: int) -> Slate:
        """Return the slate without its first `offset` positions."""
        check_whole("offset", offset, 0)
        arrays = ("scores", "uncertainty", "propensity", "predicted", "interval")
        cut: dict[str, Any] = {
            n: None if (a := getattr(self, n)) is None else a[offset:] for n in arrays
        }
        return replace(self, item_ids=self.item_ids[offset:], **cut)

    def frame(self) -> pl.DataFrame:
        """Return one row per position: `rank, item_id, score, uncertainty, propensity`, and
        `predicted` where values are ratings.
        """
        columns: dict[str, Any] = {
            "rank": range(1, len(self.item_ids) + 1),
            "item_id": self.item_ids,
            "score": self.scores,
            "uncertainty": self.uncertainty,
            "propensity": self.propensity,
        }
        return pl.DataFrame(
            columns if self.predicted is None else columns | {"predicted": self.predicted}
        )

    def __repr__(self) -> str:
        return f"Slate({', '.join(self.item_ids)})"

    def _repr_html_(self) -> str:
        return str(self.frame()._repr_html_())
