"""One solve of support x support: what a Gaussian process says of asked events, many users at
once.
"""

from __future__ import annotations

import numpy as np


def adapted(
    seen_BSF: np.ndarray,
    residual: np.ndarray,
    is_real: np.ndarray,
    asked_BQF: np.ndarray,
    *,
    offset_variance: float,
    noise: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance [B, Q] at the features of asked events.

    Args:
        seen_BSF: features of rated items, 0 where padded.
        residual: [B, S] what their ratings left unexplained, 0 where padded.
        is_real: [B, S] 1 where nothing is padded, else 0.
        asked_BQF: features of asked items.
        offset_variance: of users' offsets.
        noise: variance of a rating.
    """
    turned = seen_BSF.transpose(0, 2, 1)
    kernel = seen_BSF @ turned
    kernel += offset_variance * is_real[:, :, None] * is_real[:, None, :]
    np.einsum("bss->bs", kernel)[...] += noise
    cross = asked_BQF @ turned
    cross += offset_variance * is_real[:, None, :]
    # One solve for both: the first column gives the mean, the others what the support explains
    # of each asked event.
    solved = np.linalg.solve(
        kernel, np.concatenate([residual[..., None], cross.transpose(0, 2, 1)], axis=2)
    )
    explained = np.einsum("bqs,bsq->bq", cross, solved[:, :, 1:])
    before = np.einsum("bqf,bqf->bq", asked_BQF, asked_BQF) + offset_variance
    return (cross @ solved[:, :, :1])[..., 0], np.maximum(before - explained, 0.0)


def weighted(start: np.ndarray, features: np.ndarray) -> np.ndarray:
    """[B, E] what users' weights `start` [B, F + 1] say of items by their features [B, E, F']."""
    factors = start.shape[1] - 1
    if not factors:
        return np.zeros(features.shape[:2], np.float32)
    known = features[..., :factors] @ start[:, :factors, None]
    return np.asarray(known[..., 0] + start[:, factors:])
