"""Context of a batch of requests beside history and profile: friends, location, circumstances and
searches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import scipy.sparse as sp

_MEMBERS, _AT = "members", "at"


@dataclass(frozen=True, kw_only=True)
class RequestContext:
    """Context of B users; every part may be unknown."""

    friends: sp.csr_matrix
    """[B, V] weights of friends, among the V training users of the whole model."""
    location: np.ndarray
    """[B, 2] float64 latitude and longitude in degrees; NaN where unknown."""
    circumstances: np.ndarray
    """[B, C] int64 codes of the context columns; 0 where unknown."""
    searches: Sequence[Sequence[str]]
    """[B] search queries, the newest last."""
    members: np.ndarray = None  # type: ignore[assignment]  # filled in below, never None
    """[B] int64 index among the V training users; -1 for new users."""
    at: np.ndarray = None  # type: ignore[assignment]  # filled in below, never None
    """[B] float64 time of the request in seconds; NaN where unknown."""

    def __post_init__(self) -> None:
        if getattr(self, _MEMBERS) is None:
            object.__setattr__(self, _MEMBERS, np.full(len(self.searches), -1))
        if getattr(self, _AT) is None:
            object.__setattr__(self, _AT, np.full(len(self.searches), np.nan))

    def rows(self, indexes: np.ndarray) -> RequestContext:
        """Return the context of the users at these indexes."""
        return RequestContext(
            friends=self.friends[indexes],
            location=self.location[indexes],
            circumstances=self.circumstances[indexes],
            searches=[self.searches[row] for row in indexes],
            members=self.members[indexes],
            at=self.at[indexes],
        )

    @classmethod
    def unknown(cls, users: int) -> RequestContext:
        """Return a context in which everything is unknown."""
        return cls(
            friends=no_friends(users, 0),
            location=np.full((users, 2), np.nan),
            circumstances=np.zeros((users, 0), np.int64),
            searches=[()] * users,
        )


@lru_cache(maxsize=64)
def no_friends(users: int, members: int) -> sp.csr_matrix:
    """Return an empty matrix [B, V], cached because most requests name no friends."""
    return sp.csr_matrix((users, members), dtype=np.float32)
