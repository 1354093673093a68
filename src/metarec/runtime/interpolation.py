"""Interpolation, over all numbers of events, of values learned at a few of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Interpolation:
    """Values interpolated linearly in log(1 + events) between points, and constant beyond the first
    and the last point.

    Tabulated once for every number of events up to the last point, since every slate looks them up.
    """

    table: np.ndarray
    """[last point + 1, ...] values after 0, 1, 2, ... events."""

    @classmethod
    def between(cls, points: Sequence[int] | np.ndarray, values: np.ndarray) -> Interpolation:
        """Interpolate `values` [K, ...] at K `points`, numbers of events in ascending order."""
        place = np.interp(
            np.log1p(np.arange(points[-1] + 1)), np.log1p(points), np.arange(len(points))
        )
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, len(points) - 1)
        share = (place - low).reshape(-1, *[1] * (values.ndim - 1))
        return cls((1 - share) * values[low] + share * values[high])

    def after(self, events: np.ndarray | int) -> np.ndarray:
        """Return the values after these numbers of events: the shape of `events`, then that of a
        value.
        """
        return np.asarray(self.table.take(events, axis=0, mode="clip"))
