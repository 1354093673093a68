"""Diversity: slates of dissimilar items, traded off against score.

Maximal marginal relevance, Carbonell and Goldstein 1998 (SIGIR), over item embeddings. Unlike the
paper, the scores of each user are first scaled to [0, 1], so that `weight` has the same meaning for
every model and user.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Diversity:
    """A `Reranker` that fills each position with the item of the best balance of score and
    dissimilarity to the slate so far.
    """

    embeddings: np.ndarray
    """[N, D] item embeddings; only their directions matter."""
    weight: float = 0.3
    """In [0, 1]: 0 keeps the ranking, 1 uses dissimilarity alone after the first item."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.weight <= 1.0:
            raise ValueError(f"diversity must lie in [0, 1], got {self.weight}")

    def rerank(
        self, candidates: np.ndarray, scores: np.ndarray, k: int, rng: np.random.Generator
    ) -> np.ndarray:
        """See `Reranker.rerank`; the first item is always the one with the highest score."""
        there = candidates >= 0
        vectors = _unit(self.embeddings[np.maximum(candidates, 0)].astype(np.float32))
        relevance = _to_unit_interval(scores, there)
        closest = np.zeros(candidates.shape, dtype=np.float32)
        free, rows = there.copy(), np.arange(len(candidates))
        positions = np.full((len(candidates), min(k, candidates.shape[1])), -1, dtype=np.int64)
        for place in range(positions.shape[1]):
            weight = self.weight if place else 0.0
            worth = np.where(free, (1.0 - weight) * relevance - weight * closest, -np.inf)
            best = worth.argmax(1)
            positions[:, place] = np.where(free[rows, best], best, -1)
            free[rows, best] = False
            closeness = np.einsum("brd,bd->br", vectors, vectors[rows, best])
            closest = np.maximum(closest, closeness) if place else closeness
        return positions


def _unit(vectors: np.ndarray) -> np.ndarray:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12))


def _to_unit_interval(scores: np.ndarray, there: np.ndarray) -> np.ndarray:
    low = np.where(there, scores, np.inf).min(1, keepdims=True)
    high = np.where(there, scores, -np.inf).max(1, keepdims=True)
    spread = np.where(np.isfinite(high - low) & (high > low), high - low, 1.0)
    return np.where(
        there, (np.where(there, scores, 0.0) - np.where(np.isfinite(low), low, 0.0)) / spread, 0.0
    )
