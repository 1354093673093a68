"""Ranked lists and ranking metrics.

`rank` turns scores `[B, N]` into lists `[B, K]`; `find_hits` marks the relevant places `[B, K]`;
every metric reads those marks, so it works on any saved table of lists. Gains are binary and
discounts log2. A user without relevant items scores 0 (0.5 for AUC); leave such users out before,
as the cold-user split does.
"""

from __future__ import annotations

import numpy as np

from metarec.data.schema import BadInput
from metarec.recommendation.ordering.top_k import rank as order_by_score
from metarec.runtime.gains import discounts, ndcg_of_hits


def rank(
    scores: np.ndarray, k: int, rng: np.random.Generator, candidates: np.ndarray | None = None
) -> np.ndarray:
    """Return the item indexes of the `k` best-scored candidates, best first.

    Ties are ordered by a shuffle drawn from `rng`, anew for each user, so that a constant scorer
    scores as chance. A candidate scored NaN or -inf comes after all others.

    Args:
        scores: `[B, N]`, higher is better.
        k: length of each list.
        rng: orders equal scores.
        candidates: bool `[B, N]` or `[N]`, True where an item may be listed; all where None.

    Returns:
        int64 `[B, k]`; -1 fills places for which no candidate is left.

    Raises:
        BadInput: if `k` is less than 1 or `scores` is not a matrix.
    """
    if k < 1:
        raise BadInput(f"k must be 1 or more, got {k}")
    if np.ndim(scores) != 2:
        raise BadInput(f"scores must be a matrix of users by items, got shape {np.shape(scores)}")
    # A candidate without a usable score gets the lowest number; non-candidates lie below even
    # that.
    usable = np.array(scores, dtype=np.result_type(scores, np.float32))
    lowest = float(np.finfo(usable.dtype).min)
    usable = np.nan_to_num(usable, copy=False, nan=lowest, neginf=lowest)
    if candidates is not None:
        usable[~np.broadcast_to(candidates, usable.shape)] = -np.inf
    listed, _ = order_by_score(usable, k, rng)
    return np.pad(listed, ((0, 0), (0, k - listed.shape[1])), constant_values=-1)


def find_hits(ranked: np.ndarray, is_relevant: np.ndarray) -> np.ndarray:
    """Mark the places of `ranked [B, K]` that hold a relevant item, bool `[B, K]`; `is_relevant` is
    bool `[B, N]`, -1 is no item.
    """
    return np.take_along_axis(is_relevant, np.maximum(ranked, 0), axis=1) & (ranked >= 0)


def ndcg(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Normalized discounted cumulative gain, `sum_j hit_j / log2(j + 1)` over its best possible
    value; `[B]` in [0, 1].

    Jarvelin and Kekalainen 2002, with binary gains. The ideal list holds `min(k, relevant)` hits.
    Empty: 0.

    Args:
        hits: bool `[B, K]`, K at least `k`.
        relevant: `[B]`, how many items are relevant for each user, listed or not.
        k: places looked at.
    """
    return ndcg_of_hits(_first(hits, k), relevant)


def gain_ndcg(ranked: np.ndarray, gains: np.ndarray, k: int) -> np.ndarray:
    """NDCG with the gain of each relevant item, `sum_j gain_j / log2(j + 1)` over its best possible
    value; `[B]` in [0, 1]. With gains that are all the same it is `ndcg`. Empty: 0.

    Args:
        ranked: item indexes `[B, K]`, K at least `k`, -1 for none.
        gains: `[B, N]`, above 0 for relevant items and 0 for others.
        k: places looked at.
    """
    discount = discounts(k)
    got = np.where(ranked >= 0, np.take_along_axis(gains, np.maximum(ranked, 0), axis=1), 0.0)
    places = min(k, gains.shape[1])
    ideal = -np.sort(-gains, axis=1)[:, :places].astype(np.float64) @ discount[:places]
    return np.where(ideal > 0, (_first(got, k) @ discount) / np.where(ideal > 0, ideal, 1.0), 0.0)


def _first(hits: np.ndarray, k: int) -> np.ndarray:
    if k > hits.shape[1]:
        raise BadInput(
            f"k is {k}, but the lists hold only {hits.shape[1]} places; rank with k={k} first"
        )
    return hits[:, :k].astype(np.float64)


def precision(hits: np.ndarray, k: int) -> np.ndarray:
    """Share of the first `k` places that are hits, `hits / k` even where fewer than `k` items
    exist; `[B]` in [0, 1].
    """
    return np.asarray(_first(hits, k).mean(axis=1))


def recall(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Share of all relevant items found in the first `k` places; `[B]` in [0, 1]; below 1 where
    relevant > k. Empty: 0.
    """
    return np.asarray(_first(hits, k).sum(axis=1) / np.maximum(relevant, 1))


def f1(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Harmonic mean of precision and recall, `2 hits / (k + relevant)`; `[B]` in [0, 1]. Empty:
    0.
    """
    return np.asarray(2.0 * _first(hits, k).sum(axis=1) / (k + np.asarray(relevant)))


def accuracy(hits: np.ndarray, relevant: np.ndarray, candidates: np.ndarray, k: int) -> np.ndarray:
    """Share of candidates classified correctly as relevant (listed) or not (not listed); `[B]` in
    [0, 1].

    `1 - (false positives + false negatives) / candidates`; fewer than `k` candidates are all
    listed. With a large catalog it is near 1 for any slate: read it beside F1.

    Args:
        hits: bool `[B, K]`.
        relevant: `[B]` relevant items.
        candidates: `[B]` or scalar, items that could have been listed.
        k: places looked at.
    """
    hits_at_k, listed = _first(hits, k).sum(axis=1), np.minimum(k, candidates)
    return np.asarray(
        1.0 - ((listed - hits_at_k) + (relevant - hits_at_k)) / np.maximum(candidates, 1)
    )


def hit_rate(hits: np.ndarray, k: int) -> np.ndarray:
    """1.0 where at least one of the first `k` places is a hit, else 0.0; `[B]`. Empty: 0."""
    return np.asarray(_first(hits, k).max(axis=1))


def mrr(hits: np.ndarray, k: int) -> np.ndarray:
    """Reciprocal place of the first hit within `k`, 0 without one; `[B]` in [0, 1]. Empty: 0."""
    marks = _first(hits, k)
    return np.asarray(marks.max(axis=1) / (marks.argmax(axis=1) + 1))


def average_precision(hits: np.ndarray, relevant: np.ndarray, k: int) -> np.ndarray:
    """Mean, over all relevant items, of the precision at the place of each hit within `k`; `[B]` in
    [0, 1]. Empty: 0.

    Its mean over users is MAP@k. The divisor is the number of relevant items (as trec_eval and
    ranx), so the maximum is `k / relevant` where more than `k` are relevant.
    """
    marks = _first(hits, k)
    precisions = np.cumsum(marks, axis=1) / np.arange(1, k + 1)
    return np.asarray((precisions * marks).sum(axis=1) / np.maximum(relevant, 1))


def auc(
    scores: np.ndarray, is_relevant: np.ndarray, candidates: np.ndarray | None = None
) -> np.ndarray:
    """Probability that a relevant candidate outscores another one, ties counting half; `[B]` in [0,
    1].

    Area under the ROC curve by the rank sum of Mann and Whitney 1947. Empty (no pair to compare):
    0.5.

    Args:
        scores: `[B, N]`.
        is_relevant: bool `[B, N]`; only candidates count.
        candidates: bool `[B, N]` or `[N]`; all where None.
    """
    import torch  # its searchsorted works row by row, which NumPy's does not

    allowed = (
        np.ones(scores.shape, bool)
        if candidates is None
        else np.broadcast_to(candidates, scores.shape)
    )
    lowest, highest = float(np.finfo(np.float32).min), float(np.finfo(np.float32).max)
    usable = np.nan_to_num(
        np.asarray(scores, np.float32), nan=lowest, neginf=lowest, posinf=highest
    )
    ordered = np.sort(
        np.where(allowed, usable, np.inf), axis=1
    )  # float32 sorts several times faster than ranks are found
    positive = is_relevant & allowed
    count = positive.sum(axis=1)
    rows, items = np.nonzero(positive)
    place = np.arange(len(rows)) - np.repeat(np.cumsum(count) - count, count)
    liked = np.full((len(count), max(int(count.max(initial=0)), 1)), np.inf, np.float32)
    liked[rows, place] = usable[rows, items]
    below, upto = (
        torch.searchsorted(torch.from_numpy(ordered), torch.from_numpy(liked), right=right).numpy()
        for right in (False, True)
    )
    # Pairs of liked items are counted too, one for each and half for an item with itself: in sum
    # count^2 / 2.
    beaten = np.where(np.isfinite(liked), (below + upto) / 2, 0.0).sum(axis=1) - count**2 / 2
    pairs = count * (allowed.sum(axis=1) - count)
    return np.where(pairs > 0, beaten / np.maximum(pairs, 1), 0.5)
