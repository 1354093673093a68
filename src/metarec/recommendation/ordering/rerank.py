"""Reordering for another aim than the score: the interface that diversity, fairness and an owner's
own rules share.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Reranker(Protocol):
    """Chooses the slate from the best-scored candidates of each user."""

    def rerank(
        self, candidates: np.ndarray, scores: np.ndarray, k: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Choose `k` of the candidates and order them.

        Args:
            candidates: [B, R] item indexes, best score first, -1 padding.
            scores: [B, R] their log-scores, -inf where padded.
            k: length of the slate.
            rng: for rerankers that draw.

        Returns:
            [B, K] positions in `candidates` (not item indexes), -1 padding.
        """
        ...


def chosen(candidates: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """[B, K] the candidates (or any array beside them) at the chosen positions, -1 where there is
    none.
    """
    return np.where(positions >= 0, np.take_along_axis(candidates, np.maximum(positions, 0), 1), -1)
