"""Which items a user rated predicts their ratings, whatever the values: a prior mean for the
Gaussian process of `models/rating/head.py` at each number of ratings.

The implicit feedback of SVD++ (Koren 2008, section 4) in closed form: instead of a vector per item,
learned by gradients, a few principal directions of users' choices. One set of ridge weights is
fitted on support sets of all sizes and on whole histories; at few ratings a direction is shrunk by
its reliability.
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
from metarec.runtime.decomposition import truncated_svd
from metarec.runtime.interpolation import Interpolation

CLEAR = 3.0
"""Standard errors that the gain between halves of the users must exceed. Two are not enough with
few users: vectors and item factors are fitted on both halves, so the test is optimistic.
"""
MIN_BETWEEN = 0.01
"""Lower bound of the variance of choices between users, as a share of the variance within users:
bounds the number of ratings at which a direction gets half of its weight.
"""


@dataclass(frozen=True, kw_only=True)
class ChoicePrior:
    """Ridge regression from the items that a user rated to the user's weights of the item factors
    and to their offset, with coefficients per number of ratings; all 0 where it gains nothing.
    """

    vectors: np.ndarray
    """[N, D] float32 item vectors, of mean 0 over all ratings."""
    points: np.ndarray
    """[K] numbers of ratings."""
    weights: np.ndarray
    """[K, D + 1, F + 1] float32 coefficients of the D directions and of a constant."""

    @classmethod
    def nothing(cls) -> ChoicePrior:
        """Return a prior of mean 0 for every user."""
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
        """Solve the equations, which are along `moments_of` these histories, with ridge penalty
        `pull`.
        """
        numbers, weights = np.array(points, np.int64), equations.solved(pull)
        share = counting(numbers, chance_of(vectors, histories), points[-1])
        constants = np.zeros((len(numbers), 1, weights.shape[1]))
        # The last moment, whole histories, only helps to fit the weights.
        constants[numbers > 0, 0] = -(equations.middle @ weights)[:-1]
        loadings = np.concatenate([share[:, :, None] * weights, constants], axis=1)
        return cls(
            vectors=vectors.astype(np.float32), points=numbers, weights=loadings.astype(np.float32)
        )

    def of(self, support: Histories) -> np.ndarray:
        """Return the prior mean [B, F + 1] of each user's weights; 0 for a user without ratings of
        items that were rated in training: other items could not be chosen then.
        """
        if not len(self.vectors):
            return np.zeros((len(support), self.weights.shape[2]), np.float32)
        support = support.where(self._is_known[support.items])
        choices = chosen(self.vectors, support, int(self.points[-1]))
        weights = self._by_ratings.after(support.lengths)
        constant = (support.lengths > 0)[:, None] * weights[:, -1]
        return np.asarray((choices[:, None] @ weights[:, :-1])[:, 0] + constant, np.float32)

    def with_items(self, n_items: int) -> ChoicePrior:
        """Return the same prior for a larger catalog; the vectors of its new items are 0."""
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
    """Return [B, D] the mean vector of each user's rated items times the square root of the number
    of ratings, counted up to `last`.
    """
    surer = np.sqrt(np.minimum(support.lengths, last)) / np.maximum(support.lengths, 1)
    return np.asarray(support.sums_of(vectors) * surer[:, None])


def moments_of(vectors: np.ndarray, behavior: Behavior) -> list[np.ndarray]:
    """Return shrunk `chosen` vectors [U, D] of the training users, one array per support size and
    a last one of whole histories.
    """
    histories, last = behavior.histories, behavior.horizon.support_sizes[-1]
    supports = [
        histories.first(np.minimum(n_support, behavior.pools))
        for n_support in behavior.horizon.support_sizes
        if n_support
    ]
    chance = chance_of(vectors, histories)
    return [
        chosen(vectors, support, last) * counting(support.lengths, chance, last)
        for support in (*supports, histories)
    ]


def chance_of(vectors: np.ndarray, histories: Histories) -> np.ndarray:
    """Return [D] the number of ratings at which a user's mean vector is half signal and half noise:
    the variance within users over the variance between users.
    """
    lengths = np.maximum(histories.lengths, 1)
    means = histories.sums_of(vectors).astype(np.float64) / lengths[:, None]
    squares = np.bincount(histories.items, minlength=len(vectors)) @ vectors.astype(np.float64) ** 2
    within = squares - histories.lengths @ means**2
    within = np.maximum(within, 0.0) / max(len(histories.items) - len(histories), 1)
    between = means.var(0) - within * (1.0 / lengths).mean()
    return np.asarray(within / np.maximum(np.maximum(between, MIN_BETWEEN * within), 1e-12))


def counting(lengths: np.ndarray, chance: np.ndarray, last: int) -> np.ndarray:
    """Return [B, D] the shrinkage factor of `chosen`: n / (n + `chance`), over the square root of n
    (up to `last`) that `chosen` holds.
    """
    lengths = lengths[:, None]
    surer = np.sqrt(np.maximum(np.minimum(lengths, last), 1))
    return np.asarray(lengths / (lengths + np.maximum(chance, 1e-12)) / surer)


def vectors_of(
    histories: Histories, item_bias: np.ndarray, dim: int, rng: np.random.Generator
) -> np.ndarray:
    """Return item vectors [N, dim + 2]: singular vectors of the normalized user-item matrix, the
    log count of ratings, and the item bias, each centered over all ratings.
    """
    events = histories.matrix(len(item_bias))
    counts = np.bincount(histories.items, minlength=len(item_bias))
    users, items = (np.maximum(count, 1) ** -0.5 for count in (histories.lengths, counts))
    dim = max(min(dim, min(events.shape) - 1), 1)
    normalized = diags(users) @ events @ diags(items)
    _, sizes, directions = truncated_svd(normalized, dim, int(rng.integers(2**31)))
    spectral = directions.T * sizes * len(histories) ** 0.5
    vectors = np.column_stack([spectral, np.log1p(counts), item_bias])
    middle = counts @ vectors / max(counts.sum(), 1)
    return np.asarray((vectors - middle) * (counts > 0)[:, None], np.float32)
