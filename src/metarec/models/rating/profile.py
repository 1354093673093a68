"""Prior mean of the Gaussian process of `models/rating/head.py` from a user's profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.linalg import solve

from metarec.features.histories import Histories

USERS_AT_ONCE = 2048
"""Users whose matrices are inverted at a time: bounds memory."""


@dataclass(frozen=True, kw_only=True)
class ProfilePrior:
    """Ridge regression from profile columns to a user's weights of the item factors and to their
    offset; 0 without a profile.
    """

    middle: np.ndarray
    """[P] float32 mean of the profile columns."""
    weights: np.ndarray
    """[P, F + 1] float32 coefficients that predict the weights of the F factors and the offset."""

    @classmethod
    def nothing(cls) -> ProfilePrior:
        """Return a prior of mean 0 for every user."""
        return cls(middle=np.zeros(0, np.float32), weights=np.zeros((0, 1), np.float32))

    @classmethod
    def fit(cls, equations: ProfileEquations, pull: float) -> ProfilePrior:
        """Solve the equations of all their users with ridge penalty `pull`."""
        return cls(
            middle=equations.middle[0].astype(np.float32),
            weights=equations.solved(pull).astype(np.float32),
        )

    def of(self, profiles: np.ndarray | None, users: int) -> np.ndarray:
        """Return the prior mean [users, F + 1] of the weights; 0 for a user without a profile."""
        if profiles is None or not len(self.weights):
            return np.zeros((users, self.weights.shape[1]), np.float32)
        is_known = profiles.any(axis=1, keepdims=True)
        return np.asarray(((profiles - self.middle) * is_known) @ self.weights, np.float32)


@dataclass(frozen=True, kw_only=True)
class ProfileEquations:
    """Generalized least squares from user columns (profiles, or choices) to users' weights, under
    the process's own prior of what each user adds. Kept for each half of the users, to evaluate a
    fit of one half on the other.
    """

    middle: np.ndarray
    """[K, P] mean of the user columns at each of K moments, which are support sizes of growing
    length; profiles have one moment.
    """
    directions: np.ndarray
    """[P, D] directions of most variance among the users."""
    constants: np.ndarray
    """[F + 1] prior standard deviation of users' weights: 1, and that of the offset."""
    columns: np.ndarray
    """[K, U, D] centered user columns, projected onto the directions."""
    certainty: np.ndarray
    """[U, F + 1, F + 1] shrinkage matrix of a user's weights given their events, from 0 (no events)
    to the identity.
    """
    posterior_mean: np.ndarray
    """[U, F + 1] posterior mean of a user's weights under a prior of mean 0."""
    weights: np.ndarray
    """[U] sample weight of each user."""

    @classmethod
    def of(
        cls,
        histories: Histories,
        residuals: np.ndarray,
        profiles: np.ndarray,
        factors: np.ndarray,
        *,
        offset_variance: float,
        noise: float,
        weights: np.ndarray,
        max_directions: int,
    ) -> ProfileEquations:
        """Build the equations from `residuals` [E] (ratings less mean and item offset, in steps),
        profiles [U, P] and item factors [N, F], along up to `max_directions` directions of the
        profiles.
        """
        middle = np.average(profiles, axis=0, weights=weights)
        constants = np.append(np.ones(factors.shape[1]), offset_variance**0.5)
        centered = (profiles - middle) * profiles.any(axis=1, keepdims=True)
        directions = _widest(centered, weights, max_directions)
        features = np.column_stack([factors, np.ones(len(factors))]) * constants
        certainty, evidence = _of_users(histories, residuals, features, noise)
        return cls(
            middle=middle[None],
            directions=directions,
            constants=constants,
            columns=(centered @ directions)[None],
            certainty=certainty,
            posterior_mean=evidence,
            weights=weights,
        )

    @cached_property
    def halves(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Gram matrix and target of the normal equations of each half of the users."""
        return [self._of_half(who) for who in self._who]

    def along(self, moments: Sequence[np.ndarray]) -> ProfileEquations:
        """Return the equations of the same users for other columns, [U, D] at each moment, scaled
        to one standard deviation.
        """
        columns = np.stack(moments)
        middle = np.average(columns, axis=1, weights=self.weights)
        columns = columns - middle[:, None]
        spread = np.sqrt(np.average(columns**2, axis=1, weights=self.weights).mean(0))
        directions = np.diag(1.0 / np.maximum(spread, 1e-6))
        return replace(self, middle=middle, directions=directions, columns=columns @ directions)

    def beside(self, start: np.ndarray) -> ProfileEquations:
        """Return the equations of what a prior mean `start` [U, F + 1] leaves unexplained."""
        explained = np.einsum("ufg,ug->uf", self.certainty, start / self.constants)
        return replace(self, posterior_mean=self.posterior_mean - explained)

    def solved(self, pull: float) -> np.ndarray:
        """Return coefficients [P, F + 1], fitted on all users with ridge penalty `pull`."""
        (gram, target), (other_gram, other_target) = self.halves
        coefficients = _solved(gram + other_gram, target + other_target, 2.0 * pull)
        weights = self.directions @ coefficients.reshape(-1, len(self.constants))
        return np.asarray(weights * self.constants)

    def best_pull(self, pulls: Sequence[float], clear: float = 2.0) -> float | None:
        """Return the ridge penalty with the largest gain when each half of the users is predicted
        from the other half; None where its gain is not above `clear` standard errors.
        """
        gains = {pull: self._gains(pull) for pull in pulls}
        best = max(gains, key=lambda pull: float(gains[pull].sum()))
        gain = gains[best]
        is_clear = gain.mean() > clear * gain.std() / max(len(gain), 1) ** 0.5
        return best if is_clear else None

    @property
    def _who(self) -> tuple[np.ndarray, np.ndarray]:
        half = np.arange(len(self.posterior_mean)) % 2 == 0
        return half, ~half

    def _gains(self, pull: float) -> np.ndarray:
        """Return [U] the reduction of each user's squared error by coefficients of the other half,
        summed over the moments.
        """
        gains = np.zeros(len(self.posterior_mean))
        for who, equations in zip(self._who, self.halves[::-1], strict=True):
            coefficients = _solved(*equations, pull).reshape(-1, len(self.constants))
            for columns in self.columns:
                start = columns[who] @ coefficients
                spent = np.einsum("uf,ufg,ug->u", start, self.certainty[who], start)
                gains[who] += self.weights[who] * (
                    2.0 * (start * self.posterior_mean[who]).sum(1) - spent
                )
        return gains

    def _of_half(self, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        of_users = (self.certainty[who], self.posterior_mean[who], self.weights[who])
        grams, targets = zip(*(_equations(c[who], *of_users) for c in self.columns), strict=True)
        return np.mean(np.stack(grams), axis=0), np.mean(np.stack(targets), axis=0)


def _widest(centered: np.ndarray, weights: np.ndarray, max_directions: int) -> np.ndarray:
    """Return [P, D] up to `max_directions` principal directions of the standardized columns;
    linearly dependent ones are left out.
    """
    spread = np.sqrt(np.average(centered**2, axis=0, weights=weights))
    scale = np.where(spread > 0, 1.0 / np.maximum(spread, 1e-6), 0.0)
    scaled = centered * scale
    sizes, directions = np.linalg.eigh((scaled * weights[:, None]).T @ scaled / weights.sum())
    kept = np.flatnonzero(sizes > 1e-6 * max(float(sizes.max(initial=0.0)), 1e-12))
    return np.asarray(scale[:, None] * directions[:, kept[-max_directions:]])


def _of_users(
    histories: Histories, residuals: np.ndarray, features: np.ndarray, noise: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return `certainty` and `posterior_mean` of `ProfileEquations` for each user."""
    n_users, dim = len(histories), features.shape[1]
    certainty = np.empty((n_users, dim, dim))
    for column in range(dim):  # one at a time: all products would be as large as the catalog
        certainty[:, column] = histories.sums_of(features * features[:, column : column + 1])
    evidence = histories.sums_of(features, residuals)[..., None] / noise
    for start in range(0, n_users, USERS_AT_ONCE):
        users = slice(start, start + USERS_AT_ONCE)
        grams = certainty[users] / noise
        inverse = np.linalg.inv(np.eye(dim) + grams)
        certainty[users], evidence[users] = inverse @ grams, inverse @ evidence[users]
    return certainty, evidence[..., 0]


def _equations(
    columns: np.ndarray, certainty: np.ndarray, evidence: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return Gram matrix [D (F + 1), D (F + 1)] and target [D (F + 1)] of the coefficients."""
    n_columns, dim = columns.shape[1], evidence.shape[1]
    gram = np.zeros((n_columns, dim, n_columns, dim))
    weighted = np.ascontiguousarray(columns.T) * weights
    of_pairs = np.ascontiguousarray(certainty.transpose(1, 2, 0))  # each pair's users in a row
    for one in range(dim):
        for other in range(one, dim):
            block = (weighted * of_pairs[one, other]) @ columns
            gram[:, one, :, other] = gram[:, other, :, one] = block
    return gram.reshape(n_columns * dim, n_columns * dim), (weighted @ evidence).ravel()


def _solved(gram: np.ndarray, target: np.ndarray, pull: float) -> np.ndarray:
    return np.asarray(solve(gram + pull * np.eye(len(gram)), target, assume_a="pos"))
