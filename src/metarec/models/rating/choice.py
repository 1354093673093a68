"""What users rate at all says something of their ratings, whatever these are: where the Gaussian
process of `models/rating/head.py` starts after each number of ratings.

The implicit feedback of SVD++ (Koren 2008, section 4) in closed form: instead of a vector for each
item, learned by gradients, a few directions in which users' choices differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import diags

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.rating.profile import ProfileEquations, ProfilePrior
from metarec.runtime.interpolation import Interpolation

CLEAR = 3.0
"""Standard errors by which halves of the users must gain by each other: it is asked at each number
of ratings, so once in a while chance alone would gain by two.
"""


@dataclass(frozen=True, kw_only=True)
class ChoicePrior:
    """A ridge from the items that a user rated to the user's weights of the item factors and to
    their offset, one for each number of ratings; silent where nothing is gained.
    """

    vectors: np.ndarray
    """[N, D] float32 of items, of mean 0 over all ratings."""
    points: np.ndarray
    """[K] numbers of ratings."""
    weights: np.ndarray
    """[K, D + 1, F + 1] float32: of the D directions and of a constant."""

    @classmethod
    def nothing(cls) -> ChoicePrior:
        """Says nothing of anyone."""
        weights = np.zeros((1, 1, 1), np.float32)
        return cls(vectors=np.zeros((0, 0), np.float32), points=np.zeros(1, int), weights=weights)

    @classmethod
    def fit(
        cls,
        equations: ProfileEquations,
        vectors: np.ndarray,
        supports: Sequence[Histories],
        points: Sequence[int],
        pulls: Sequence[float | None],
    ) -> ChoicePrior:
        """Of users after each number of ratings, `supports`, with these pulls towards nothing; None
        for nothing at all.
        """
        shape = (len(points), vectors.shape[1] + 1, len(equations.constants))
        weights = np.zeros(shape, np.float32)
        last = points[-1]
        for place, (support, pull) in enumerate(zip(supports, pulls, strict=True)):
            if pull is not None:
                told = ProfilePrior.fit(equations.along(chosen(vectors, support, last)), pull)
                weights[place] = np.vstack([told.weights, -told.middle @ told.weights])
        return cls(
            vectors=vectors.astype(np.float32), points=np.array(points, np.int64), weights=weights
        )

    def of(self, support: Histories) -> np.ndarray:
        """[B, F + 1] where the process starts; 0 for a user without ratings."""
        if not len(self.vectors):
            return np.zeros((len(support), self.weights.shape[2]), np.float32)
        said = chosen(self.vectors, support, int(self.points[-1]))
        columns = np.column_stack([said, support.lengths > 0])
        weights = self._by_ratings.after(support.lengths)
        return np.asarray(np.einsum("bd,bdf->bf", columns, weights), np.float32)

    def with_items(self, n_items: int) -> ChoicePrior:
        """The same for a larger catalog, of whose new items nothing is known."""
        more = n_items - len(self.vectors)
        if not len(self.vectors) or not more:
            return self
        return replace(self, vectors=np.pad(self.vectors, ((0, more), (0, 0))))

    @cached_property
    def _by_ratings(self) -> Interpolation:
        return Interpolation.between(self.points, self.weights)


def chosen(vectors: np.ndarray, support: Histories, last: int) -> np.ndarray:
    """[B, D] mean vector of what users rated, surer by the root of how much it is, of up to `last`
    ratings.
    """
    surer = np.sqrt(np.minimum(support.lengths, last)) / np.maximum(support.lengths, 1)
    return np.asarray(support.sums(vectors[support.items]) * surer[:, None])


def supports_of(behavior: Behavior) -> list[Histories]:
    """What is known of the training users at each support size."""
    sizes = (np.minimum(shots, behavior.pools) for shots in behavior.horizon.shots)
    return [behavior.histories.first(size) for size in sizes]


def vectors_of(
    histories: Histories, item_bias: np.ndarray, dim: int, rng: np.random.Generator
) -> np.ndarray:
    """[N, dim + 2] of items: directions in which users' choices differ most, how many rated them,
    and how well.
    """
    from sklearn.utils.extmath import randomized_svd

    events = histories.matrix(len(item_bias))
    counts = np.bincount(histories.items, minlength=len(item_bias))
    users, items = (np.maximum(count, 1) ** -0.5 for count in (histories.lengths, counts))
    dim = max(min(dim, min(events.shape) - 1), 1)
    _, sizes, directions = randomized_svd(
        diags(users) @ events @ diags(items), dim, n_iter=3, random_state=int(rng.integers(2**31))
    )
    spectral = directions.T * sizes * len(histories) ** 0.5
    vectors = np.column_stack([spectral, np.log1p(counts), item_bias])
    middle = counts @ vectors / max(counts.sum(), 1)
    return np.asarray((vectors - middle) * (counts > 0)[:, None], np.float32)
