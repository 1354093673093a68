"""Which items read alike: for each item its nearest by text, as chances to be chosen instead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Num

MAX_COMPARED = 20_000
"""Of a larger catalog only so many items, those with the most events, are compared: comparing is
quadratic, and these take some 15 seconds of one core.
"""
BLOCK = 1000
"""Items compared with all others at a time."""


@dataclass(frozen=True, kw_only=True)
class Alike:
    """The items nearest to each by text."""

    compared: Int[np.ndarray, "compared"]
    """[M] items that have a text, and events."""
    near: Int[np.ndarray, "compared neighbors"]
    """[M, K] those nearest to each."""
    cosines: Float[np.ndarray, "compared neighbors"]
    """[M, K] and how near they are."""

    @classmethod
    def of(
        cls,
        text: Float[np.ndarray, "items dimensions"],
        counts: Int[np.ndarray, "items"],
        neighbors: int,
    ) -> Alike | None:
        """Compare the items of `text` that have `counts` of events above 0, and keep so many
        `neighbors` of each; None where fewer than two of them have a text.
        """
        lengths = np.linalg.norm(text, axis=1)
        compared = np.flatnonzero((lengths > 0) & (counts > 0))
        if len(compared) > MAX_COMPARED:
            first = np.argsort(-counts[compared], kind="stable")[:MAX_COMPARED]
            compared = np.sort(compared[first])
        if len(compared) < 2:
            return None
        directions = (text[compared] / lengths[compared, None]).astype(np.float32)
        near, cosines = _nearest(directions, min(neighbors, len(compared) - 1))
        return cls(compared=compared, near=compared[near], cosines=cosines)

    def chances(
        self, counts: Num[np.ndarray, "items"], sharpness: float, popularity: float
    ) -> sp.csr_matrix:
        """[N, N] float32, rows of sum 1 or 0: the nearer and the more popular by `counts` [N] the
        likelier.

        Args:
            sharpness: a chance grows as exp(sharpness x cosine).
            popularity: exponent of an item's count in its chance.
        """
        chances = np.exp(sharpness * (self.cosines - 1.0)) * counts[self.near] ** popularity
        chances /= np.maximum(chances.sum(1, keepdims=True), 1e-20)
        rows = np.repeat(self.compared, self.near.shape[1])
        shape = (len(counts), len(counts))
        cells = chances.astype(np.float32).ravel(), (rows, self.near.ravel())
        return sp.csr_matrix(cells, shape)


def _nearest(directions: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
    """[M, most] the items nearest to each but itself, and their cosines."""
    found = []
    for start in range(0, len(directions), BLOCK):
        cosines = directions[start : start + BLOCK] @ directions.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -np.inf
        # A copy: a view would hold the order of all items for each block
        top = np.argpartition(-cosines, most - 1, axis=1)[:, :most].copy()
        found.append((top, np.take_along_axis(cosines, top, axis=1)))
    near, cosines = (np.concatenate(part) for part in zip(*found, strict=True))
    return near, cosines
