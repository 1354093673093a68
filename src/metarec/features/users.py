"""What is known of the users who ask: the one thing that every model is asked with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metarec.features.histories import Histories
from metarec.features.request_context import RequestContext

_REFUSED, _CONTEXT, _GIVEN = "refused", "context", "given"


@dataclass(frozen=True, kw_only=True)
class UserBatch:
    """B users at once."""

    support: Histories
    """What they accepted."""
    profiles: np.ndarray
    """[B, P] float32 columns of what they stated of themselves; 0 where nothing is known."""
    refused: Histories = None  # type: ignore[assignment]  # filled in below, never None
    """What they refused: disliked, hidden, returned."""
    attributes: Sequence[Mapping[str, Any]] = field(default=())
    """[B] the same as they stated it, for what reads words; empty: nobody stated any."""

    context: RequestContext = None  # type: ignore[assignment]  # filled in below, never None
    """Friends, place, circumstances and searches."""
    given: Histories = None  # type: ignore[assignment]  # filled in below, never None
    """The few items between which each asks to choose; none: the whole catalog."""

    def __post_init__(self) -> None:
        for name in (_REFUSED, _GIVEN):
            if getattr(self, name) is None:
                object.__setattr__(self, name, Histories.nothing(len(self.support)))
        if getattr(self, _CONTEXT) is None:
            object.__setattr__(self, _CONTEXT, RequestContext.unknown(len(self.support)))

    def __len__(self) -> int:
        return len(self.support)

    @property
    def asked_at(self) -> np.ndarray:
        """[B] float64 seconds at which they ask, else of their newest event; NaN where unknown."""
        known = ~np.isnan(self.support.times)
        if not known.any():
            return self.context.at
        newest = np.full(len(self), -np.inf)
        np.maximum.at(newest, self.support.owners[known], self.support.times[known])
        told = np.where(np.isneginf(newest), np.nan, newest)
        return np.asarray(np.where(np.isnan(self.context.at), told, self.context.at))

    def attributes_of(self, user: int) -> Mapping[str, Any]:
        """What one user stated."""
        return self.attributes[user] if self.attributes else {}

    def refusing(self) -> UserBatch:
        """The users as if they had accepted what they refused, and said nothing of themselves."""
        return UserBatch(support=self.refused, profiles=np.zeros_like(self.profiles))

    def rows(self, indexes: np.ndarray) -> UserBatch:
        """Some of the users."""
        return UserBatch(
            support=self.support.users(indexes),
            profiles=self.profiles[indexes],
            refused=self.refused.users(indexes),
            attributes=[self.attributes[row] for row in indexes] if self.attributes else (),
            context=self.context.rows(indexes),
            given=self.given.users(indexes),
        )
