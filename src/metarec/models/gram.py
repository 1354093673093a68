"""Item-item co-occurrence counts (the Gram matrix that item-to-item models learn from), computed in
blocks of items, so that memory does not grow with the square of the catalog.

The work is one step for each pair of events of a user, so the longest histories cost most while
each of their pairs says least; above `MAX_PAIRS` only the newest events of long histories are
compared. Below the limits of this module the result equals the plain matrix product bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.base import EventsConfig, root_weights

BLOCK_ENTRIES = 2_000_000
"""Bound: entries computed in one block. A block that fits the caches of a core, and whose memory
the next block reuses, costs a quarter less than a larger one.
"""
MAX_PAIRS = 2_000_000_000
"""Bound: pairs of events in all, some 20 seconds of one core; a million ratings of 6,000 users have
0.3 billion.
"""
MAX_ENTRIES = 40_000_000
"""Bound: entries kept for all items together, 320 MB."""
MIN_KEPT = 50
"""Entries kept for each item, however large the catalog is."""


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Events as a matrix of users and items."""

    events: sp.csr_matrix
    """[B, N] weights from `root_weights`."""
    compared: sp.csr_matrix
    """[B, N] the same weights, without the oldest events of histories that are too long to compare.
    """

    @classmethod
    def of(cls, behavior: Behavior, config: EventsConfig) -> Choices:
        """Build the matrix of all events that the training users accepted."""
        events = behavior.whole.matrix(behavior.n_items, root_weights(behavior, config))
        return cls(events=events, compared=newest(behavior.whole, events))

    @property
    def left_out(self) -> int:
        """Number of events that are not compared with others."""
        return int(self.events.nnz - self.compared.nnz)


def note_of(model: str, left_out: int) -> str:
    """Note for users on the events that a model left out; empty if there are none."""
    note = f"{model} left out the {left_out:,} oldest events of the longest histories"
    return note if left_out else ""


def kept_of(max_kept: int, n_items: int) -> int:
    """Number of entries to keep for each of `n_items` items: `max_kept` if that fits `MAX_ENTRIES`,
    else fewer, but at least `MIN_KEPT`.
    """
    return max(min(max_kept, MAX_ENTRIES // max(n_items, 1)), min(max_kept, MIN_KEPT))


def longest_compared(lengths: np.ndarray) -> int:
    """Largest length of history at which all pairs stay within `MAX_PAIRS`; 0 for no limit."""
    if (lengths.astype(np.float64) ** 2).sum() <= MAX_PAIRS:
        return 0
    low, high = 1, int(lengths.max())
    while high - low > 1:
        middle = (low + high) // 2
        fits = (np.minimum(lengths, middle).astype(np.float64) ** 2).sum() <= MAX_PAIRS
        low, high = (middle, high) if fits else (low, middle)
    return low


def newest(histories: Histories, events: sp.csr_matrix) -> sp.csr_matrix:
    """`events` [B, N], the matrix of `histories`, without the oldest events of histories that are
    too long to compare.
    """
    max_events = longest_compared(histories.lengths)
    if not max_events:
        return events
    keep = histories.positions >= np.repeat(histories.lengths - max_events, histories.lengths)
    ends = np.concatenate([[0], np.cumsum(np.minimum(histories.lengths, max_events))])
    return sp.csr_matrix((events.data[keep], events.indices[keep], ends), shape=events.shape)


def gram_blocks(events: sp.csr_matrix) -> Iterator[tuple[int, sp.csr_matrix]]:
    """Yield (first item, [block, N] rows of `events.T @ events`) for all items in order. The
    columns of a row are not sorted, since sorting takes longer than the product.
    """
    by_item = events.T.tocsr()
    start, n_items = 0, events.shape[1]
    pairs = by_item.astype(bool) @ np.diff(events.indptr)
    entries = np.concatenate([[0], np.cumsum(np.minimum(pairs, n_items))])
    while start < n_items:
        end = int(np.searchsorted(entries, entries[start] + BLOCK_ENTRIES, side="right")) - 1
        end = min(max(end, start + 1), n_items)
        yield start, (by_item[start:end] @ events).tocsr()
        start = end
