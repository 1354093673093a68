"""Collaborative factors of items, by a truncated SVD of the user-item matrix."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from metarec.models.few_shot.inputs_config import DEFAULTS

SMALL_MATRIX = 256
"""Bound: the smaller side of a matrix up to which a full eigendecomposition is used."""


def unit_scaled(block: np.ndarray) -> np.ndarray:
    """Scale a block of columns so that its rows have mean square length 1; an empty or zero block
    is unchanged.
    """
    length = float(np.sqrt(np.square(block).sum(1).mean())) if block.size else 0.0
    return np.asarray(block / length if length > 0 else block, dtype=np.float32)


def collaborative_factors(
    matrix: sp.csr_matrix,
    dim: int,
    *,
    rng: np.random.Generator,
    damping: float = DEFAULTS.factor_damping,
) -> np.ndarray:
    """Return item factors of a users x items matrix: right singular vectors scaled by the square
    root of their singular values.

    Columns are first divided by the square root of (their count + `damping`), so that neither
    popular nor rare items dominate the first factors.

    Returns:
        [items, min(dim, rank limit)] float32.
    """
    counts = np.asarray((matrix != 0).sum(0)).ravel()
    scaled = matrix @ sp.diags(1.0 / np.sqrt(counts + damping))
    limit = min(dim, min(matrix.shape) - 1)
    if limit < 1 or not matrix.nnz:
        return np.zeros((matrix.shape[1], 0), np.float32)
    singular, right = _leading_right(scaled.astype(np.float64), limit, rng)
    return np.asarray(right * np.sqrt(singular), dtype=np.float32)


def _leading_right(
    matrix: sp.csr_matrix, dim: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return the `dim` largest singular values and their right singular vectors [columns, dim].

    Where its Krylov space would be the whole space, ARPACK restarts from random numbers of its own,
    which cannot be seeded; small matrices are therefore decomposed in full.
    """
    if min(matrix.shape) > SMALL_MATRIX:
        start = rng.standard_normal(min(matrix.shape))
        _, singular, right = sp.linalg.svds(matrix, k=dim, v0=start)
        order = np.argsort(-singular)
        return np.maximum(singular[order], 0.0), right[order].T
    is_wide = matrix.shape[1] > matrix.shape[0]
    few = matrix if is_wide else matrix.T.tocsr()
    squares, vectors = np.linalg.eigh((few @ few.T).toarray())
    singular = np.sqrt(np.maximum(squares[::-1][:dim], 0.0))
    leading = vectors[:, ::-1][:, :dim]
    if not is_wide:
        return singular, leading
    return singular, np.asarray((few.T @ leading) / np.maximum(singular, 1e-9))
