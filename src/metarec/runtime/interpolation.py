"""What is learned at a few numbers of events, at every number of events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interpolation:
    """Values interpolated between their points in log(1 + events), and kept beyond the first and
    the last.

    Worked out once for every number of events up to the last point: slates ask for them again and
    again.
    """

    table: np.ndarray
    """[last point + 1, ...] the values after 0, 1, 2, ... events."""

    @classmethod
    def between(cls, points: Sequence[int] | np.ndarray, values: np.ndarray) -> Interpolation:
        """From `values` [K, ...] at K `points`, numbers of events in ascending order."""
        place = np.interp(
            np.log1p(np.arange(points[-1] + 1)), np.log1p(points), np.arange(len(points))
        )
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, len(points) - 1)
        share = (place - low).reshape(-1, *[1] * (values.ndim - 1))
        return cls((1 - share) * values[low] + share * values[high])

    def after(self, events: np.ndarray | int) -> np.ndarray:
        """The values after these whole numbers of events: their shape, then that of a value."""
        return np.asarray(self.table[np.minimum(events, len(self.table) - 1)])
