"""Solves of the support ridge: leading directions of many targets, a ridge of many columns."""

from __future__ import annotations

import numpy as np
import scipy.linalg
import scipy.sparse as sp
from jaxtyping import Float

MAX_DENSE = 30_000_000
"""Numbers of a table of tasks by items that is held whole; a larger one stays sparse."""
MAX_SOLVED = 2000
"""Tasks whose equations are solved at one blow, which is cubic in them; more by steps."""
TOLERANCE, MAX_STEPS = 1e-7, 500
"""The steps end where what is left is this share of the targets, far below float32's own error."""
OVERSAMPLED, POWER_ITERATIONS = 10, 3
"""Directions drawn beyond those that are wanted, and passes over the targets: how exact the
randomized decomposition is.
"""


def leading(
    targets: sp.csr_matrix, mean: np.ndarray, roots: np.ndarray | None, most: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leading singular vectors [T, R], values [R] and directions [R, N] of the targets less their
    mean, times the roots of the weights.
    """
    from sklearn.utils.extmath import randomized_svd

    rank = max(1, min(most, min(targets.shape) - 1))
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
    """The same without the dense matrix: (targets - 1 mean') V = targets V - 1 (mean' V) (Halko,
    Martinsson and Tropp 2011, "Finding structure with randomness", algorithm 4.4).
    """
    scale = np.ones(targets.shape[0]) if roots is None else np.asarray(roots, np.float64)
    asked = np.flatnonzero(np.diff(targets.tocsc().indptr))  # nobody is asked about the others
    rows = sp.csr_matrix(sp.diags_array(scale) @ targets[:, asked]).astype(np.float32)
    middle, scale = mean[asked], scale.astype(np.float32)
    drawn = np.random.default_rng(seed).normal(size=(len(asked), rank + OVERSAMPLED))
    basis = drawn.astype(np.float32)
    for _ in range(1 + POWER_ITERATIONS):
        left = np.linalg.qr(rows @ basis - np.outer(scale, middle @ basis))[0]
        basis = rows.T @ left - np.outer(middle, scale @ left)
    along, strength, small = np.linalg.svd(basis.T, full_matrices=False)
    directions = np.zeros((rank, len(mean)), np.float32)
    directions[:, asked] = small[:rank]
    return (left @ along)[:, :rank], strength[:rank], directions


def dual_ridge(
    dense: np.ndarray,
    items: sp.csr_matrix,
    targets: np.ndarray,
    roots: np.ndarray | None,
    ridge: float,
) -> np.ndarray:
    """[F, R]: X' (X X' + lambda I)^-1 Y for X = [dense, items], times the `roots` of the tasks'
    weights (Y holds them already).

    The two are kept apart because one is full and one nearly empty.
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
    """(X X' + lambda I)^-1 Y by conjugate gradients, all columns of Y at once: X is so empty that a
    step costs a thousandth of the matrix X X', and no matrix is ever held.
    """
    full, sparse = dense.astype(np.float64), items.astype(np.float64)
    transposed = sparse.T.tocsr()
    solved = np.zeros(targets.shape)
    rest = targets.astype(np.float64)
    along, size = rest.copy(), (rest**2).sum(0)
    enough = TOLERANCE**2 * np.maximum(size, 1e-30)
    for _ in range(MAX_STEPS):
        image = full @ (full.T @ along) + sparse @ (transposed @ along) + ridge * along
        step = size / np.maximum((along * image).sum(0), 1e-300)
        solved += step * along
        rest -= step * image
        before, size = size, (rest**2).sum(0)
        if (size <= enough).all():
            break
        along = rest + size / np.maximum(before, 1e-300) * along
    return solved
