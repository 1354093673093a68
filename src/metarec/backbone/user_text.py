"""A person as text: `u* = encoder(u)` from profile and recent history written in words, and what such people go on to like.

The route of the BERT recommenders: the text encoder that reads items also reads people. Its vector is mapped to items by
one closed-form ridge over all training people at several lengths of history, so nothing is trained by gradient and the
map is exact. Targets are compressed to their leading directions, as in `metalearning.episodic_ridge`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from metarec.data.schema import BadInput
from metarec.features.encoders.base import TextEncoder
from metarec.runtime.progress import Progress, silent

RANK = 40
RIDGE = (0.01, 0.1, 1.0, 10.0, 100.0)
"""Candidates in units of the mean squared singular value, chosen by generalised cross-validation."""


@dataclass(frozen=True, kw_only=True)
class UserTextTower:
    """Evidence = expected share of people described like this who will like each item, cut at zero."""

    encoder: TextEncoder
    center: np.ndarray
    """[E] mean of the training people's vectors."""
    weights: np.ndarray
    """[E, R] from a vector to compressed targets."""
    directions: np.ndarray
    """[R, N]."""
    mean: np.ndarray
    """[N] share of training people who liked each item."""
    ridge: float
    """The one chosen."""

    @classmethod
    def fit(cls, texts: Sequence[str], targets: sp.csr_matrix, encoder: TextEncoder, *, seed: int = 0,
            progress: Progress = silent) -> UserTextTower:
        """Learn the map from people's texts to what they liked afterwards.

        Args:
            texts: one for each task: a person at some length of history (`features.text.user_text`); the same person may
                stand there several times, with longer and longer histories.
            targets: [tasks, items] above 0 where the person liked the item after that history.

        Raises:
            BadInput: if rows do not match, or fewer than two tasks have a text and a target.
        """
        from sklearn.utils.extmath import randomized_svd

        if len(texts) != targets.shape[0]:
            raise BadInput(f"there are {len(texts):,} texts and {targets.shape[0]:,} rows of targets; give one row for each text")
        vectors = encoder.encode(texts, progress=progress)
        usable = np.flatnonzero((targets.getnnz(axis=1) > 0) & (vectors != 0).any(axis=1)) if vectors.shape[1] else np.zeros(0, np.int64)
        if len(usable) < 2:
            raise BadInput(f"only {len(usable)} of {len(texts):,} tasks have a text that {encoder.name} reads and something liked "
                           "afterwards; at least 2 are needed")
        liked = sp.csr_matrix(targets[usable] > 0, dtype=np.float32)
        mean = np.asarray(liked.mean(axis=0), np.float32).ravel()
        dense = liked.toarray() - mean
        left, strength, directions = randomized_svd(dense, min(RANK, min(dense.shape) - 1) or 1, random_state=seed, n_iter=3)
        center = vectors[usable].mean(axis=0)
        weights, ridge = _ridge(vectors[usable] - center, left * strength)
        return cls(encoder=encoder, center=center, weights=weights.astype(np.float32), directions=directions.astype(np.float32), mean=mean,
                   ridge=ridge)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """[B, E] the people's vectors, centred; zeros where nothing is known of them."""
        vectors = self.encoder.encode(texts)
        centred: np.ndarray = (vectors - self.center) * (vectors != 0).any(axis=1, keepdims=True)
        return centred

    def evidence(self, texts: Sequence[str]) -> np.ndarray:
        """[B, N] float32, at least 0; popularity where nothing is known of a person."""
        shares: np.ndarray = self.mean + (self.embed(texts) @ self.weights) @ self.directions
        cut: np.ndarray = np.maximum(shares, 0.0).astype(np.float32)
        return cut


def _ridge(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights of the ridge with the least generalised cross-validation error (Golub, Heath & Wahba 1979), and its strength."""
    left, strength, right = np.linalg.svd(x.astype(np.float64), full_matrices=False)
    turned, best = left.T @ y, (np.inf, RIDGE[0])
    scale = float((strength**2).mean())
    for candidate in (scale * factor for factor in RIDGE):
        shrunk = strength**2 / (strength**2 + candidate)
        error = float(((y - left @ (shrunk[:, None] * turned)) ** 2).sum()) / (1 - min(shrunk.sum() / len(x), 0.999)) ** 2
        best = min(best, (error, candidate))
    shrunk = strength / (strength**2 + best[1])
    return right.T @ (shrunk[:, None] * turned), best[1]
