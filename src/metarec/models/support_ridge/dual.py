"""Solvers of the support ridge: truncated SVD of many targets, and ridge regression in the dual."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from jaxtyping import Float

from metarec.runtime.decomposition import truncated_svd

MAX_SOLVED = 2000
"""Bound: tasks whose equations are solved directly, which is cubic in their number; more are solved
by conjugate gradients.
"""
TOLERANCE, MAX_STEPS = 1e-5, 500
"""Stopping rule of the conjugate gradients: residual as a share of the targets, and the largest
number of steps. Evidence is within 3e-5 of its largest value of that after far more steps.
"""
MAX_SHRUNK = 1 - 1e-4
"""Bound: share of a residual that the preconditioner takes away."""


def leading(
    targets: sp.csr_matrix, mean: np.ndarray, roots: np.ndarray | None, max_rank: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leading left singular vectors [T, R], singular values [R] and directions [R, N] of the
    targets minus their mean, with rows scaled by the `roots` of the tasks' weights. The targets
    stay sparse.
    """
    rank = max(1, min(max_rank, min(targets.shape) - 1))
    scale = np.ones(targets.shape[0], np.float32)
    if roots is not None:
        scale = roots.astype(np.float32)
        targets = sp.csr_matrix(sp.diags_array(scale) @ targets)
    filled = np.flatnonzero(np.bincount(targets.indices, minlength=targets.shape[1]))
    left, strength, among = truncated_svd(
        targets[:, filled].astype(np.float32), rank, seed, less=(scale, mean[filled])
    )
    directions = np.zeros((len(among), len(mean)), np.float32)
    directions[:, filled] = among  # all other columns are empty
    return left, strength, directions


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
    that a step costs a thousandth of the matrix X X', which is never formed. The inverse for the
    dense block alone is the preconditioner, since it has the largest eigenvalues: a quarter of the
    steps are enough.
    """
    full, sparse = dense.astype(np.float32), items.astype(np.float32)
    transposed, penalty = sparse.T.tocsr(), np.float32(ridge)
    # By Woodbury's identity, from the singular vectors of the block. Beyond `MAX_SHRUNK`, rounding
    # would make it indefinite.
    values, vectors = np.linalg.eigh(full.T.astype(np.float64) @ full)
    values = np.maximum(values, 1e-12 * values.max(initial=1e-30))
    left = (full @ (vectors / np.sqrt(values))).astype(np.float32)
    shrunk = np.minimum(values / (values + ridge), MAX_SHRUNK).astype(np.float32)

    def nearly_solved(residual: np.ndarray) -> np.ndarray:
        return np.asarray(residual - left @ (shrunk[:, None] * (left.T @ residual)))

    residual = targets.astype(np.float32)
    solved, along = np.zeros_like(residual), nearly_solved(residual)
    size, enough = (residual * along).sum(0), TOLERANCE**2 * np.maximum((residual**2).sum(0), 1e-30)
    for _ in range(MAX_STEPS):
        image = full @ (full.T @ along) + sparse @ (transposed @ along) + penalty * along
        step = size / np.maximum((along * image).sum(0), 1e-30)
        solved = solved + step * along
        residual = residual - step * image
        if ((residual**2).sum(0) <= enough).all():
            break
        direction = nearly_solved(residual)
        before, size = size, (residual * direction).sum(0)
        along = direction + size / np.maximum(before, 1e-30) * along
    return solved
