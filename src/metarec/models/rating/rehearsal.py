"""Predicted ratings rehearsed on users held out: shares of the addends, noise, errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.rating.columns import PLAIN, START
from metarec.models.rating.curve import MedianCurves, bend, median_curve

COLUMN_PULL = 10.0
"""Users' worth of pull of shares beyond the plain ones towards nothing."""


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

    def columns(
        self, support: Histories, asked: Histories, profiles: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """What shares are of [E, C] and variance of the process [E] at each asked event."""
        ...


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What users held out say of a head's columns, at each of K support sizes."""

    shares: np.ndarray
    """[K, C] of the columns."""
    curves: MedianCurves
    """What becomes of their sum."""
    noise: np.ndarray
    """[K] standard deviation left over."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What heads said of values of users they had not seen, at each support size."""

    shots: tuple[int, ...]
    offset_variance: float
    """Of the heads asked."""
    columns: np.ndarray
    """[K, E, C] float32: what shares are of."""
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
        """Mean absolute error of straight lines with plain shares of everyone, over all support
        sizes.
        """
        plain = self.columns[:, :, :PLAIN].astype(np.float64)
        said = [columns @ _least_absolute(columns, self.targets, self.weights) for columns in plain]
        return float((self.weights * np.abs(self.targets - said)).sum())

    def fitted(self, who: np.ndarray) -> Shares:
        """By least absolute error, from some of the users."""
        rows = who[self.owners]
        targets, weights = self.targets[rows], self.weights[rows]
        # By twos, since those held out of a check are every second one.
        half = (self.owners[rows] // 2) % 2 == 0
        shares, curves, noise = [], [], []
        for columns, variance in zip(self.columns[:, rows], self.variance[:, rows], strict=True):
            shares.append(_least_absolute(columns.astype(np.float64), targets, weights))
            steps = columns @ shares[-1]
            curves.append(median_curve(steps, targets, weights, half))
            squares = (targets - bend(steps, *curves[-1])) ** 2
            left = max(
                np.average(squares - variance, weights=weights),
                0.05 * np.average(squares, weights=weights),
            )
            noise.append(np.sqrt(left))
        corners, values = np.array(curves).transpose(1, 0, 2)
        points = np.array(self.shots, np.int64)
        return Shares(
            shares=np.array(shares),
            curves=MedianCurves(points=points, corners=corners, values=values),
            noise=np.array(noise),
        )

    def errors(self) -> HeldOutErrors:
        """Errors of each half of the users with shares learned from the other half."""
        half = np.arange(self.users) % 2 == 0
        ratios = np.zeros((len(self.shots), len(self.targets)))
        if self.users < 2:
            ratios, half = ratios[:, :0], half[:0]
        for who in (half, ~half)[: 2 * len(half)]:
            learned, rows = self.fitted(~who), who[self.owners]
            for place, shots in enumerate(self.shots):
                steps = self.columns[place, rows] @ learned.shares[place]
                said = learned.curves.of(steps, np.full(len(steps), shots))
                spread = np.sqrt(learned.noise[place] ** 2 + self.variance[place, rows])
                size = np.abs(self.targets[rows] - said)
                ratios[place, rows] = size / np.maximum(spread, 1e-12)
        return HeldOutErrors(
            shots=self.shots,
            ratios=ratios,
            owners=self.owners[: ratios.shape[1]],
            users=len(half),
        )


def _rehearse(
    head: Head, behavior: Behavior, part: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Columns [K, E, C], variances [K, E] and targets [E] of what these users rated after their
    pools.
    """
    histories, pools = behavior.histories.users(part), behavior.pools[part]
    asked = histories.after(pools)
    found = [
        head.columns(histories.first(np.minimum(shots, pools)), asked, behavior.profiles[part])
        for shots in behavior.horizon.shots
    ]
    columns = np.stack([columns.astype(np.float32) for columns, _ in found])
    targets = (asked.values - head.mean) / head.unit
    return columns, np.stack([variance for _, variance in found]), targets


def _least_absolute(columns: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted least absolute deviations by iteratively reweighted least squares, drawn slightly to
    where shares start.
    """
    size = columns.shape[1]
    start = START[:size]
    fitted = start.copy()
    pull = np.diag(np.where(np.arange(size) < PLAIN, 1e-3 * weights.sum(), COLUMN_PULL))
    for _ in range(30):
        weight = weights / np.maximum(np.abs(targets - columns @ fitted), 0.05)
        weighted = columns * weight[:, None]
        fitted = np.linalg.solve(weighted.T @ columns + pull, weighted.T @ targets + pull @ start)
    return fitted
