"""Nearest neighbors of items by text, as transition probabilities for the Markov chain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int, Num

MAX_COMPARED = 20_000
"""Bound: items that are compared, those with the most events. Comparing is quadratic, and these
take some 15 seconds of one core.
"""
BLOCK = 1000
"""Bound: items compared with all others at a time."""


@dataclass(frozen=True, kw_only=True)
class Alike:
    """The nearest neighbors of each item by text."""

    compared: Int[np.ndarray, "compared"]
    """[M] items with a text and events."""
    near: Int[np.ndarray, "compared neighbors"]
    """[M, K] nearest neighbors of each."""
    cosines: Float[np.ndarray, "compared neighbors"]
    """[M, K] cosine similarities of these neighbors."""

    @classmethod
    def of(
        cls,
        text: Float[np.ndarray, "items dimensions"],
        counts: Int[np.ndarray, "items"],
        neighbors: int,
    ) -> Alike | None:
        """Compare the items of `text` that have `counts` of events above 0, and keep `neighbors`
        neighbors of each; None where fewer than two of them have a text.
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
        """[N, N] float32 probabilities of each item's neighbors, which grow with similarity and
        with popularity by `counts` [N]; rows sum to 1, or to 0 without neighbors. Items without
        events are no neighbors and have none.

        Args:
            sharpness: a probability grows as exp(sharpness x cosine).
            popularity: exponent of an item's count in its probability.
        """
        has_events = counts > 0
        popular = counts**popularity * has_events
        chances = np.exp(sharpness * (self.cosines - 1.0)) * popular[self.near]
        chances /= np.maximum(chances.sum(1, keepdims=True), 1e-20)
        chances *= has_events[self.compared, None]
        rows = np.repeat(self.compared, self.near.shape[1])
        shape = (len(counts), len(counts))
        cells = chances.astype(np.float32).ravel(), (rows, self.near.ravel())
        return sp.csr_matrix(cells, shape)


def _nearest(directions: np.ndarray, n_neighbors: int) -> tuple[np.ndarray, np.ndarray]:
    """[M, most] the nearest items to each except itself, and their cosines."""
    nearest = []
    for start in range(0, len(directions), BLOCK):
        cosines = directions[start : start + BLOCK] @ directions.T
        cosines[np.arange(len(cosines)), np.arange(start, start + len(cosines))] = -np.inf
        # A copy: a view would keep the order of all items in memory for each block
        top = np.argpartition(-cosines, n_neighbors - 1, axis=1)[:, :n_neighbors].copy()
        nearest.append((top, np.take_along_axis(cosines, top, axis=1)))
    near, cosines = (np.concatenate(part) for part in zip(*nearest, strict=True))
    return near, cosines
