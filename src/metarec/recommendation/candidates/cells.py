"""Inverted file cells of a large catalog: k-means clusters of items that score alike for every
user.

Items are clustered by a random projection of all vectors that models multiply with a user. Two
leaders represent a cell, its most typical and its most popular item: a request scores the leaders
first, and then only members of the best cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

DIM = 32
"""Dimension of the random projection."""
SAMPLE, ROUNDS = 64, 6
"""Number of sampled items per cell for k-means, and of its iterations."""
AT_ONCE = 16_384
"""Number of items compared with the centroids at a time."""

Vectors = Callable[[np.ndarray], np.ndarray]
"""Item indexes [I] -> vectors [I, D]."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Assignment of items to cells."""

    members: Int[np.ndarray, "items"]
    """[N] int32 item indexes, cell by cell, the most popular first in each."""
    starts: Int[np.ndarray, "ends"]
    """[C + 1] offset of each cell in `members`."""
    typical: Int[np.ndarray, "cells"]
    """[C] the item nearest to each cell's centroid."""

    @classmethod
    def of(cls, vectors: Vectors, popularity: np.ndarray, rng: np.random.Generator) -> Cells:
        """Cluster the items, into about as many cells as a cell has items."""
        projected = _projected(vectors, len(popularity), rng)
        centers = _centers(projected, max(1, round(len(popularity) ** 0.5)), rng)
        cell, distance = _nearest(projected, centers)
        members = np.lexsort((-popularity, cell))
        sizes = np.bincount(cell, minlength=len(centers))
        kept = np.flatnonzero(sizes)
        starts = np.concatenate([[0], np.cumsum(sizes[kept])])
        by_distance = np.lexsort((distance, cell))
        return cls(
            members=members.astype(np.int32),
            starts=starts.astype(np.int64),
            typical=by_distance[starts[:-1]].astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.typical)

    @property
    def n_items(self) -> int:
        """N, the number of items in cells."""
        return len(self.members)

    @property
    def leaders(self) -> Int[np.ndarray, "leaders"]:
        """[2 C] the most typical item of each cell, then the most popular item of each."""
        return np.concatenate([self.typical, self.members[self.starts[:-1]]]).astype(np.int64)

    @cached_property
    def cell_of(self) -> Int[np.ndarray, "items"]:
        """[N] int32 the cell of each item."""
        cells = np.empty(len(self.members), np.int32)
        cells[self.members] = np.repeat(np.arange(len(self)), np.diff(self.starts))
        return cells

    def first_of(self, cells: Int[np.ndarray, "some"], per_cell: int) -> Int[np.ndarray, "found"]:
        """Return the most popular members of some cells, up to `per_cell` of each, by cell."""
        sizes = np.minimum(self.starts[cells + 1] - self.starts[cells], per_cell)
        return self._from(self.starts[cells], sizes)

    def last_of(self, cells: Int[np.ndarray, "some"], per_cell: int) -> Int[np.ndarray, "found"]:
        """Return the least popular members of some cells, up to `per_cell` of each, by cell."""
        sizes = np.minimum(self.starts[cells + 1] - self.starts[cells], per_cell)
        return self._from(self.starts[cells + 1] - sizes, sizes)

    def _from(self, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """Return `sizes` members from each of the offsets `starts` on."""
        before = np.repeat(np.cumsum(sizes) - sizes, sizes)
        at = np.repeat(starts, sizes) + np.arange(len(before)) - before
        return np.asarray(self.members[at], np.int64)

    def among(self, allowed: np.ndarray) -> Cells:
        """Return the same cells without the members that are not `allowed` [N]; some may be
        empty.
        """
        kept = allowed[self.members]
        ends = np.concatenate([[0], np.cumsum(kept)])
        return Cells(members=self.members[kept], starts=ends[self.starts], typical=self.typical)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all fields as named arrays."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Cells:
        """Rebuild from `arrays()`."""
        return cls(**{one.name: arrays[one.name] for one in fields(cls)})


def _projected(
    vectors: Vectors, n_items: int, rng: np.random.Generator
) -> Float[np.ndarray, "items dim"]:
    """[N, DIM] random projections of the vectors, which approximately preserve distances."""
    width = vectors(np.zeros(1, np.int64)).shape[1]
    directions = rng.normal(0.0, DIM**-0.5, (width, DIM)).astype(np.float32)
    projected = np.empty((n_items, DIM), np.float32)
    for start in range(0, n_items, AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, n_items))
        projected[rows] = vectors(rows) @ directions
    return projected


def _centers(points: np.ndarray, cells: int, rng: np.random.Generator) -> np.ndarray:
    """[C, D] k-means centroids of a random sample."""
    sample = points[rng.permutation(len(points))[: SAMPLE * cells]]
    centers = sample[:cells].copy()
    for _ in range(ROUNDS):
        cell, _ = _nearest(sample, centers)
        sizes = np.bincount(cell, minlength=len(centers))
        sums = np.zeros_like(centers)
        np.add.at(sums, cell, sample)
        centers[sizes > 0] = sums[sizes > 0] / sizes[sizes > 0, None]
    return centers


def _nearest(points: np.ndarray, centers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return [N] the nearest centroid of each point, and [N] the squared distance to it."""
    near, far = np.empty(len(points), np.int64), np.empty(len(points), np.float32)
    lengths = np.square(centers).sum(1)
    for start in range(0, len(points), AT_ONCE):
        some = points[start : start + AT_ONCE]
        apart = lengths - 2.0 * (some @ centers.T)
        near[start : start + len(some)] = apart.argmin(1)
        far[start : start + len(some)] = apart.min(1) + np.square(some).sum(1)
    return near, far
