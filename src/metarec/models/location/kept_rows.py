"""Rows of numbers by item that are kept for further requests.

What an item says of all others, or of all training users, takes a pass over them. It depends on
nothing else, and a few items are in most requests.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from metarec.features.histories import Histories

MAX_KEPT = 8_000_000
"""Bound: numbers kept (32 MB), or those of a single batch."""
RowsOf: TypeAlias = "Callable[[np.ndarray], np.ndarray]"
_FILLING = threading.Lock()


class KeptRows:
    """A row [W] float32 for each of N items, computed when an item is first asked for."""

    def __init__(self, n_items: int, width: int) -> None:
        self._start(n_items, width, MAX_KEPT // max(width, 1))

    def __reduce__(self) -> tuple[type[KeptRows], tuple[int, int]]:
        """A model sent to another process takes no rows along: they are computed there."""
        rows, places = self._table
        return KeptRows, (len(places), rows.shape[1])

    def _start(self, n_items: int, width: int, room: int) -> None:
        """Keep nothing, with room for this many rows."""
        # One tuple, so that no thread reads the rows of one table by the places in another.
        self._table = np.empty((room, width), np.float32), np.full(n_items, -1, np.int64)
        self._n_kept = 0

    def sums(
        self, histories: Histories, rows_of: RowsOf, weights: np.ndarray | None = None
    ) -> np.ndarray:
        """[B, W] sum over each user's events of the row of the item, times `weights` [E] float32
        (default 1). `rows_of`, the same in all calls, computes the rows [S, W] of items [S].
        """
        rows, places = self._table
        if (places[histories.items] < 0).any():
            rows, places = self._filled(histories.items, rows_of)
        return replace(histories, items=places[histories.items]).sums_of(rows, weights)

    def _filled(self, items: np.ndarray, rows_of: RowsOf) -> tuple[np.ndarray, np.ndarray]:
        """The table with the rows of `items`. Where there is no room for them, a new one takes its
        place; other threads go on reading theirs.
        """
        with _FILLING:
            asked, (rows, places) = np.unique(items), self._table
            missing = asked[places[asked] < 0]
            if self._n_kept + len(missing) > len(rows):
                self._start(len(places), rows.shape[1], max(len(rows), len(asked)))
                missing, (rows, places) = asked, self._table
            end = self._n_kept + len(missing)
            rows[self._n_kept : end] = rows_of(missing)
            places[missing] = np.arange(self._n_kept, end)
            self._n_kept = end
            return rows, places
