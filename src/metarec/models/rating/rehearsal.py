"""Cross-fitted predictions of held-out users' ratings, to which the coefficients of the addends,
the median curves and the noise are fitted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.rating.columns import PLAIN, START
from metarec.models.rating.curve import MedianCurves, bend, median_curve
from metarec.runtime.scratch import column_pieces

COLUMN_PULL = 10.0
"""Ridge penalty of the coefficients beyond the plain ones, in units of users."""
ROUNDS, STEP = 15, 1.9
"""Rounds of reweighting, and the length of their steps: every step below 2 lowers the error, and
15 long steps end as near to its least value as 30 of length 1.
"""


@dataclass(frozen=True, kw_only=True)
class HeldOutErrors:
    """Absolute errors of held-out users' ratings over the predicted standard deviation."""

    support_sizes: tuple[int, ...]
    """K support sizes."""
    ratios: np.ndarray
    """[K, E] absolute error over its predicted standard deviation."""
    owners: np.ndarray
    """[E] user of each rating, from 0."""
    users: int
    """Number of held-out users."""


class Head(Protocol):
    """What a rehearsal needs of a `RatingHead`."""

    @property
    def mean(self) -> float:
        """Mean of the ratings."""
        ...

    @property
    def unit(self) -> float:
        """Length of one step, in units of the rating scale."""
        ...

    def columns(
        self, support: Histories, query: Histories, profiles: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the regression columns [E, C] and the variance of the process [E] at each query
        event.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Shares:
    """Coefficients, curves and noise fitted on held-out users, at each of K support sizes."""

    shares: np.ndarray
    """[K, C] coefficients of the columns."""
    curves: MedianCurves
    """Median curves, applied to the weighted sum of the columns."""
    noise: np.ndarray
    """[K] residual standard deviation beside the process's own, in steps."""


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """Outputs of each fold's head for the ratings of its held-out users, at each support size."""

    support_sizes: tuple[int, ...]
    """K support sizes."""
    offset_variance: float
    """Variance of users' offsets in these heads."""
    columns: np.ndarray
    """[K, E, C] float32 regression columns (`models/rating/columns.py`)."""
    variance: np.ndarray
    """[K, E] variance of the process."""
    targets: np.ndarray
    """[E] ratings, in steps from the head's mean."""
    owners: np.ndarray
    """[E] user of each rating, from 0."""
    weights: np.ndarray
    """[E] sample weights: each user counts once, as in the mean of per-user errors that is
    reported.
    """
    users: int
    """Number of held-out users."""

    @classmethod
    def of(
        cls,
        behavior: Behavior,
        folds: list[tuple[np.ndarray, np.ndarray]],
        heads: Sequence[Head],
        offset_variance: float,
        max_ratings: int,
    ) -> Rehearsal:
        """Predict the users of each fold with the head that was fitted without them, for at most
        `max_ratings` of their ratings.
        """
        users = np.concatenate([part for _, part in folds])
        query = _spread(behavior.histories.users(users).after(behavior.pools[users]), max_ratings)
        share = behavior.weights_of(users) / np.maximum(query.lengths, 1)
        cuts = np.cumsum([len(part) for _, part in folds])[:-1]
        parts = [
            _rehearse(head, behavior, part, query.users(rows))
            for head, (_, part), rows in zip(
                heads, folds, np.split(np.arange(len(users)), cuts), strict=True
            )
        ]
        columns, variance, targets = zip(*parts, strict=True)
        return cls(
            support_sizes=behavior.horizon.support_sizes,
            offset_variance=offset_variance,
            columns=np.concatenate(columns, axis=1),
            variance=np.concatenate(variance, axis=1),
            targets=np.concatenate(targets),
            owners=query.owners,
            weights=share[query.owners],
            users=len(users),
        )

    def loss(self) -> float:
        """Return the absolute error of linear fits of the plain columns to all held-out users,
        weighted over events and summed over support sizes.
        """
        plain = self.columns[:, :, :PLAIN].astype(np.float64)
        predicted = [
            columns @ _least_absolute(columns, self.targets, self.weights) for columns in plain
        ]
        return float((self.weights * np.abs(self.targets - predicted)).sum())

    def fitted(self, who: np.ndarray) -> Shares:
        """Fit coefficients and curves by absolute error on the users of the mask `who`."""
        rows = who[self.owners]
        targets, weights = self.targets[rows], self.weights[rows]
        # In pairs of users, since `errors` holds out every second user.
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
        points = np.array(self.support_sizes, np.int64)
        return Shares(
            shares=np.array(shares),
            curves=MedianCurves(points=points, corners=corners, values=values),
            noise=np.array(noise),
        )

    def errors(self) -> HeldOutErrors:
        """Return the errors of each half of the users, with coefficients fitted on the other half;
        none where there are fewer than two users.
        """
        half = np.arange(self.users) % 2 == 0
        ratios = np.zeros((len(self.support_sizes), len(self.targets)))
        if self.users < 2:
            ratios, half = ratios[:, :0], half[:0]
        for who in (half, ~half)[: 2 * len(half)]:
            learned, rows = self.fitted(~who), who[self.owners]
            for place, n_support in enumerate(self.support_sizes):
                steps = self.columns[place, rows] @ learned.shares[place]
                predicted = learned.curves.of(steps, np.full(len(steps), n_support))
                spread = np.sqrt(learned.noise[place] ** 2 + self.variance[place, rows])
                size = np.abs(self.targets[rows] - predicted)
                ratios[place, rows] = size / np.maximum(spread, 1e-12)
        return HeldOutErrors(
            support_sizes=self.support_sizes,
            ratios=ratios,
            owners=self.owners[: ratios.shape[1]],
            users=len(half),
        )


def _spread(histories: Histories, max_events: int) -> Histories:
    """Return at most `max_events` events (one of each user at least): the users with the most
    keep equally many, spread evenly over their history.
    """
    users = np.bincount(histories.lengths, minlength=2)[::-1].cumsum()[::-1]
    per_user = max(1, int(np.searchsorted(users[1:].cumsum(), max_events, side="right")))
    kept = np.minimum(histories.lengths, per_user)[histories.owners]
    place, of = histories.positions, histories.lengths[histories.owners]
    return histories.where((place + 1) * kept // of > place * kept // of)


def _rehearse(
    head: Head, behavior: Behavior, part: np.ndarray, query: Histories
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return columns [K, E, C], variances [K, E] and targets [E] of the ratings `query` of the
    users `part`.
    """
    histories, pools = behavior.histories.users(part), behavior.pools[part]
    sizes, profiles = behavior.horizon.support_sizes, behavior.profiles[part]
    columns = np.empty((len(sizes), len(query.items), len(START)), np.float32)
    variance = np.empty(columns.shape[:2])
    for place, n_support in enumerate(sizes):
        support = histories.first(np.minimum(n_support, pools))
        columns[place], variance[place] = head.columns(support, query, profiles)
    return columns, variance, (query.values - head.mean) / head.unit


def _least_absolute(columns: np.ndarray, targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the coefficients [C] of least weighted absolute deviations, by iteratively reweighted
    least squares, with a ridge penalty towards `START`.
    """
    size = columns.shape[1]
    start = START[:size]
    fitted = start.copy()
    pull = np.diag(np.where(np.arange(size) < PLAIN, 1e-3 * weights.sum(), COLUMN_PULL))
    # The targets as a last row: one product gives both sides of the equations. Single precision
    # within a piece, double over all of them.
    rows = np.concatenate([columns.T, targets[None]]).astype(np.float32)
    weights_of = weights.astype(np.float32)
    for _ in range(ROUNDS):
        sums = np.zeros((size + 1, size + 1))
        for piece in column_pieces(*rows.shape):  # small enough for the CPU cache
            some = rows[:, piece]
            error = np.abs(np.append(fitted, -1.0).astype(np.float32) @ some)
            sums += (some * (weights_of[piece] / np.maximum(error, np.float32(0.05)))) @ some.T
        solved = np.linalg.solve(sums[:-1, :-1] + pull, sums[:-1, -1] + pull @ start)
        fitted = fitted + STEP * (solved - fitted)
    return fitted
