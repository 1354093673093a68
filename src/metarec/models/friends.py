"""Friends: evidence from what a user's friends took, for users who name friends.

Friends are weighted by the edge of the graph. Friends of friends count as well, less where the
friend between has many friends or the user reached is known to many (as in Adamic and Adar 2003,
"Friends and neighbors on the web"). So do users who took much the same as the friends, and both
count the more against the friends, the fewer friends are named: one friend is a small sample
(docs/experiments).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.base import EventsConfig, training_weights
from metarec.models.config import setting
from metarec.models.gram import gram_blocks
from metarec.models.sparse_rows import sparse_arrays, sparse_from, strongest

MAX_PAIRS = 50_000_000
"""Bound: pairs of users who took the same item, about a second of one core; above it the items
that most users took are not compared, which say least.
"""
_MATRICES = ("taken", "graph", "similar")


@dataclass(frozen=True, kw_only=True)
class FriendsConfig(EventsConfig):
    """Hyper-parameters of friends."""

    few: float = setting(5.0, above=0)
    """Number of friends whose weight together is 1 (above 0): more friends weigh more, fewer less.
    """
    second_step: float = setting(0.5, at_least=0)
    """Weight of all friends of friends together (0 or more)."""
    similar_step: float = setting(1.0, at_least=0)
    """Weight of all users together who took much the same as the friends (0 or more)."""
    similar: int = setting(50, at_least=1)
    """Such users kept for each user (1 or more)."""
    agreement: float = setting(2.0, at_least=0)
    """Extra weight of a friend who took the same items as the user, times the cosine of both (0 or
    more).
    """
    kept: int = setting(300, at_least=1)
    """Friends of friends kept for each user (1 or more)."""


@dataclass(frozen=True, kw_only=True)
class Friends:
    """Evidence = weighted sum of what friends, friends of friends and users like friends took."""

    taken: sp.csr_matrix
    """[V, N] event weights of each training user; empty rows for users outside the fitted data."""
    graph: sp.csr_matrix
    """[V, V] weights of the second step: row = the friend, column = a friend of that friend."""
    similar: sp.csr_matrix | None = None
    """[V, V] row = the friend, column = a user who took much the same; None in a model saved before
    2026-12, which ranks as it did: all friends weigh 1 together, however many there are.
    """
    config: FriendsConfig = FriendsConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"friends", "item"})
    leaves_out_self = True
    """A user's own events are excluded from the user's evidence, so the gate may learn from the
    very users that this model was fitted on. A cross-fitted model would know fewer friends of a
    training user than it knows of a new user.
    """

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: FriendsConfig | None = None
    ) -> Friends:
        """Store what every user took and the friendship graph."""
        config, context = config or cls.config, behavior.context
        assert context is not None, "fitted only where there are friends"
        n_members = context.n_members
        rows = behavior.whole.matrix(behavior.n_items, training_weights(behavior, config))
        degrees = np.maximum(np.bincount(context.friends.indices, minlength=n_members), 1)
        known = np.maximum(np.diff(context.friends.indptr), 1)
        steps = sp.diags(1.0 / known) @ context.friends @ sp.diags(1.0 / np.sqrt(degrees))
        taken = _at(rows, context.members, n_members)
        return cls(
            taken=taken,
            graph=_at(steps, context.members, n_members),
            similar=_similar(taken, config.similar),
            config=config,
        )

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, N] sparse evidence; nothing for users who name no friend."""
        friends = users.context.friends
        if not friends.nnz:
            return sp.csr_matrix((len(users), self.taken.shape[1]), dtype=np.float32)
        config, named = self.config, _shares(self._agreeing(friends, users))
        reached = config.second_step * self._beyond(friends @ self.graph, users)
        if self.similar is None:
            reached = named + reached
        else:
            like_friends = self._beyond(named @ self.similar, users)
            of_friends = sp.diags(np.diff(friends.indptr) / config.few) @ named
            reached = of_friends + reached + config.similar_step * like_friends
        return (reached @ self.taken).astype(np.float32).tocsr()

    def _beyond(self, reached: sp.csr_matrix, users: UserBatch) -> sp.csr_matrix:
        """Return the shares of users reached by a step from the friends: the strongest, never the
        user who asks.
        """
        others = strongest(_without(reached, users.context.members), self.config.kept)
        return _shares(self._agreeing(others, users))

    def knows(self, users: UserBatch) -> np.ndarray:
        """[B] whether any friend took an item."""
        if not users.context.friends.nnz:
            return np.zeros(len(users), bool)
        return np.asarray(np.diff(self.evidence(users).indptr) > 0)

    def who_took(self, friends: np.ndarray, item: int) -> int:
        """Return how many of these users took an item."""
        return int((self.taken[friends][:, item] > 0).sum())

    def _agreeing(self, reached: sp.csr_matrix, users: UserBatch) -> sp.csr_matrix:
        """Increase the weight of users reached who took the same items as the user who asks."""
        if not reached.nnz or not len(users.support.items):
            return reached
        own = users.support.matrix(self.taken.shape[1])
        norms = np.sqrt(np.maximum(users.support.lengths, 1.0))
        rows = np.repeat(np.arange(len(users)), np.diff(reached.indptr))
        common = (own @ self._unit.T).multiply(reached.astype(bool)).tocsr()
        cosine = np.asarray(common[rows, reached.indices]).ravel() / norms[rows]
        return sp.csr_matrix(
            (
                reached.data * (1.0 + self.config.agreement * cosine),
                reached.indices,
                reached.indptr,
            ),
            shape=reached.shape,
        )

    @cached_property
    def _unit(self) -> sp.csr_matrix:
        lengths = np.sqrt(np.maximum(np.diff(self.taken.indptr), 1.0))
        return sp.diags(1.0 / lengths) @ self.taken.astype(bool).astype(np.float32)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Friends:
        """Return the model for a larger catalog; no friend took a new item yet."""
        taken = self.taken.copy()
        taken.resize((self.taken.shape[0], len(content)))
        return replace(self, taken=taken)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The matrices."""
        return {
            f"{name}_{key}": array
            for name in _MATRICES
            if (matrix := getattr(self, name)) is not None
            for key, array in sparse_arrays(matrix).items()
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: FriendsConfig | None = None
    ) -> Friends:
        """Restore the model from `arrays()`."""
        return cls(
            **{
                name: sparse_from(
                    {k: arrays[f"{name}_{k}"] for k in ("data", "indices", "indptr", "shape")}
                )
                for name in _MATRICES
                if f"{name}_data" in arrays
            },
            config=config or cls.config,
        )


def _similar(taken: sp.csr_matrix, kept: int) -> sp.csr_matrix:
    """[V, V] for each user the `kept` who took most of the same items: the square root of the
    cosine, in which an item counts by the log of how rare it is.
    """
    chosen = (taken > 0).astype(np.float32).tocsr()
    counts = np.bincount(chosen.indices, minlength=chosen.shape[1])
    common = np.sort(counts)
    within = common[np.cumsum(common.astype(np.float64) ** 2) <= MAX_PAIRS]
    rarity = np.log(np.maximum((np.diff(chosen.indptr) > 0).sum(), 1) / np.maximum(counts, 1))
    compared = chosen @ sp.diags(np.where(counts <= within.max(initial=0), rarity, 0.0))
    norms = np.sqrt(np.asarray(compared.multiply(compared).sum(1)).ravel())
    units = (sp.diags(1.0 / np.where(norms > 0, norms, 1.0)) @ compared).astype(np.float32).tocsr()
    units.eliminate_zeros()
    blocks = []
    for start, together in gram_blocks(units.T.tocsr()):
        rows = np.repeat(np.arange(start, start + together.shape[0]), np.diff(together.indptr))
        together.data = np.where(together.indices == rows, 0.0, np.sqrt(together.data))
        together.eliminate_zeros()
        blocks.append(strongest(together, kept))
    return sp.vstack(blocks, format="csr")


def _without(reached: sp.csr_matrix, members: np.ndarray) -> sp.csr_matrix:
    """Remove each user from the users reached by that user."""
    reached = reached.tocsr()
    rows = np.repeat(np.arange(len(members)), np.diff(reached.indptr))
    reached.data[members[rows] == reached.indices] = 0.0
    reached.eliminate_zeros()
    return reached


def _shares(matrix: sp.csr_matrix) -> sp.csr_matrix:
    """Normalize rows to sum 1."""
    total = np.asarray(matrix.sum(1)).ravel()
    return sp.diags(1.0 / np.where(total > 0, total, 1.0)) @ matrix


def _at(rows: sp.csr_matrix, members: np.ndarray, n_members: int) -> sp.csr_matrix:
    """Scatter the rows [U, ...] to the row of each user's `members` index among `n_members`."""
    place = sp.csr_matrix(
        (np.ones(len(members), np.float32), (members, np.arange(len(members)))),
        shape=(n_members, len(members)),
    )
    return (place @ rows).astype(np.float32).tocsr()
