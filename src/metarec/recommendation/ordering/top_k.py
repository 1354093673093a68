"""Top-k of many score rows at once, with a stated tie rule.

Equal scores are ordered by drawing lots, so that a constant scorer recommends at random and scores
as chance, and no item gains from its place in a file. Items at -inf are never shown: filters, bans
and seen items are set so.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt64

MANY_BLOCKS = 8
"""Where more blocks than this times `k` reach the border, equal scores are drawn before they are
sorted.
"""
_LARGEST = np.iinfo(np.uint64).max


def rank(
    scores: Float[np.ndarray, "*users items"],
    k: int,
    rng: np.random.Generator | None,
    names: Int[np.ndarray, "items"] | None = None,
) -> tuple[Int[np.ndarray, "rows k"], Float[np.ndarray, "rows k"]]:
    """The best `k` items of each row, best first.

    Args:
        scores: [B, N] or [N]; -inf marks items that may not be shown.
        k: length of the list; rows with fewer allowed items are padded.
        rng: draws the lots of each row; one draw a row, so ranking a batch equals ranking its rows
            in turn. None: an item has the same lot in every row and every call.
        names: [N] numbers by which lots are drawn, 0 to N - 1 by default: some items of a catalog
            so stand in the order that they have in the whole.

    Returns:
        Indexes [B, K] int64, -1 where a row has no more items, and their scores [B, K], -inf there;
        K = min(k, N).

    Raises:
        ValueError: if `k` is below 1 or a score is NaN.
    """
    if k < 1:
        raise ValueError(f"k must be 1 or more, got {k}")
    rows = np.atleast_2d(scores)
    k = min(k, rows.shape[1])
    salt = (
        np.zeros(len(rows), np.uint64)
        if rng is None
        else rng.integers(_LARGEST, size=len(rows), dtype=np.uint64)
    )
    owner, items = _candidates(rows, k, salt, names)
    values = rows[owner, items]
    order = np.lexsort((_chunks(_named(items, names), salt[owner]), -values, owner))
    owner, items, values = owner[order], items[order], values[order]
    place = np.arange(len(owner)) - np.searchsorted(owner, owner)
    fits = place < k
    best, best_values = (
        np.full((len(rows), k), -1, np.int64),
        np.full((len(rows), k), -np.inf, values.dtype),
    )
    best[owner[fits], place[fits]], best_values[owner[fits], place[fits]] = (
        items[fits],
        values[fits],
    )
    return best, best_values


def _candidates(
    rows: Float[np.ndarray, "rows items"],
    k: int,
    salt: UInt64[np.ndarray, "rows"],
    names: Int[np.ndarray, "items"] | None,
) -> tuple[Int[np.ndarray, "found"], Int[np.ndarray, "found"]]:
    """(row, item) of few items among which the best `k` of each row are; none at -inf.

    The items are given to blocks. `k` blocks have a best item that is at least the k-th best of
    those best items, so only blocks whose best item reaches it are looked into: one pass that only
    compares, where sorting moves what it sorts.
    """
    n_rows, n_items = rows.shape
    depth = max(
        1, n_items // max(4 * k, round((k * n_items) ** 0.5))
    )  # as many blocks as items looked into, the least of both
    blocks = n_items // depth
    best = rows[:, : blocks * depth].reshape(n_rows, depth, blocks).max(1)
    rest = rows[:, blocks * depth :]  # fewer than there are blocks, each a block of its own
    best[:, : rest.shape[1]] = np.maximum(best[:, : rest.shape[1]], rest)
    wrong = np.isnan(best).any(1)
    if wrong.any():
        raise ValueError(
            f"a score is NaN (row {int(wrong.argmax())}); scores must be numbers or -inf"
        )
    border = np.partition(best, blocks - k, axis=1)[:, blocks - k, None]
    # Where fewer than `k` items may be shown the border is -inf; the smallest number keeps those at
    # -inf out.
    border = np.maximum(border, np.finfo(rows.dtype).min)
    reaches = best >= border
    crowded = np.flatnonzero(
        reaches.sum(1) > MANY_BLOCKS * k
    )  # common where scores are counts: many are equal
    reaches[crowded] = False
    owner, block = np.nonzero(reaches)
    items = block[:, None] + blocks * np.arange(depth + 1)
    last = np.minimum(items, n_items - 1)
    at, which = np.nonzero((rows[owner[:, None], last] >= border[owner]) & (items < n_items))
    if not len(crowded):
        return owner[at], items[at, which]
    all_names = _named(np.arange(n_items), names)
    chunks = _chunks(all_names[None, :], salt[crowded, None])
    row, drawn = np.nonzero(_drawn(rows[crowded], border[crowded], k, chunks))
    return np.concatenate([owner[at], crowded[row]]), np.concatenate([items[at, which], drawn])


def _drawn(rows: np.ndarray, border: np.ndarray, k: int, lots: np.ndarray) -> np.ndarray:
    """Which items [R, N] are above the border [R, 1], or on it and among the first `k` there by
    their lots [R, N].
    """
    chunks = np.where(rows == border, lots, _LARGEST)
    return np.asarray(
        (rows > border)
        | ((rows == border) & (chunks <= np.partition(chunks, k - 1, axis=1)[:, k - 1, None]))
    )


def _named(items: np.ndarray, names: np.ndarray | None) -> np.ndarray:
    return items if names is None else names[items]


def _chunks(indexes: np.ndarray, salt: np.ndarray) -> np.ndarray:
    """A random-looking number for each (row, item): splitmix64 of item and salt, cheap where only a
    few are needed.
    """
    mixed = (indexes.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + salt
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
