"""The nouns of stage 5: what a user did, what they were shown, what the store answers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from metarec.data.names.kind_names import plain_kind


class StoreUnavailable(OSError):
    """The store cannot take or give data just now; sending the same events (same ids) again later
    is safe.
    """


class EventConflict(ValueError):
    """An event's id was used before for something else that the same user did."""


def copy_key(item_id: str, kind: str, timestamp: float) -> str:
    """A digest of what copies of one event share within their user: item, kind, and the time in
    seconds rounded to whole milliseconds.
    """
    told = json.dumps([item_id, plain_kind(kind), math.floor(timestamp * 1e3 + 0.5)])
    return hashlib.blake2b(told.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One act of a user on an item, or a search."""

    event_id: str
    """Chosen by the sender, for each user anew; the same id sent again is the same event and is
    stored once.
    """
    user_id: str
    item_id: str
    """Empty for a search."""
    timestamp: float
    """Seconds since 1970."""
    kind: str = "event"
    """What they did: `rating`, `like`, `dislike`, `view`, `purchase`, ..."""
    value: float | None = None
    """A stated rating, or the strength of an implicit act; None where the kind says it all."""
    slate_id: str | None = None
    """The slate in which the item was shown, if it was."""
    context: dict[str, Any] = field(default_factory=dict)
    """Circumstances of that moment: device, weather, sensor readings; `latitude` and `longitude`
    say where it happened.
    """
    query: str | None = None
    """What was searched for, where it is a search."""
    is_timed: bool = field(default=False, compare=False)
    """Whether its sender stated the time; then an event of the same user, item and kind at the same
    millisecond is a copy of it, whatever its id and whichever source it comes from.
    """

    @property
    def copy_key(self) -> str | None:
        """What copies of it share within their user; None where its time was made up."""
        if not self.is_timed or self.query is not None:
            return None
        return copy_key(self.item_id, self.kind, self.timestamp)


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownBeside:
    """What the store holds of a user beside events and attributes."""

    friends: dict[str, float] = field(default_factory=dict)
    """Whom they know, and how well."""
    searches: list[str] = field(default_factory=list)
    """Their newest searches that few events followed, oldest first."""
    location: tuple[float, float] | None = None
    """Where their newest event happened, if that is recent: latitude and longitude."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Exposure:
    """That a slate was shown as part of an experiment."""

    experiment: str
    arm: str
    is_new: bool
    """Whether few events were known of the user."""
    closes_at: float
    """Until when what the user does counts, if this is their first slate of it; seconds since
    1970.
    """


@dataclass(frozen=True, kw_only=True, slots=True)
class Impression:
    """One slate shown to one user."""

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
    """How many events of the user the slate was made from."""
    exposure: Exposure | None = None
    """The experiment it belongs to, if any."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Appended:
    """What became of a batch of events; by the time one reads this, they are on disk."""

    accepted: int
    duplicates: int
    """Events whose id, or a copy of which, the store (or the batch itself) held before; they were
    left as they were.
    """
    forgotten: int = 0
    """Events dropped because their user asked to be forgotten after they happened."""
    unknown_slates: int = 0
    """New events that name a slate which is not kept, so that they answer none."""
