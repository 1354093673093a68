"""Discounted gains of ranked lists, with binary gains and log2: the one place that says what NDCG
is, for training, choosing and evaluating alike (Jarvelin and Kekalainen 2002).
"""

from __future__ import annotations

import numpy as np


def discounts(places: int) -> np.ndarray:
    """[places] what a hit counts at each place: 1 / log2(place + 1), places from 1."""
    return np.asarray(1.0 / np.log2(np.arange(2, places + 2)))


def ideal_gains(relevant: np.ndarray, places: int) -> np.ndarray:
    """[B] the gain of the best list of so many places; 1 where nothing is relevant."""
    best = np.concatenate([[1.0], np.cumsum(discounts(places))])
    return np.asarray(best[np.minimum(relevant, places)])


def ndcg_of_hits(hits: np.ndarray, relevant: np.ndarray) -> np.ndarray:
    """[B] NDCG of lists [B, K] whose hits are marked; 0 where nothing is relevant.

    Args:
        relevant: [B] how many items are relevant for each user, listed or not.
    """
    places = hits.shape[1]
    gain = hits.astype(np.float64) @ discounts(places)
    return np.where(relevant > 0, gain / ideal_gains(relevant, places), 0.0)


def hits_of_scores(scores: np.ndarray, is_relevant: np.ndarray, places: int) -> np.ndarray:
    """[B, K] which of the best `places` of scores [B, N] are relevant, equal scores in an order of
    no meaning: for choosing among settings. Evaluation draws lots (`evaluation.metrics.rank`).

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
    """[B] NDCG of the best `places` of scores [B, N], see `hits_of_scores`."""
    return ndcg_of_hits(hits_of_scores(scores, is_relevant, places), is_relevant.sum(1))
