"""Rows of items summed up over a user's events: plain and sparse answers are the same numbers."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from metarec.features.histories import Histories
from metarec.models import sparse_rows
from metarec.models.base import dense
from metarec.models.sparse_rows import (
    answers,
    is_plain,
    plain_answers,
    plain_where_full,
    sparse_arrays,
    sparse_from,
)

RNG = np.random.default_rng(0)
N_ITEMS = 300
MATRIX = sp.random_array((N_ITEMS, N_ITEMS), density=0.3, rng=RNG, format="csr", dtype=np.float32)
MATRIX = sp.csr_matrix(MATRIX)
SUPPORT = Histories.of_indexes([np.array([4, 9, 77]), np.zeros(0, np.int64), np.array([9])])
WEIGHTS = np.float32([0.5, 1.0, 2.0, 0.3])
WANTED = (SUPPORT.matrix(N_ITEMS, WEIGHTS) @ MATRIX).toarray()


@pytest.mark.parametrize("few", [0, sparse_rows.FEW_ENTRIES])
def test_a_plain_answer_is_the_product(few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Added row by row, and where entries are many by SciPy's product; whatever lay in `out`."""
    monkeypatch.setattr(sparse_rows, "FEW_ENTRIES", few)
    room = np.full((3, N_ITEMS), np.nan, np.float32)
    found = plain_answers(SUPPORT, WEIGHTS, MATRIX, room)
    assert np.shares_memory(found, room)
    np.testing.assert_allclose(found, WANTED, atol=1e-6)
    np.testing.assert_allclose(plain_answers(SUPPORT, WEIGHTS, MATRIX), WANTED, atol=1e-6)


@pytest.mark.parametrize("plain", [True, False, None])
def test_both_answers_are_the_same(plain: bool | None) -> None:
    found = answers(SUPPORT, WEIGHTS, MATRIX, plain=plain)
    assert isinstance(found, np.ndarray) == (plain is not False)
    np.testing.assert_allclose(dense(found), WANTED, atol=1e-6)


def test_a_matrix_that_is_half_full_is_summed_as_a_plain_array() -> None:
    full = sp.csr_matrix(MATRIX + MATRIX.T)
    assert full.nnz > full.shape[0] ** 2 / 2 > MATRIX.nnz
    assert plain_where_full(MATRIX) is MATRIX
    rows = plain_where_full(full)
    assert isinstance(rows, np.ndarray)
    found, wanted = answers(SUPPORT, WEIGHTS, rows), plain_answers(SUPPORT, WEIGHTS, full)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_an_answer_is_sparse_where_it_names_few_of_many_items() -> None:
    wide = sp.csr_matrix((40_000, 40_000), dtype=np.float32)
    assert not is_plain(SUPPORT, wide)
    assert is_plain(SUPPORT, wide[:, :300][:300])


def test_a_matrix_that_was_saved_is_read_without_a_copy() -> None:
    saved = sparse_arrays(MATRIX)
    matrix = sparse_from(saved)
    for name in ("data", "indices", "indptr"):
        assert np.shares_memory(getattr(matrix, name), saved[name])
