"""A large catalog in cells of items that are alike to every user.

Items lie in one cell where what models multiply with a user lies close together (k-means over a
random projection of all of it). Two leaders stand for a cell, its most typical and its most popular
item: a request asks about leaders first, and about the members of the best cells only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

DIM = 32
"""Columns that items are projected to before they are compared."""
SAMPLE, ROUNDS = 64, 6
"""Items for each cell that the cells are found on, and rounds of k-means."""
AT_ONCE = 16_384
"""Items compared with the centers at a time."""

Vectors = Callable[[np.ndarray], np.ndarray]
"""[D] of some items."""


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Which items are alike."""

    members: Int[np.ndarray, "items"]
    """[N] int32 items, cell by cell, in each the most popular first."""
    starts: Int[np.ndarray, "ends"]
    """[C + 1] where each cell begins."""
    typical: Int[np.ndarray, "cells"]
    """[C] the item nearest to the middle of each cell."""

    @classmethod
    def of(cls, vectors: Vectors, popularity: np.ndarray, rng: np.random.Generator) -> Cells:
        """Cells of about as many items as there are cells."""
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
        """N, the items that lie in cells."""
        return len(self.members)

    @property
    def leaders(self) -> Int[np.ndarray, "leaders"]:
        """[2 C] the most typical item of each cell, then the most popular of each."""
        return np.concatenate([self.typical, self.members[self.starts[:-1]]]).astype(np.int64)

    @cached_property
    def cell_of(self) -> Int[np.ndarray, "items"]:
        """[N] int32 the cell of each item."""
        found = np.empty(len(self.members), np.int32)
        found[self.members] = np.repeat(np.arange(len(self)), np.diff(self.starts))
        return found

    def first_of(self, cells: Int[np.ndarray, "some"], most: int) -> Int[np.ndarray, "found"]:
        """The most popular members of some cells, at most so many of each, in the cells' order."""
        sizes = np.minimum(self.starts[cells + 1] - self.starts[cells], most)
        return self._from(self.starts[cells], sizes)

    def last_of(self, cells: Int[np.ndarray, "some"], most: int) -> Int[np.ndarray, "found"]:
        """The least popular members of some cells, at most so many of each."""
        sizes = np.minimum(self.starts[cells + 1] - self.starts[cells], most)
        return self._from(self.starts[cells + 1] - sizes, sizes)

    def _from(self, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
        """So many members from each of these places on."""
        before = np.repeat(np.cumsum(sizes) - sizes, sizes)
        at = np.repeat(starts, sizes) + np.arange(len(before)) - before
        return np.asarray(self.members[at], np.int64)

    def among(self, allowed: np.ndarray) -> Cells:
        """The same cells without the members that are not `allowed` [N]; some may be empty."""
        kept = allowed[self.members]
        ends = np.concatenate([[0], np.cumsum(kept)])
        return Cells(members=self.members[kept], starts=ends[self.starts], typical=self.typical)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Cells:
        """From `arrays()`."""
        return cls(**{one.name: arrays[one.name] for one in fields(cls)})


def _projected(
    vectors: Vectors, n_items: int, rng: np.random.Generator
) -> Float[np.ndarray, "items dim"]:
    """[N, D] random projections, in which distances stay about as they are."""
    width = vectors(np.zeros(1, np.int64)).shape[1]
    directions = rng.normal(0.0, DIM**-0.5, (width, DIM)).astype(np.float32)
    found = np.empty((n_items, DIM), np.float32)
    for start in range(0, n_items, AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, n_items))
        found[rows] = vectors(rows) @ directions
    return found


def _centers(points: np.ndarray, cells: int, rng: np.random.Generator) -> np.ndarray:
    """[C, D] k-means of a sample."""
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
    """[N] nearest center of each point, and how far it is (but for the point's own length)."""
    near, far = np.empty(len(points), np.int64), np.empty(len(points), np.float32)
    lengths = np.square(centers).sum(1)
    for start in range(0, len(points), AT_ONCE):
        some = points[start : start + AT_ONCE]
        apart = lengths - 2.0 * (some @ centers.T)
        near[start : start + len(some)] = apart.argmin(1)
        far[start : start + len(some)] = apart.min(1) + np.square(some).sum(1)
    return near, far
