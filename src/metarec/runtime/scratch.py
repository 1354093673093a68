"""Buffers that are reused.

A slate needs several temporary arrays as wide as the catalog. If they are allocated anew each time,
their page faults cost more than the computation.
"""

from __future__ import annotations

import math
import threading

import numpy as np

LARGEST = 16_000_000
"""Maximum numbers in a buffer that is kept; larger arrays are allocated on each use and not
kept.
"""

PIECE = 131_072
"""Numbers processed at a time, half a megabyte: several steps over them stay within a core's own
cache.
"""


def column_pieces(n_rows: int, n_columns: int) -> list[slice]:
    """Return slices that cut the columns of an array into chunks of about `PIECE` numbers."""
    width = max(1024, PIECE // max(n_rows, 1))
    return [slice(start, start + width) for start in range(0, n_columns, width)]


def cut_at_zero(values: np.ndarray) -> None:
    """Clip negative values to zero, in place; four times faster with an array of zeros than with
    the scalar.
    """
    np.maximum(values, np.zeros(values.shape[-1], values.dtype), out=values)


class Scratch:
    """float32 buffers by name, separate for each thread; the content is lost when the thread
    requests the name again.
    """

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return a contiguous, uninitialized array of `shape`."""
        size = math.prod(shape)
        if size > LARGEST:
            return np.empty(shape, np.float32)
        kept: dict[str, np.ndarray] = self._of_thread.__dict__
        buffer = kept.get(name)
        if buffer is None or len(buffer) < size:
            buffer = kept[name] = np.empty(size, np.float32)
        return buffer[:size].reshape(shape)
