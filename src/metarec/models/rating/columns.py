"""Columns of the linear model that combines the addends of a predicted rating."""

from __future__ import annotations

import numpy as np

from metarec.features.histories import Histories

START = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
"""[C] initial coefficients: 1 for the item bias and for the process, 0 for the rest."""
PLAIN = 3
"""Number of plain columns, which come first: a constant, the item bias, the process."""
COUNTED = 3.0
"""Smoothing of a user's spread towards everyone's, in ratings."""


def columns_of(
    bias: np.ndarray, process: np.ndarray, fame: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """Return the columns [E, C] from item biases, process means, relative item counts
    (`log_popularity`) and user spreads (`spread_of`), all [E].

    Count and spread enter alone and as interactions with bias and process: predictions spread
    further for users who rate widely, and lie nearer to the mean for items with few ratings.
    """
    ones = np.ones(len(bias))
    predictions, scales = np.array([ones, bias, process]).T, np.array([ones, fame, spread]).T
    return np.asarray((scales[:, :, None] * predictions[:, None]).reshape(len(bias), len(START)))


def log_popularity(items: np.ndarray, n_items: int) -> np.ndarray:
    """Return [N] float32 the log count of each item over the mean log count of all ratings, minus 1
    (above -1); 0 for an item without ratings, which is new and not unpopular.
    """
    counts = np.bincount(items, minlength=n_items)
    logs = np.log1p(counts)
    middle = counts @ logs / max(counts.sum(), 1)
    return np.where(counts > 0, logs / max(middle, 1e-12) - 1.0, 0.0).astype(np.float32)


def spread_of(support: Histories, left: np.ndarray, noise: float) -> np.ndarray:
    """Return [B] the standard deviation of each user's ratings around the item biases, less that of
    all users, in steps; 0 for a user without ratings.

    Args:
        support: what the users rated.
        left: [E] ratings less mean and item bias, in steps.
        noise: variance of a rating, taken as the variance of all users.
    """
    squares = np.bincount(support.owners, left**2, len(support))
    variance = (squares + COUNTED * noise) / (support.lengths + COUNTED)
    return np.asarray(np.sqrt(variance) - noise**0.5)


def completed(shares: np.ndarray) -> np.ndarray:
    """Return coefficients [K, C], padded with 0: older models saved those of the plain columns
    only.
    """
    return np.pad(shares, ((0, 0), (0, len(START) - shares.shape[1])))
