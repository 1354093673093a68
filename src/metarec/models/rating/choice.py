"""What users rate at all says something of their ratings, whatever these are: where the Gaussian
process of `models/rating/head.py` starts after each number of ratings.

The implicit feedback of SVD++ (Koren 2008, section 4) in closed form: instead of a vector for each
item, learned by gradients, a few directions in which users' choices differ. All numbers of ratings
teach the same weights, whole histories too; after few ratings a direction counts as far as it is
no chance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.sparse import diags

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.rating.profile import ProfileEquations
from metarec.runtime.interpolation import Interpolation

CLEAR = 3.0
"""Standard errors by which halves of the users must gain by each other: of few users, chance alone
now and then gains by two, as vectors and item factors are made of both halves.
"""
MIN_BETWEEN = 0.01
"""Of the variance of choices within users at least so much counts as between them: bounds how many
ratings it takes until a direction is believed.
"""


@dataclass(frozen=True, kw_only=True)
class ChoicePrior:
    """A ridge from the items that a user rated to the user's weights of the item factors and to
    their offset, one for every number of ratings; silent where nothing is gained.
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
        histories: Histories,
        points: Sequence[int],
        pull: float,
    ) -> ChoicePrior:
        """From equations along `moments_of` these histories, with this pull towards nothing."""
        numbers, weights = np.array(points, np.int64), equations.solved(pull)
        share = counting(numbers, chance_of(vectors, histories), points[-1])
        constants = np.zeros((len(numbers), 1, weights.shape[1]))
        constants[numbers > 0, 0] = -(equations.middle @ weights)[:-1]  # not of whole histories
        told = np.concatenate([share[:, :, None] * weights, constants], axis=1)
        return cls(
            vectors=vectors.astype(np.float32), points=numbers, weights=told.astype(np.float32)
        )

    def of(self, support: Histories) -> np.ndarray:
        """[B, F + 1] where the process starts; 0 for a user without ratings, or of items alone that
        nobody rated in training: who could not choose them chose nothing.
        """
        if not len(self.vectors):
            return np.zeros((len(support), self.weights.shape[2]), np.float32)
        support = support.where(self._is_known[support.items])
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
    def _is_known(self) -> np.ndarray:
        return np.asarray(self.vectors.any(axis=1))

    @cached_property
    def _by_ratings(self) -> Interpolation:
        return Interpolation.between(self.points, self.weights)


def chosen(vectors: np.ndarray, support: Histories, last: int) -> np.ndarray:
    """[B, D] mean vector of what users rated, surer by the root of how much it is, of up to `last`
    ratings.
    """
    surer = np.sqrt(np.minimum(support.lengths, last)) / np.maximum(support.lengths, 1)
    return np.asarray(support.sums_of(vectors) * surer[:, None])


def moments_of(vectors: np.ndarray, behavior: Behavior) -> list[np.ndarray]:
    """[U, D] what training users chose, after each number of ratings and in all."""
    histories, last = behavior.histories, behavior.horizon.shots[-1]
    supports = [
        histories.first(np.minimum(shots, behavior.pools))
        for shots in behavior.horizon.shots
        if shots
    ]
    chance = chance_of(vectors, histories)
    return [
        chosen(vectors, known, last) * counting(known.lengths, chance, last)
        for known in (*supports, histories)
    ]


def chance_of(vectors: np.ndarray, histories: Histories) -> np.ndarray:
    """[D] after how many ratings a user's mean vector is as much theirs as it is chance: the
    variance within users over that between them.
    """
    lengths = np.maximum(histories.lengths, 1)
    means = histories.sums_of(vectors).astype(np.float64) / lengths[:, None]
    squares = np.bincount(histories.items, minlength=len(vectors)) @ vectors.astype(np.float64) ** 2
    within = squares - histories.lengths @ means**2
    within = np.maximum(within, 0.0) / max(len(histories.items) - len(histories), 1)
    between = means.var(0) - within * (1.0 / lengths).mean()
    return np.asarray(within / np.maximum(np.maximum(between, MIN_BETWEEN * within), 1e-12))


def counting(lengths: np.ndarray, chance: np.ndarray, last: int) -> np.ndarray:
    """[B, D] how much of `chosen` counts: a mean vector of few ratings is mostly `chance`."""
    lengths = lengths[:, None]
    surer = np.sqrt(np.maximum(np.minimum(lengths, last), 1))
    return np.asarray(lengths / (lengths + np.maximum(chance, 1e-12)) / surer)


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
