"""TaNP's own metrics (Lin et al. 2021, arXiv:2103.06137), as computed by its authors' program.

There is no relevance threshold: a place of the list is a hit if its rating is among the user's own
`k` highest, each of which can be hit once. Average precision is divided by `k`, and the gain of a
rating y in NDCG is 2^y - 1; in HIRE's program, otherwise the same, it is y.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from metarec.runtime.gains import discounts


def tanp_scores(
    predicted: np.ndarray,
    actual: np.ndarray,
    owner: np.ndarray,
    users: int,
    cuts: Sequence[int],
    rng: np.random.Generator,
    *,
    is_linear: bool = False,
) -> dict[str, np.ndarray]:
    """Return precision, NDCG and average precision [users] at each cutoff; ties are broken at
    random.

    Args:
        predicted: [E] score by which each query item is ranked.
        actual: [E] its rating.
        owner: [E] index of its user, ascending.
        is_linear: the gain of a rating is the rating, as in HIRE.
    """
    order = np.lexsort((rng.random(len(predicted)), -predicted, owner))
    ranked = np.split(actual[order], np.searchsorted(owner[order], np.arange(1, users)))
    scores = {f"{name}@{k}": np.zeros(users) for k in cuts for name in ("precision", "ndcg", "map")}
    for user, values in enumerate(ranked):
        for k in cuts:
            precision, ndcg, average = _scores(values, k, is_linear=is_linear)
            scores[f"precision@{k}"][user] = precision
            scores[f"ndcg@{k}"][user] = ndcg
            scores[f"map@{k}"][user] = average
    return scores


def _scores(values: np.ndarray, k: int, *, is_linear: bool) -> tuple[float, float, float]:
    """Return the scores of one user's ratings in ranked order; NaN for a user without query items,
    and NaN for NDCG where all gains are 0.
    """
    if not len(values):
        return (np.nan,) * 3
    best, shown = np.sort(values)[::-1][:k], values[:k]
    discount = discounts(len(shown))
    gains = values if is_linear else 2.0**values - 1.0
    ideal = float(np.sort(gains)[::-1][:k] @ discount)
    hits = _hits(shown, best)
    average = float((np.cumsum(hits) / (np.arange(len(hits)) + 1.0)) @ hits) / k
    gain = float(gains[:k] @ discount)
    return float(hits.sum()) / k, gain / ideal if ideal else np.nan, average


def _hits(shown: np.ndarray, best: np.ndarray) -> np.ndarray:
    """Return [k] 1 where a place holds one of the best ratings that no earlier place has used
    up.
    """
    left = dict(zip(*np.unique(best, return_counts=True), strict=True))
    hits = np.zeros(len(shown))
    for place, value in enumerate(shown):
        if left.get(value, 0) > 0:
            left[value] -= 1
            hits[place] = 1.0
    return hits
