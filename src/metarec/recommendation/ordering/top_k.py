"""Top k of many rows of scores at once, with a defined tie rule.

Ties are broken at random, so that a constant scorer recommends at random and scores as chance, and
no item gains from its position in a file. Items with a score of -inf are never shown: this is how
filters, bans and seen items are applied.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int, UInt64

MANY_ITEMS = 8
"""Where more items than this times `k` for each row reach the border, ties are drawn before
sorting.
"""
LOTS_PER_ITEM = 8
"""Expected number of tied items that are sorted for each item of a list, among many ties."""
_LARGEST = np.iinfo(np.uint64).max


def rank(
    scores: Float[np.ndarray, "*users items"],
    k: int,
    rng: np.random.Generator | None,
    names: Int[np.ndarray, "items"] | None = None,
) -> tuple[Int[np.ndarray, "rows k"], Float[np.ndarray, "rows k"]]:
    """Return the best `k` items of each row, best first.

    Args:
        scores: [B, N] or [N]; -inf marks items that may not be shown.
        k: length of the list; rows with fewer allowed items are padded.
        rng: breaks ties at random; it draws one seed per row, so ranking a batch equals ranking its
            rows in turn. None: ties between two items are broken alike in every row and call.
        names: [N] item indexes from which tie-breaking numbers are hashed, by default 0 to N - 1: a
            subset of a catalog is so ordered like the whole catalog.

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
        # As rng.integers(_LARGEST) draws them, in a tenth of the time
        else rng.bit_generator.random_raw(len(rows)) - np.uint64(1)
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


def n_tied(
    scores: Float[np.ndarray, "rows items"], values: Float[np.ndarray, "rows k"]
) -> Int[np.ndarray, "rows k"]:
    """Return the number of items of the row that share the score of each ranked item, itself
    included; 1 in padded places.

    Args:
        scores: [B, N] as given to `rank`.
        values: [B, K] scores of the best items, as `rank` returns them.
    """
    begins = np.ones(values.shape, bool)
    begins[:, 1:] = values[:, 1:] != values[:, :-1]
    border = values[:, -1:]  # only ties with the last may be cut off
    # Without an axis NumPy counts twice as fast.
    at_border = np.array([np.count_nonzero(row) for row in scores == border], np.int64)
    if begins.all() and at_border.max(initial=1) == 1:  # as nearly always
        return np.ones(values.shape, np.int64)
    run = np.cumsum(begins.ravel()) - 1
    sizes = np.bincount(run)[run].reshape(values.shape)
    sizes = np.where(values == border, at_border[:, None], sizes)
    return np.where(np.isneginf(values), 1, sizes)


def _candidates(
    rows: Float[np.ndarray, "rows items"],
    k: int,
    salt: UInt64[np.ndarray, "rows"],
    names: Int[np.ndarray, "items"] | None,
) -> tuple[Int[np.ndarray, "found"], Int[np.ndarray, "found"]]:
    """Return (row, item) pairs of a few items that contain the best `k` of each row; none with
    -inf.

    The items are split into blocks. At least `k` items reach the k-th best block maximum, and
    hardly more where few are tied: two passes of comparisons, instead of sorting, which moves all
    data.
    """
    n_rows, n_items = rows.shape
    depth = max(
        1, n_items // max(4 * k, round((k * n_items) ** 0.5))
    )  # balances the number of blocks and of items that reach the border
    blocks = n_items // depth
    best = rows[:, : blocks * depth].reshape(n_rows, depth, blocks).max(1)
    surplus = rows[:, blocks * depth :]  # fewer than `blocks`; each is added to another block
    best[:, : surplus.shape[1]] = np.maximum(best[:, : surplus.shape[1]], surplus)
    wrong = np.isnan(best).any(1)
    if wrong.any():
        raise ValueError(
            f"a score is NaN (row {int(wrong.argmax())}); scores must be numbers or -inf"
        )
    border = np.partition(best, blocks - k, axis=1)[:, blocks - k, None]
    # The border is -inf where fewer than `k` items may be shown; the smallest finite number keeps
    # items at -inf out.
    border = np.maximum(border, np.finfo(rows.dtype).min)
    reach = np.flatnonzero(rows >= border)  # many times faster than nonzero() of two axes
    owner, items = np.divmod(reach, n_items)
    if len(reach) <= MANY_ITEMS * k * n_rows:
        return owner, items
    at = _drawn(rows[owner, items] == border[owner, 0], owner, items, k, salt, names)
    return owner[at], items[at]


def _drawn(
    is_tied: np.ndarray,
    owner: np.ndarray,
    items: np.ndarray,
    k: int,
    salt: np.ndarray,
    names: np.ndarray | None,
) -> np.ndarray:
    """Return the indexes of all (row, item) pairs that are not tied at the border, and of the `k`
    tied ones of each row with the lowest tie-breaking numbers.
    """
    above, tied = np.flatnonzero(~is_tied), np.flatnonzero(is_tied)
    lots = _chunks(_named(items[tied], names), salt[owner[tied]])
    n_tied = np.bincount(owner[tied])
    # Lots are uniform, so of many ties only those with low lots need be sorted.
    highest = np.minimum(LOTS_PER_ITEM * k / np.maximum(n_tied, 1), 1.0) * _LARGEST
    low = np.flatnonzero(lots <= highest[owner[tied]])
    if (np.bincount(owner[tied[low]], minlength=len(n_tied)) < np.minimum(k, n_tied)).any():
        low = np.arange(len(lots))
    order = tied[low[np.lexsort((lots[low], owner[tied[low]]))]]
    drawn = order[np.arange(len(order)) - np.searchsorted(owner[order], owner[order]) < k]
    return np.append(above, drawn)


def _named(items: np.ndarray, names: np.ndarray | None) -> np.ndarray:
    return items if names is None else names[items]


def _chunks(indexes: np.ndarray, salt: np.ndarray) -> np.ndarray:
    """Return a pseudorandom number for each (row, item): splitmix64 of item and salt, cheap where
    only a few are needed.
    """
    mixed = (indexes.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + salt
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
