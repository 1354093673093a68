"""Top-k of many score rows at once, with a stated tie rule.

Equal scores are ordered by drawing lots, so that a constant scorer recommends at random and scores as chance, and no
item gains from its place in a file. Items at -inf are never shown: filters, bans and seen items are set so.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt64


def rank(scores: Float[np.ndarray, "*people items"], k: int, rng: np.random.Generator
         ) -> tuple[Int[np.ndarray, "rows k"], Float[np.ndarray, "rows k"]]:
    """The best `k` items of each row, best first.

    Args:
        scores: [B, N] or [N]; -inf marks items that may not be shown.
        k: length of the list; rows with fewer allowed items are padded.
        rng: draws the lots of each row; one draw a row, so ranking a batch equals ranking its rows in turn.

    Returns:
        Indexes [B, K] int64, -1 where a row has no more items, and their scores [B, K], -inf there; K = min(k, N).

    Raises:
        ValueError: if `k` is below 1 or a score is NaN.
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    rows = np.atleast_2d(scores)
    if np.isnan(rows).any():
        raise ValueError(f"a score is NaN (row {int(np.isnan(rows).any(1).argmax())}); scores must be numbers or -inf")
    salt = rng.integers(np.iinfo(np.uint64).max, size=len(rows), dtype=np.uint64)
    best = _candidates(rows, min(k, rows.shape[1]), salt)
    values = np.take_along_axis(rows, best, 1)
    order = np.lexsort((_lots(best, salt[:, None]), -values), axis=1)
    best, values = np.take_along_axis(best, order, 1), np.take_along_axis(values, order, 1)
    return np.where(np.isneginf(values), -1, best).astype(np.int64), values


def _candidates(rows: Float[np.ndarray, "rows items"], k: int, salt: UInt64[np.ndarray, "rows"]) -> Int[np.ndarray, "rows k"]:
    """[B, K] the items of each list in any order; where equal scores straddle the border the lots decide."""
    n_items = rows.shape[1]
    if k == n_items:
        return np.broadcast_to(np.arange(n_items), rows.shape)
    best = np.argpartition(rows, n_items - k, axis=1)[:, n_items - k:]
    inside = np.take_along_axis(rows, best, 1)
    border = inside.min(1, keepdims=True)
    straddles = ((rows == border).sum(1) > (inside == border).sum(1)) & ~np.isneginf(border[:, 0])
    tied = np.flatnonzero(straddles)
    if len(tied):  # common where scores are counts: better items first, then the border's by lot, without sorting the row
        lots = _lots(np.arange(n_items)[None, :], salt[tied, None]) >> np.uint64(2)
        scores, edge = rows[tied], border[tied]
        place = np.where(scores > edge, np.uint64(0), np.where(scores == edge, lots + np.uint64(1), np.iinfo(np.uint64).max))
        best[tied] = np.argpartition(place, k - 1, axis=1)[:, :k]
    return best


def _lots(indexes: np.ndarray, salt: np.ndarray) -> np.ndarray:
    """A random-looking number for each (row, item): splitmix64 of item and salt, cheap where only a few are needed."""
    with np.errstate(over="ignore"):
        mixed = (indexes.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + salt
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
