"""Posterior of a Gaussian process at the query events, by one solve of support x support, for a
batch of users.
"""

from __future__ import annotations

import numpy as np


def adapted(
    seen_BSF: np.ndarray,
    residual: np.ndarray,
    is_real: np.ndarray,
    query_BQF: np.ndarray,
    *,
    offset_variance: float,
    noise: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the posterior mean and variance [B, Q] at the query events.

    Args:
        seen_BSF: features of the rated items, 0 where padded.
        residual: [B, S] ratings less their prior mean, 0 where padded.
        is_real: [B, S] mask: 1 for an event, 0 for padding.
        query_BQF: features of the query items.
        offset_variance: variance of users' offsets.
        noise: noise variance of a rating.
    """
    turned = seen_BSF.transpose(0, 2, 1)
    kernel = seen_BSF @ turned
    kernel += offset_variance * is_real[:, :, None] * is_real[:, None, :]
    np.einsum("bss->bs", kernel)[...] += noise
    cross = query_BQF @ turned
    cross += offset_variance * is_real[:, None, :]
    # One solve for both: the first column gives the mean, the others the variance that the support
    # explains at each query event.
    solved = np.linalg.solve(
        kernel, np.concatenate([residual[..., None], cross.transpose(0, 2, 1)], axis=2)
    )
    explained = np.einsum("bqs,bsq->bq", cross, solved[:, :, 1:])
    before = np.einsum("bqf,bqf->bq", query_BQF, query_BQF) + offset_variance
    # Not by BLAS: its product with a strided vector reads beyond it and may warn of what it drops.
    mean = np.einsum("bqs,bs->bq", cross, solved[:, :, 0])
    return mean, np.maximum(before - explained, 0.0)


def weighted(start: np.ndarray, features: np.ndarray) -> np.ndarray:
    """Return [B, E] the dot product of users' weights `start` [B, F + 1] with the first F item
    features [B, E, F'], plus the offset in the last weight.
    """
    factors = start.shape[1] - 1
    if not factors:
        return np.zeros(features.shape[:2], np.float32)
    products = features[..., :factors] @ start[:, :factors, None]
    return np.asarray(products[..., 0] + start[:, factors:])
