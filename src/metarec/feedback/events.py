"""The nouns of stage 6: what a person did, what they were shown, what the store answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


class StoreUnavailable(OSError):
    """The store cannot take or give data just now; sending the same events (same ids) again later
    is safe.
    """


class EventConflict(ValueError):
    """An event's id was used before for something else that the same user did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing a person did with an item."""

    event_id: str
    """Chosen by the sender, for each user anew; the same id sent again is the same event and is
    stored once.
    """
    user_id: str
    item_id: str
    timestamp: float
    """Seconds since 1970."""
    kind: str = "event"
    """What they did: `rating`, `like`, `dislike`, `view`, `purchase`, ..."""
    value: float | None = None
    """A stated rating, or the strength of an implicit act; None where the kind says it all."""
    slate_id: str | None = None
    """The slate in which the item was shown, if it was."""
    context: dict[str, Any] = field(default_factory=dict)
    """Anything else known at that moment: device, place, sensor readings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Impression:
    """One slate shown to one person."""

    slate_id: str
    user_id: str
    item_ids: Sequence[str]
    """Best first; the place of an item is its position, from 0."""
    scores: Sequence[float]
    propensity: Sequence[float]
    """Probability in (0, 1] that the item was shown at its place."""
    model_version: str
    timestamp: float
    """Seconds since 1970."""
    shots: int
    """How many events of the person the slate was made from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Appended:
    """What became of a batch of events; by the time one reads this, they are on disk."""

    accepted: int
    duplicates: int
    """Events whose id the store (or the batch itself) held before; they were left as they were."""
