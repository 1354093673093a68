"""Errors of predicted values, and calibration of stated uncertainty.

Users rate different numbers of items, so values come flat, `[M]`, with `owner [M]` giving the user
of each (`0 .. users - 1`). Every metric is computed for each user and averaged over users
afterwards: a heavy rater counts once.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from metarec.runtime.gains import discounts


def mae(predicted: np.ndarray, actual: np.ndarray, owner: np.ndarray, users: int) -> np.ndarray:
    """Mean absolute error of each user, `mean |predicted - actual|`; `[users]`, 0 or more, NaN for
    a user without values.
    """
    return _mean_by_owner(np.abs(_errors(predicted, actual)), owner, users)


def rmse(predicted: np.ndarray, actual: np.ndarray, owner: np.ndarray, users: int) -> np.ndarray:
    """Root mean squared error of each user; `[users]`, at least the MAE, NaN for a user without
    values.
    """
    return np.asarray(np.sqrt(_mean_by_owner(_errors(predicted, actual) ** 2, owner, users)))


def _errors(predicted: np.ndarray, actual: np.ndarray) -> np.ndarray:
    return np.asarray(predicted, np.float64) - np.asarray(actual, np.float64)


def _mean_by_owner(values: np.ndarray, owner: np.ndarray, users: int) -> np.ndarray:
    count = np.bincount(owner, minlength=users)
    total = np.bincount(owner, weights=values, minlength=users)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def graded_ndcg(
    predicted: np.ndarray,
    actual: np.ndarray,
    owner: np.ndarray,
    users: int,
    k: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """NDCG@k with gain `2^value - 1` of each user's own rated items, ordered by `predicted`;
    `[users]` in [0, 1].

    Burges et al. 2005. Equal predictions are ordered by a shuffle drawn from `rng`. NaN for a user
    without values.
    """
    gain = 2.0 ** np.asarray(actual, np.float64) - 1.0
    shuffle = rng.random(len(gain))
    got = _discounted(gain, np.lexsort((shuffle, -np.asarray(predicted), owner)), owner, users, k)
    best = _discounted(gain, np.lexsort((-gain, owner)), owner, users, k)
    return np.where(
        np.bincount(owner, minlength=users) > 0,
        np.where(best > 0, got / np.where(best > 0, best, 1.0), 0.0),
        np.nan,
    )


def _discounted(
    gain: np.ndarray, order: np.ndarray, owner: np.ndarray, users: int, k: int
) -> np.ndarray:
    whose = owner[order]
    start = np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=users))[:-1]])
    place = np.arange(len(order)) - start[whose]
    weight = np.where(place < k, discounts(k)[np.minimum(place, k - 1)], 0.0)
    return np.bincount(whose, weights=gain[order] * weight, minlength=users)


def interval_coverage(
    predicted: np.ndarray,
    spread: np.ndarray,
    actual: np.ndarray,
    owner: np.ndarray,
    users: int,
    level: float = 0.9,
) -> np.ndarray:
    """Share of each user's values inside the central normal interval `predicted +- z spread`;
    `[users]` in [0, 1].

    Well calibrated where the mean over users is near `level`; below it the model is overconfident.
    NaN for a user without values.

    Args:
        predicted: `[M]` predicted values.
        spread: `[M]` predictive standard deviations, 0 or more.
        actual: `[M]` stated values.
        owner: `[M]` user of each value.
        users: number of users.
        level: nominal coverage in (0, 1).
    """
    half = ndtri(0.5 + level / 2) * np.asarray(spread, np.float64)
    return _mean_by_owner(
        (np.abs(_errors(predicted, actual)) <= half).astype(np.float64), owner, users
    )
