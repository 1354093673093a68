"""One ridge regression, by its normal equations."""

from __future__ import annotations

import numpy as np
import pytest

from metarec.models.ridge import from_content, ridge, with_one


def test_weights_solve_the_normal_equations_with_one_penalty_or_one_for_each_column() -> None:
    rng = np.random.default_rng(0)
    inputs, outputs = rng.normal(size=(30, 4)), rng.normal(size=(30, 2))
    for penalty in (3.0, np.array([1.0, 2.0, 0.5, 9.0])):
        weights = ridge(inputs, outputs, penalty)
        pulled = np.broadcast_to(penalty, 4)[:, None] * weights
        assert inputs.T @ (outputs - inputs @ weights) == pytest.approx(pulled)


def test_the_constant_is_free_and_content_is_pulled() -> None:
    rng = np.random.default_rng(1)
    content = rng.normal(size=(40, 3)).astype(np.float32)
    known = 7.0 + 0.0 * content[:, :1]
    found = from_content(content, known, 1e6)
    assert found[-1, 0] == pytest.approx(7.0, abs=1e-4)
    assert with_one(content) @ found == pytest.approx(known, abs=1e-4)


def test_a_penalty_for_each_column_is_solved_in_its_own_precision() -> None:
    """Single precision loses a constant whose pull is a millionth beside thousands of items."""
    content = np.zeros((5, 1), np.float32)
    assert from_content(content, np.ones((5, 1), np.float32), 30.0).dtype == np.float64
    assert ridge(content + 1, np.ones((5, 1), np.float32), 1.0).dtype == np.float32
