"""Solvers of the support ridge: truncated SVD of many targets, and ridge regression in the dual."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from jaxtyping import Float

MAX_DENSE = 30_000_000
"""Bound: numbers of a table of tasks by items that is held dense; a larger one stays sparse."""
MAX_SOLVED = 2000
"""Bound: tasks whose equations are solved directly, which is cubic in their number; more are solved
by conjugate gradients.
"""
TOLERANCE, MAX_STEPS = 1e-5, 500
"""Stopping rule of the conjugate gradients: residual as a share of the targets, and the largest
number of steps. Evidence is within 3e-5 of its largest value of that after far more steps.
"""
OVERSAMPLED, POWER_ITERATIONS = 10, 3
"""Extra random directions, and power iterations, of the randomized decomposition: they set its
accuracy.
"""


def leading(
    targets: sp.csr_matrix, mean: np.ndarray, roots: np.ndarray | None, max_rank: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leading left singular vectors [T, R], singular values [R] and directions [R, N] of the
    targets minus their mean, with rows scaled by the `roots` of the tasks' weights.
    """
    from sklearn.utils.extmath import randomized_svd

    rank = max(1, min(max_rank, min(targets.shape) - 1))
    if targets.shape[0] * targets.shape[1] > MAX_DENSE:
        return _leading_sparse(targets, mean, roots, rank, seed)
    centered = np.asarray(targets.toarray() - mean)
    if roots is not None:
        centered = np.asarray(roots[:, None] * centered)
    left, strength, directions = randomized_svd(centered, rank, random_state=seed, n_iter=3)
    return left, strength, directions


def _leading_sparse(
    targets: sp.csr_matrix, mean: np.ndarray, roots: np.ndarray | None, rank: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`leading` without the dense matrix: (targets - 1 mean') V = targets V - 1 (mean' V) (Halko,
    Martinsson and Tropp 2011, "Finding structure with randomness", algorithm 4.4).
    """
    scale = np.ones(targets.shape[0]) if roots is None else np.asarray(roots, np.float64)
    filled = np.flatnonzero(np.diff(targets.tocsc().indptr))  # all other columns are empty
    rows = sp.csr_matrix(sp.diags_array(scale) @ targets[:, filled]).astype(np.float32)
    middle, scale = mean[filled], scale.astype(np.float32)
    drawn = np.random.default_rng(seed).normal(size=(len(filled), rank + OVERSAMPLED))
    basis = drawn.astype(np.float32)
    for _ in range(1 + POWER_ITERATIONS):
        left = np.linalg.qr(rows @ basis - np.outer(scale, middle @ basis))[0]
        basis = rows.T @ left - np.outer(middle, scale @ left)
    along, strength, small = np.linalg.svd(basis.T, full_matrices=False)
    directions = np.zeros((rank, len(mean)), np.float32)
    directions[:, filled] = small[:rank]
    return (left @ along)[:, :rank], strength[:rank], directions


def dual_ridge(
    dense: np.ndarray,
    items: sp.csr_matrix,
    targets: np.ndarray,
    roots: np.ndarray | None,
    ridge: float,
) -> np.ndarray:
    """[F, R] weights X' (X X' + lambda I)^-1 Y for X = [dense, items], with rows scaled by the
    `roots` of the tasks' weights (those of Y are scaled already).

    The two blocks are kept apart because one is dense and the other sparse.
    """
    if roots is not None:
        dense, items = roots[:, None] * dense, sp.csr_matrix(sp.diags_array(roots) @ items)
    if len(dense) > MAX_SOLVED:
        solved = _solved_by_steps(dense, items, targets, ridge)
        return np.concatenate([dense.T @ solved, items.T @ solved]).astype(np.float32)
    kernel = (items @ items.T).toarray().astype(np.float32) + dense @ dense.T
    kernel[np.diag_indices_from(kernel)] += ridge
    solved = scipy.linalg.solve(kernel, targets, assume_a="pos", overwrite_a=True)
    return np.concatenate([dense.T @ solved, items.T @ solved]).astype(np.float32)


def _solved_by_steps(
    dense: np.ndarray, items: sp.csr_matrix, targets: np.ndarray, ridge: float
) -> Float[np.ndarray, "tasks columns"]:
    """(X X' + lambda I)^-1 Y by conjugate gradients for all columns of Y at once: X is so sparse
    that a step costs a thousandth of the matrix X X', which is never formed.
    """
    full, sparse = dense.astype(np.float32), items.astype(np.float32)
    transposed = sparse.T.tocsr()
    residual = along = targets.astype(np.float32)
    solved = np.zeros_like(residual)
    size = (residual**2).sum(0)
    enough = TOLERANCE**2 * np.maximum(size, 1e-30)
    for _ in range(MAX_STEPS):
        image = full @ (full.T @ along) + sparse @ (transposed @ along) + np.float32(ridge) * along
        step = size / np.maximum((along * image).sum(0), 1e-30)
        solved = solved + step * along
        residual = residual - step * image
        before, size = size, (residual**2).sum(0)
        if (size <= enough).all():
            break
        along = residual + size / np.maximum(before, 1e-30) * along
    return solved
