"""Discounted gains of ranked lists, with binary gains and log2 discounts: the one definition of
NDCG for training, tuning and evaluation (Jarvelin and Kekalainen 2002).
"""

from __future__ import annotations

import numpy as np


def discounts(places: int) -> np.ndarray:
    """Return [places] the discount of each place: 1 / log2(place + 1), places from 1."""
    return np.asarray(1.0 / np.log2(np.arange(2, places + 2)))


def ideal_gains(relevant: np.ndarray, places: int) -> np.ndarray:
    """Return [B] the gain of the ideal list of this many places; 1 if nothing is relevant."""
    best = np.concatenate([[1.0], np.cumsum(discounts(places))])
    return np.asarray(best[np.minimum(relevant, places)])


def ndcg_of_hits(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """Return [B] the NDCG of lists [B, K] given as hits; 0 if nothing is relevant.

    Args:
        relevant: [B] number of relevant items of each user, listed or not.
    """
    places = hits.shape[1]
    gain = hits.astype(np.float64) @ discounts(places)
    return np.where(relevant > 0, gain / ideal_gains(relevant, places), 0.0)


def hits_of_scores(scores: np.ndarray, is_relevant: np.ndarray, places: int) -> np.ndarray:
    """Return [B, K] whether each of the best `places` of scores [B, N] is relevant, ties in
    arbitrary order: for choosing settings. Evaluation breaks ties at random
    (`evaluation.metrics.rank`).

    Args:
        is_relevant: bool [B, N].
    """
    items = scores.shape[1]
    top = np.argpartition(-scores, places, axis=1)[:, :places] if places < items else None
    best = scores if top is None else np.take_along_axis(scores, top, 1)
    order = np.argsort(-best, axis=1, kind="stable")
    ranked = order if top is None else np.take_along_axis(top, order, 1)
    return np.take_along_axis(is_relevant, ranked, 1)


def ndcg_of_scores(scores: np.ndarray, is_relevant: np.ndarray, places: int) -> np.ndarray:
    """Return [B] the NDCG of the best `places` of scores [B, N], see `hits_of_scores`."""
    return ndcg_of_hits(hits_of_scores(scores, is_relevant, places), is_relevant.sum(1))
