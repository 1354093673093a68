"""What predicted ratings add up from, at each asked event: the columns that shares are of."""

from __future__ import annotations

import numpy as np

from metarec.features.histories import Histories

START = np.array([0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
"""[C] shares until users held out say otherwise: the item's bias and the process in full."""
PLAIN = 3
"""The first columns: a constant, the item's bias, the process."""
COUNTED = 3.0
"""Ratings' worth of pull of a user's spread towards everyone's."""


def columns_of(
    bias: np.ndarray, process: np.ndarray, fame: np.ndarray, spread: np.ndarray
) -> np.ndarray:
    """[E, C] of item biases, of the process, of how often each item was rated (`fame_of`) and of
    how far the user's ratings lie from the items' (`spread_of`), all [E].

    Who rates widely is asked to spread further, and items that few rated lie nearer to the mean:
    both scale bias and process beside standing for themselves.
    """
    said = np.stack([bias, process], axis=1)
    both = [np.column_stack([each, each[:, None] * said]) for each in (fame, spread)]
    return np.column_stack([np.ones(len(bias)), said, *both])


def fame_of(items: np.ndarray, n_items: int) -> np.ndarray:
    """[N] float32 logarithm of each item's ratings beside its mean over all ratings, from -1 up; 0
    for an item that nobody rated, which is new and not unloved.
    """
    counts = np.bincount(items, minlength=n_items)
    logs = np.log1p(counts)
    middle = counts @ logs / max(counts.sum(), 1)
    return np.where(counts > 0, logs / max(middle, 1e-12) - 1.0, 0.0).astype(np.float32)


def spread_of(support: Histories, left: np.ndarray, noise: float) -> np.ndarray:
    """[B] how far each user's ratings lie from the items' biases, in steps beyond everyone's; 0 for
    a user without ratings.

    Args:
        support: what the users rated.
        left: [E] ratings less mean and bias, in steps.
        noise: variance of a rating, at which a spread is everyone's.
    """
    squares = np.bincount(support.owners, left**2, len(support))
    variance = (squares + COUNTED * noise) / (support.lengths + COUNTED)
    return np.asarray(np.sqrt(variance) - noise**0.5)


def ratings_of(support: Histories) -> np.ndarray:
    """[B] ratings that are known of each user."""
    return np.bincount(support.owners[support.is_rated], minlength=len(support))


def completed(shares: np.ndarray) -> np.ndarray:
    """[K, C] of shares of the plain columns alone, as they were once saved."""
    return np.pad(shares, ((0, 0), (0, len(START) - shares.shape[1])))
