"""Truncated singular value decomposition beside NumPy's, dense and sparse."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from metarec.runtime.decomposition import truncated_svd


@pytest.mark.parametrize("is_sparse", [False, True])
@pytest.mark.parametrize("shape", [(80, 50), (50, 80), (12, 40)])
def test_leading_directions_are_those_of_the_whole_decomposition(
    shape: tuple[int, int], is_sparse: bool
) -> None:
    rng = np.random.default_rng(0)
    matrix = sp.random(*shape, density=0.3, random_state=0, format="csr", dtype=np.float32)
    matrix = sp.csr_matrix(sp.diags(np.linspace(1, 9, shape[0])) @ matrix).astype(np.float32)
    scale, middle = rng.uniform(0.5, 2, shape[0]), rng.uniform(0, 1, shape[1])
    dense, some = matrix.toarray(), matrix if is_sparse else matrix.toarray()
    for less in (None, (scale.astype(np.float32), middle.astype(np.float32))):
        whole = dense if less is None else dense - np.outer(*less)
        expected = np.linalg.svd(whole, full_matrices=False)
        left, strength, right = truncated_svd(some, 4, 0, power_iterations=20, less=less)
        assert (left.shape, right.shape) == ((shape[0], 4), (4, shape[1]))
        np.testing.assert_allclose(strength, expected[1][:4], rtol=1e-3)
        best = (expected[0][:, :4] * expected[1][:4]) @ expected[2][:4]
        np.testing.assert_allclose((left * strength) @ right, best, atol=0.02 * strength[0])
