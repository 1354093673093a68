"""Batches of users who request recommendations, the input of every model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metarec.features.histories import Histories
from metarec.features.request_context import RequestContext

_REFUSED, _CONTEXT, _GIVEN = "refused", "context", "given"


@dataclass(frozen=True, kw_only=True)
class UserBatch:
    """A batch of B users."""

    support: Histories
    """Items that the users accepted."""
    profiles: np.ndarray
    """[B, P] float32 profile columns; 0 where an attribute is unknown."""
    refused: Histories = None  # type: ignore[assignment]  # filled in below, never None
    """Items that the users refused: disliked, hidden, returned."""
    attributes: Sequence[Mapping[str, Any]] = field(default=())
    """[B] profile attributes as stated, for models that read text; empty: nobody stated any."""

    context: RequestContext = None  # type: ignore[assignment]  # filled in below, never None
    """Friends, location, circumstances and searches."""
    given: Histories = None  # type: ignore[assignment]  # filled in below, never None
    """Candidate items of each user where the request names some; empty: the whole catalog."""

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
        """[B] float64 time of each request in seconds, or of the user's newest event where the
        request has none; NaN where both are unknown.
        """
        has_time = ~np.isnan(self.support.times)
        if not has_time.any():
            return self.context.at
        newest = np.full(len(self), -np.inf)
        np.maximum.at(newest, self.support.owners[has_time], self.support.times[has_time])
        last = np.where(np.isneginf(newest), np.nan, newest)
        return np.asarray(np.where(np.isnan(self.context.at), last, self.context.at))

    def attributes_of(self, user: int) -> Mapping[str, Any]:
        """Return the attributes that one user stated."""
        return self.attributes[user] if self.attributes else {}

    def refusing(self) -> UserBatch:
        """Return a batch with the refused items as support, and without profiles and context."""
        return UserBatch(support=self.refused, profiles=np.zeros_like(self.profiles))

    def rows(self, indexes: np.ndarray) -> UserBatch:
        """Return the users at these indexes."""
        return UserBatch(
            support=self.support.users(indexes),
            profiles=self.profiles[indexes],
            refused=self.refused.users(indexes),
            attributes=[self.attributes[row] for row in indexes] if self.attributes else (),
            context=self.context.rows(indexes),
            given=self.given.users(indexes),
        )

    def in_parts(self, size: int) -> Iterator[tuple[slice, UserBatch]]:
        """Yield at most `size` users at a time, and where they stand."""
        if len(self) <= size:
            yield slice(0, len(self)), self
            return
        for start in range(0, len(self), size):
            indexes = np.arange(start, min(start + size, len(self)))
            yield slice(start, start + len(indexes)), self.rows(indexes)
