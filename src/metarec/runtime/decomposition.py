"""Truncated singular value decomposition of large matrices, dense or sparse, by random projection
(Halko, Martinsson and Tropp 2011, "Finding structure with randomness", algorithm 4.4).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

OVERSAMPLED = 10
"""Extra random directions: they set the accuracy, beside the power iterations."""


def truncated_svd(
    matrix: np.ndarray | sp.csr_matrix,
    rank: int,
    seed: int,
    *,
    power_iterations: int = 3,
    less: tuple[Float[np.ndarray, "rows"], Float[np.ndarray, "columns"]] | None = None,
) -> tuple[
    Float[np.ndarray, "rows rank"], Float[np.ndarray, "rank"], Float[np.ndarray, "rank columns"]
]:
    """Leading left singular vectors, singular values and right singular vectors of `matrix`.

    Args:
        rank: number of leading singular vectors, at most the smaller side of the matrix.
        seed: seed of the random projection.
        power_iterations: products with the matrix and its transpose (0 or more); more are more
            exact.
        less: two vectors whose outer product is taken from the matrix, which stays sparse.
    """
    drawn = np.random.default_rng(seed).normal(size=(matrix.shape[1], rank + OVERSAMPLED))
    basis = drawn.astype(np.float32)
    transposed = matrix.T if isinstance(matrix, np.ndarray) else matrix.T.tocsr()
    for _ in range(1 + power_iterations):
        image = matrix @ basis
        if less is not None:
            image -= np.outer(less[0], less[1] @ basis)
        left = np.linalg.qr(image)[0]
        basis = transposed @ left
        if less is not None:
            basis -= np.outer(less[1], less[0] @ left)
    along, strength, directions = np.linalg.svd(basis.T, full_matrices=False)
    return (left @ along)[:, :rank], strength[:rank], directions[:rank]
