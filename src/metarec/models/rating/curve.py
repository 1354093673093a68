"""Curves from a linear prediction to the median rating: ratings are skewed and lie on grades, so
the prediction of least absolute error is not linear.

Piecewise linear curves in steps of the scale, one for each number of ratings, fitted on held-out
users. Absolute error alone would pull every prediction to a grade and raise the squared error; so
mixtures of both losses are fitted, and the one of least absolute error is chosen whose squared
error is not above that of the identity, cross-fitted between halves of the users. The curves
increase strictly, so the order of items never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metarec.runtime.interpolation import Interpolation

CORNERS = 21
"""Points of a curve, at equal quantiles of the predictions."""
GAP = 0.01
"""Minimum distance between two points, in steps."""
SQUARES = (0.5, 0.4, 0.32, 0.25, 0.18, 0.12, 0.06, 0.0)
"""Weights of the squared error in the losses that are tried; the absolute error has the rest."""
PULL = 1.0
"""Penalty of the changes of slope at the points, in units of users."""
LEAST_SLOPE = 0.1
"""Minimum slope of a curve, so that predictions of different items stay different."""
ROUNDS = 5
"""Reweighted least squares solves of each loss, started from the solution of the loss before."""
CELLS = 4
"""Cells between two points; rows with prediction and target in the same cell are merged."""
CELLS_OF_A_STEP = 20
"""Cells of the targets in one step."""


@dataclass(frozen=True, kw_only=True)
class MedianCurves:
    """Maps from linear predictions to medians, both in steps, one for each number of ratings."""

    points: np.ndarray
    """[K] numbers of ratings."""
    corners: np.ndarray
    """[K, J] linear predictions, ascending; J is 0 for the identity."""
    values: np.ndarray
    """[K, J] medians at these predictions, ascending."""

    @classmethod
    def straight(cls) -> MedianCurves:
        """Return the identity."""
        return cls(points=np.zeros(1, int), corners=np.zeros((1, 0)), values=np.zeros((1, 0)))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> MedianCurves:
        """Return the curves of a saved head; the identity for heads saved before there were any."""
        if "curve_corners" not in arrays:
            return cls.straight()
        values = arrays["curve_values"]
        return cls(points=arrays["points"], corners=arrays["curve_corners"], values=values)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything learned, as named arrays, except the points, which the head saves."""
        return {"curve_corners": self.corners, "curve_values": self.values}

    def of(self, steps: np.ndarray, ratings: np.ndarray) -> np.ndarray:
        """Return [E] the medians at linear predictions `steps` [E], for users with `ratings` [E]
        known ratings.
        """
        if not self.corners.shape[1]:
            return steps
        bent, n_ratings = np.array(steps, np.float64), np.minimum(ratings, self.points[-1])
        for number in set(n_ratings.tolist()):
            rows = n_ratings == number
            bent[rows] = bend(bent[rows], *self._by_ratings.after(number))
        return bent

    @cached_property
    def _by_ratings(self) -> Interpolation:
        return Interpolation.between(self.points, np.stack([self.corners, self.values], axis=1))


def bend(steps: np.ndarray, corners: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return [E] the curve's values at predictions `steps`; beyond its ends the slope is 1."""
    inside = np.minimum(np.maximum(steps, corners[0]), corners[-1])
    return np.asarray(steps + np.interp(inside, corners, values) - inside)


def median_curve(
    steps: np.ndarray, targets: np.ndarray, weights: np.ndarray, half: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return corners and values [J] of the curve from predictions to `targets`; the identity where
    curves cross-fitted between halves of the users do not lower the absolute error.

    Args:
        steps: [E] linear predictions.
        targets: [E] ratings, in steps from the mean.
        weights: [E] sample weights.
        half: [E] whether the event is of a user of the first half.
    """
    corners = _corners(steps, weights)
    n_curves = len(SQUARES) + 1
    absolute, squared, crossed = (
        np.zeros(n_curves),
        np.zeros(n_curves),
        np.zeros(n_curves - 1),
    )
    for who in (half, ~half):
        of_training = (values[~who] for values in (steps, targets, weights))
        curves = (corners, *_curves(corners, *of_training, pull=PULL / 2))
        left = targets[who] - np.stack([bend(steps[who], corners, curve) for curve in curves])
        absolute += np.abs(left) @ weights[who]
        squared += left**2 @ weights[who]
        crossed += (left[1:] * left[:-1]) @ weights[who]
    best = int(np.where(squared > squared[0], np.inf, absolute).argmin())
    share = _share_of_next(best, absolute, squared, crossed)
    values = (corners, *_curves(corners, steps, targets, weights, pull=PULL))
    if not share:
        return corners, values[best]
    return corners, (1.0 - share) * values[best] + share * values[best + 1]


def _share_of_next(
    best: int, absolute: np.ndarray, squared: np.ndarray, crossed: np.ndarray
) -> float:
    """Return the share in [0, 1] of the next curve in a mixture with the best: the largest whose
    squared error, a quadratic in the share, is not above that of the identity.
    """
    if best == len(crossed) or absolute[best + 1] >= absolute[best]:
        return 0.0
    slope = crossed[best] - squared[best]
    curvature = max(squared[best] + squared[best + 1] - 2.0 * crossed[best], 1e-12)
    room = squared[0] - squared[best]
    return float(np.clip((np.sqrt(slope**2 + curvature * room) - slope) / curvature, 0.0, 1.0))


def _corners(steps: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return [J] predictions at equal quantiles of the weight, at least `GAP` apart."""
    order = np.argsort(steps, kind="stable")
    share = np.cumsum(weights[order]) / weights.sum()
    places = np.searchsorted(share, np.linspace(0.02, 0.98, CORNERS))
    gaps = GAP * np.arange(CORNERS)
    corners = steps[order][np.minimum(places, len(order) - 1)]
    return np.asarray(np.maximum.accumulate(corners - gaps) + gaps)


def _curves(
    corners: np.ndarray, steps: np.ndarray, targets: np.ndarray, weights: np.ndarray, *, pull: float
) -> list[np.ndarray]:
    """Return values [J] of least loss for each mixture of losses, by iteratively reweighted least
    squares.
    """
    steps, targets, weights = _joined(corners, steps, targets, weights)
    inside = np.minimum(np.maximum(steps, corners[0]), corners[-1])
    place = np.clip(np.searchsorted(corners, inside, side="right") - 1, 0, len(corners) - 2)
    width = np.diff(corners)
    share = (inside - corners[place]) / width[place]
    bends = np.diff(np.eye(len(corners)), axis=0) / width[:, None]
    bends = np.diff(bends, axis=0)
    regular = pull * bends.T @ bends + 1e-3 * weights.sum() / len(corners) * np.eye(len(corners))
    left, moved, curves = targets - steps, np.zeros(len(corners)), []
    for square in SQUARES:
        for _ in range(ROUNDS):
            error = left - (1 - share) * moved[place] - share * moved[place + 1]
            each = weights * ((1 - square) / np.maximum(np.abs(error), 0.05) + 2 * square)
            gram, target = _normal(each, left, place, share, len(corners))
            moved = np.linalg.solve(gram + regular, target)
        curves.append(_rising(corners, corners + moved))
    return curves


def _normal(
    each: np.ndarray, left: np.ndarray, place: np.ndarray, share: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return Gram matrix [J, J] and target [J] of the normal equations for changes of the values;
    each event depends on the two corners around its prediction.
    """
    before, after = each * (1 - share), each * share
    diagonal = np.bincount(place, before * (1 - share), size)
    diagonal += np.bincount(place + 1, after * share, size)
    beside = np.bincount(place, before * share, size)[:-1]
    target = np.bincount(place, before * left, size) + np.bincount(place + 1, after * left, size)
    return np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1), target


def _joined(
    corners: np.ndarray, steps: np.ndarray, targets: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge events in the same cell of prediction and target into their weighted mean; return
    predictions, targets and total weights.
    """
    parts = np.arange(CELLS * (len(corners) - 1) + 1) / CELLS
    of_steps = np.searchsorted(np.interp(parts, np.arange(len(corners)), corners), steps)
    of_targets = np.floor(targets * CELLS_OF_A_STEP).astype(np.int64)
    of_targets -= of_targets.min(initial=0)
    cells = of_steps * (of_targets.max(initial=0) + 1) + of_targets
    _, cell = np.unique(cells, return_inverse=True)
    totals = np.maximum(np.bincount(cell, weights), 1e-12)
    return (
        np.bincount(cell, weights * steps) / totals,
        np.bincount(cell, weights * targets) / totals,
        totals,
    )


def _rising(corners: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the values, raised where their slope would be below `LEAST_SLOPE`."""
    least = LEAST_SLOPE * corners
    return np.asarray(np.maximum.accumulate(values - least) + least)
