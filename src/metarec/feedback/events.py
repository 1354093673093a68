"""The data types of stage 5: events, impressions, and the store's answers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from metarec.data.names.kind_names import plain_kind


class StoreUnavailable(OSError):
    """The store cannot be read or written at the moment; sending the same events (same ids) again
    later is safe.
    """


class EventConflict(ValueError):
    """An event id was used before for a different event of the same user."""


def copy_key(item_id: str, kind: str, timestamp: float) -> str:
    """Return a digest of what copies of one event of a user share: item, kind, and the time in
    seconds rounded to whole milliseconds.
    """
    identity = json.dumps([item_id, plain_kind(kind), math.floor(timestamp * 1e3 + 0.5)])
    return hashlib.blake2b(identity.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One event of a user on an item, or a search."""

    event_id: str
    """Chosen by the sender and unique for the user; the same id sent again is the same event and is
    stored once.
    """
    user_id: str
    item_id: str
    """Empty for a search."""
    timestamp: float
    """Seconds since 1970."""
    kind: str = "event"
    """What the user did: `rating`, `like`, `dislike`, `view`, `purchase`, ..."""
    value: float | None = None
    """A stated rating, or the strength of an implicit event; None if the kind needs no value."""
    slate_id: str | None = None
    """The slate in which the item was shown, if it was."""
    context: dict[str, Any] = field(default_factory=dict)
    """Context of the event: device, weather, sensor readings; `latitude` and `longitude` are its
    location.
    """
    query: str | None = None
    """Query of a search; None for other events."""
    is_timed: bool = field(default=False, compare=False)
    """Whether the sender stated the time; then an event of the same user, item and kind at the same
    millisecond is a copy of it, whatever its id or source.
    """

    @property
    def copy_key(self) -> str | None:
        """Digest shared by copies of the event within its user; None for searches and where the
        time was not stated.
        """
        if not self.is_timed or self.query is not None:
            return None
        return copy_key(self.item_id, self.kind, self.timestamp)


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownBeside:
    """What the store knows of a user besides events and attributes."""

    friends: dict[str, float] = field(default_factory=dict)
    """Friend's id -> weight of the friendship."""
    searches: list[tuple[str, float]] = field(default_factory=list)
    """The user's newest searches and their times, oldest first."""
    location: tuple[float, float] | None = None
    """Latitude and longitude of the user's newest located event, if it is recent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """Record that a slate was shown as part of an experiment."""

    experiment: str
    arm: str
    is_new: bool
    """Whether few events of the user were known."""
    closes_at: float
    """End of the time in which the user's events count, if this is the user's first slate of the
    experiment; seconds since 1970.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Impression:
    """One slate shown to one user."""

    slate_id: str
    user_id: str
    item_ids: Sequence[str]
    """Best first; the place of an item is its position, from 0."""
    scores: Sequence[float]
    """Final score of each item."""
    propensity: Sequence[float]
    """Probability in (0, 1] that each item was shown at its place."""
    model_version: str
    timestamp: float
    """Seconds since 1970."""
    n_support: int
    """Number of the user's events that the slate was made from."""
    exposure: Exposure | None = None
    """The experiment it belongs to, if any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Appended:
    """Outcome of storing a batch of events, returned once they are on disk."""

    accepted: int
    """Events newly stored."""
    duplicates: int
    """Events already in the store (or earlier in the batch) by id or as a copy; the stored ones are
    unchanged.
    """
    forgotten: int = 0
    """Events dropped because their user asked to be forgotten after they happened."""
    unknown_slates: int = 0
    """New events that name a slate no longer kept, so that they answer none."""
