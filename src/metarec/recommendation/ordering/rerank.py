"""Reranking for another objective than the score: the interface shared by diversity, fairness and
custom rules.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class Reranker(Protocol):
    """Chooses the slate from the top candidates of each user."""

    def rerank(
        self, candidates: np.ndarray, scores: np.ndarray, k: int, rng: np.random.Generator
    ) -> np.ndarray:
        """Choose `k` of the candidates and order them.

        Args:
            candidates: [B, R] item indexes, best score first, -1 padding.
            scores: [B, R] their log-scores, -inf where padded.
            k: length of the slate.
            rng: for rerankers that draw at random.

        Returns:
            [B, K] positions in `candidates` (not item indexes), -1 padding.
        """
        ...


def chosen(candidates: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """[B, K] the candidates (or another array of that shape) at the chosen positions, -1 for
    padding.
    """
    return np.where(positions >= 0, np.take_along_axis(candidates, np.maximum(positions, 0), 1), -1)
