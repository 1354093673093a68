"""Memory that is written over again and again.

A slate needs several arrays as wide as the catalog for a moment. Asked of the system anew each
time, their pages cost more than what is computed in them.
"""

from __future__ import annotations

import math
import threading

import numpy as np

LARGEST = 16_000_000
"""Numbers kept under one name; whatever is larger is worth its allocation and is not held on to."""

PIECE = 131_072
"""Numbers worked on at a time, half a megabyte: several steps over them then stay within a core's
own cache.
"""


def column_pieces(n_rows: int, n_columns: int) -> list[slice]:
    """Cut the columns of an array into pieces of about `PIECE` numbers."""
    width = max(1024, PIECE // max(n_rows, 1))
    return [slice(start, start + width) for start in range(0, n_columns, width)]


def cut_at_zero(values: np.ndarray) -> None:
    """Put zero, in place, for what is below it; four times faster beside an array of zeros than
    beside the number.
    """
    np.maximum(values, np.zeros(values.shape[-1], values.dtype), out=values)


class Scratch:
    """float32 arrays by name, each thread with its own; what is in one is lost when the thread asks
    for the name again.
    """

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """An array of `shape`, contiguous, holding anything."""
        size = math.prod(shape)
        if size > LARGEST:
            return np.empty(shape, np.float32)
        kept: dict[str, np.ndarray] = self._of_thread.__dict__
        found = kept.get(name)
        if found is None or len(found) < size:
            found = kept[name] = np.empty(size, np.float32)
        return found[:size].reshape(shape)
