"""Predicted ratings rehearsed on users held out: shares of the addends, noise, errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories


@dataclass(frozen=True, kw_only=True)
class HeldOutErrors:
    """How far values lay from predictions, in the head's own spreads, for users it learned nothing
    from.
    """

    shots: tuple[int, ...]
    """K support sizes."""
    ratios: np.ndarray
    """[K, E] size of each error over its predicted standard deviation."""
    owners: np.ndarray
    """[E] which of the users each value is of, from 0."""
    users: int


class Head(Protocol):
    """What is rehearsed: a `RatingHead`."""

    @property
    def mean(self) -> float:
        """Of the ratings."""
        ...

    @property
    def unit(self) -> float:
        """Ratings for one step."""
        ...

    @property
    def item_bias(self) -> np.ndarray:
        """[N] steps."""
        ...

    def process(
        self, support: Histories, asked: Histories, profiles: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance of the process at each asked event."""
        ...


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What heads said of values of users they had not seen, at each support size."""

    shots: tuple[int, ...]
    offset_variance: float
    """Of the heads asked."""
    columns: np.ndarray
    """[K, E, 3]: what shares are of."""
    variance: np.ndarray
    """[K, E] of the process."""
    targets: np.ndarray
    """[E] values in steps from the head's mean."""
    owners: np.ndarray
    """[E] which of the users."""
    weights: np.ndarray
    """[E]: each user counts once, as in the mean of per-user errors that is reported."""
    users: int

    @classmethod
    def of(
        cls,
        behavior: Behavior,
        folds: list[tuple[np.ndarray, np.ndarray]],
        heads: Sequence[Head],
        offset_variance: float,
    ) -> Rehearsal:
        """Each head is asked about the users held out of it."""
        parts = [
            _rehearse(head, behavior, part) for head, (_, part) in zip(heads, folds, strict=True)
        ]
        users = np.concatenate([part for _, part in folds])
        asked = behavior.histories.users(users).after(behavior.pools[users])
        share = behavior.weights_of(users) / np.maximum(asked.lengths, 1)
        columns, variance, targets = zip(*parts, strict=True)
        return cls(
            shots=behavior.horizon.shots,
            offset_variance=offset_variance,
            columns=np.concatenate(columns, axis=1),
            variance=np.concatenate(variance, axis=1),
            targets=np.concatenate(targets),
            owners=asked.owners,
            weights=share[asked.owners],
            users=len(users),
        )

    def loss(self) -> float:
        """Mean absolute error with the shares of everyone, over all support sizes."""
        shares, _ = self.shares(np.ones(self.users, bool))
        said = np.einsum("kes,ks->ke", self.columns, shares)
        return float((self.weights * np.abs(self.targets - said)).sum())

    def shares(self, who: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[K, 3] shares by least absolute error and [K] noise, from some of the users."""
        rows = who[self.owners]
        targets, weights = self.targets[rows], self.weights[rows]
        shares, noise = [], []
        for columns, variance in zip(self.columns[:, rows], self.variance[:, rows], strict=True):
            fitted = _least_absolute(columns, targets, weights)
            squares = (targets - columns @ fitted) ** 2
            shares.append(fitted)
            left = max(
                np.average(squares - variance, weights=weights),
                0.05 * np.average(squares, weights=weights),
            )
            noise.append(np.sqrt(left))
        return np.array(shares), np.array(noise)

    def errors(self) -> HeldOutErrors:
        """Errors of each half of the users with shares learned from the other half."""
        half = np.arange(self.users) % 2 == 0
        ratios = np.zeros((len(self.shots), len(self.targets)))
        if self.users < 2:
            ratios, half = ratios[:, :0], half[:0]
        for who in (half, ~half)[: 2 * len(half)]:
            shares, noise = self.shares(~who)
            rows = who[self.owners]
            said = np.einsum("kes,ks->ke", self.columns[:, rows], shares)
            spread = np.sqrt(noise[:, None] ** 2 + self.variance[:, rows])
            ratios[:, rows] = np.abs(self.targets[rows] - said) / np.maximum(spread, 1e-12)
        return HeldOutErrors(
            shots=self.shots,
            ratios=ratios,
            owners=self.owners[: ratios.shape[1]],
            users=len(half),
        )


def _rehearse(
    head: Head, behavior: Behavior, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns [K, E, 3], variances [K, E] and targets [E] of what these users rated after their
    pools.
    """
    histories, pools = behavior.histories.users(part), behavior.pools[part]
    asked = histories.after(pools)
    found = [
        head.process(histories.first(np.minimum(shots, pools)), asked, behavior.profiles[part])
        for shots in behavior.horizon.shots
    ]
    general = np.stack([np.ones(len(asked.items)), head.item_bias[asked.items]], axis=1)
    columns = [np.concatenate([general, process[:, None]], axis=1) for process, _ in found]
    targets = (asked.values - head.mean) / head.unit
    return np.stack(columns), np.stack([variance for _, variance in found]), targets


def _least_absolute(columns: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted least absolute deviations by iteratively reweighted least squares, drawn slightly to
    (0, 1, 1).
    """
    start = np.array([0.0, 1.0, 1.0])
    fitted = start.copy()
    pull = 1e-3 * weights.sum() * np.eye(3)
    for _ in range(30):
        weight = weights / np.maximum(np.abs(targets - columns @ fitted), 0.05)
        weighted = columns * weight[:, None]
        fitted = np.linalg.solve(weighted.T @ columns + pull, weighted.T @ targets + pull @ start)
    return fitted
