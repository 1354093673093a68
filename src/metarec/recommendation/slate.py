"""What is asked and what is answered: `Request` in, `Slate` out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metarec.data.errors import BadInput


@dataclass(frozen=True, kw_only=True)
class Request:
    """One person, as far as known, asking for a slate.

    Unknown item ids in `history` are ignored and counted in `Slate.notes`; an empty history is
    fine.
    """

    history: Sequence[tuple[Any, ...]] = ()
    """Events, oldest first: `(item_id, value)`, or `(item_id, value, kind)`, or `(item_id, value,
    kind, timestamp)`; an item id alone is an event without a rating.
    """
    profile: dict[str, Any] = field(default_factory=dict)
    """Attributes of the person; any may be missing."""
    wish: str | None = None
    """What they ask for in words."""
    context: Mapping[str, Any] = field(default_factory=dict)
    """Circumstances of the request, such as `{"hour": 22, "weather": "rain"}`."""
    location: tuple[float, float] | None = None
    """Where they are: latitude and longitude in degrees."""
    friends: Sequence[str] = ()
    """User ids of whom they know; ids that training does not know are ignored and counted."""
    searches: Sequence[str] = ()
    """What they searched for, the newest last."""
    at: float | None = None
    """When they ask, seconds since 1970; the time of their newest event unless given."""
    exclude: Sequence[str] = ()
    """Item ids never to show."""
    allow: Sequence[str] | None = None
    """If given, only these item ids may be shown."""

    def __post_init__(self) -> None:
        history: Any = self.history
        if isinstance(history, str):
            raise BadInput(f"history is a list of events or item ids, got {history!r}")
        if not all(isinstance(event, tuple | list) for event in self.history):
            events = [e if isinstance(e, tuple | list) else (str(e), None) for e in self.history]
            object.__setattr__(self, "history", events)


@dataclass(frozen=True, kw_only=True)
class Slate:
    """The ordered list shown to one person, best first."""

    item_ids: list[str]
    scores: np.ndarray
    """[K] log-scores of the evidence gate; only their order and differences mean something."""
    uncertainty: np.ndarray
    """[K] standard deviation of each item's predicted value on the data's scale; without ratings,
    doubt about its score, 1 for a
    stranger and towards 0 as events like the item arrive."""
    propensity: np.ndarray
    """[K] probability in (0, 1] that this item was shown at this place; 1 without exploration."""
    predicted: np.ndarray | None = None
    """[K] predicted values on the data's scale; None without ratings."""
    interval: np.ndarray | None = None
    """[K, 2] ends of the 90% interval of each predicted value, inside the scale; None without
    ratings.
    """
    model_version: str = ""
    notes: list[str] = field(default_factory=list)
    """What was ignored or assumed, in plain sentences."""
