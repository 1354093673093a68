"""What is known of users who ask beside their history and profile: friends, place, circumstances,
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
    """B users at once; every part may say nothing."""

    friends: sp.csr_matrix
    """[B, V] weights of friends, V the training users of the whole model."""
    location: np.ndarray
    """[B, 2] float64 latitude and longitude; NaN where unknown."""
    circumstances: np.ndarray
    """[B, C] int64 codes of the context columns; 0 where unknown."""
    searches: Sequence[Sequence[str]]
    """[B] queries, the newest last."""
    members: np.ndarray = None  # type: ignore[assignment]  # filled in below, never None
    """[B] int64 place among the V training users of users who are such; -1 for new ones."""
    at: np.ndarray = None  # type: ignore[assignment]  # filled in below, never None
    """[B] float64 seconds at which they ask; NaN where unknown."""

    def __post_init__(self) -> None:
        if getattr(self, _MEMBERS) is None:
            object.__setattr__(self, _MEMBERS, np.full(len(self.searches), -1))
        if getattr(self, _AT) is None:
            object.__setattr__(self, _AT, np.full(len(self.searches), np.nan))

    def rows(self, indexes: np.ndarray) -> RequestContext:
        """Some of the users."""
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
        """Nothing is known of any of them."""
        return cls(
            friends=no_friends(users, 0),
            location=np.full((users, 2), np.nan),
            circumstances=np.zeros((users, 0), np.int64),
            searches=[()] * users,
        )


@lru_cache(maxsize=64)
def no_friends(users: int, members: int) -> sp.csr_matrix:
    """[B, V] without an entry, made once: most requests name no friends."""
    return sp.csr_matrix((users, members), dtype=np.float32)
