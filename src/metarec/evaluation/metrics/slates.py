"""Beyond-accuracy metrics of lists: coverage, novelty and diversity."""

from __future__ import annotations

import numpy as np


def coverage(ranked: np.ndarray, k: int, n_items: int) -> float:
    """Share of the catalog that appears in the first `k` places of any user, in [0, 1]; 0 for no
    lists.

    It grows with the number of users, so compare only models evaluated on the same users.
    """
    shown = ranked[:, :k]
    return len(np.unique(shown[shown >= 0])) / max(n_items, 1)


def novelty(ranked: np.ndarray, k: int, popularity: np.ndarray) -> np.ndarray:
    """Mean of `-log2 popularity` over the first `k` places; `[B]`, bits, 0 or more. Empty list: 0.

    Vargas and Castells 2011. Higher means less known; a random list is very novel, so read it
    beside NDCG.

    Args:
        ranked: `[B, K]` item indexes, -1 for none.
        k: places looked at.
        popularity: `[N]` share of training users who had the item, in (0, 1] (see
            `popularity_share`).
    """
    shown = ranked[:, :k]
    bits = np.where(shown >= 0, -np.log2(popularity)[np.maximum(shown, 0)], 0.0)
    return np.asarray(bits.sum(axis=1) / np.maximum((shown >= 0).sum(axis=1), 1))


def popularity_share(counts: np.ndarray, users: int) -> np.ndarray:
    """`(count + 1) / (users + 1)`: the smoothed share of users with each item, never 0, so that
    novelty stays finite.
    """
    return (np.asarray(counts, np.float64) + 1.0) / (users + 1.0)


def diversity(ranked: np.ndarray, k: int, embeddings: np.ndarray) -> np.ndarray:
    """Mean cosine distance between pairs of the first `k` places; `[B]` in [0, 2]. Fewer than two
    items: 0.

    Ziegler et al. 2005. `embeddings` is `[N, D]`; a zero row is at distance 1 from everything.
    """
    shown = ranked[:, :k]
    real = (shown >= 0).astype(np.float64)
    length = np.linalg.norm(embeddings, axis=1, keepdims=True)
    unit = np.divide(
        embeddings, length, out=np.zeros(embeddings.shape, np.float64), where=length > 0
    )
    rows = unit[np.maximum(shown, 0)] * real[:, :, None]
    # Sum over pairs of cosines = (|sum|^2 - sum of |row|^2) / 2: no [B, k, k] array is needed.
    together = (rows.sum(axis=1) ** 2).sum(axis=1) - (rows**2).sum(axis=(1, 2))
    count = real.sum(axis=1)
    pairs = count * (count - 1)
    return np.where(pairs > 0, 1.0 - together / np.maximum(pairs, 1.0), 0.0)
