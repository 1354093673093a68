"""Sparse matrices [N, N] from items of the support to scored items, and sums of their rows over a
user's events.

Item k-NN, EASE and the Markov chain compute evidence by such sums; friends, searches and co-visits
store their matrices in the same way.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from copy import copy
from functools import lru_cache

import numpy as np
import scipy.sparse as sp

from metarec.features.histories import Histories
from metarec.models.base import LARGE, Evidence

SPARSE_COSTS = 32_768
"""Cells of a dense array that cost as much as creating one sparse matrix."""
ENTRY_COSTS = 8
"""Cells of a dense array that cost as much as one entry of a sparse matrix."""
MAX_INT32 = 2**31
"""Number of entries below which row offsets fit into int32, half the memory of int64."""
FEW_ENTRIES = 20_000
"""Number of entries that are summed in less time than SciPy's sparse product takes to start."""


def is_plain(support: Histories, *matrices: sp.csr_matrix) -> bool:
    """Whether a dense array of evidence costs less than a sparse matrix: the rows of these users'
    events have many entries compared with the size of the array. Never for a large catalog.
    """
    n_items = int(matrices[0].shape[1])
    if n_items >= LARGE:
        return False
    entries = max(_count(support, matrix) for matrix in matrices)
    return len(support) * n_items <= SPARSE_COSTS + ENTRY_COSTS * entries


def plain_where_full(matrix: sp.csr_matrix) -> sp.csr_matrix | np.ndarray:
    """The matrix as a plain array where that takes no more memory, since half of it is filled, as
    for a small catalog with many events: its rows are summed in less than half the time.
    """
    return matrix.toarray() if 2 * matrix.nnz >= math.prod(matrix.shape) else matrix


def answers(
    support: Histories,
    weights: np.ndarray,
    matrix: sp.csr_matrix | np.ndarray,
    out: np.ndarray | None = None,
    *,
    plain: bool | None = None,
) -> Evidence:
    """[B, N] sum over each user's events of the rows of `matrix` [N, N], times the `weights` [E] of
    the events; dense for a plain array.

    Args:
        out: memory for a dense result.
        plain: whether the result is dense; decided by `is_plain` by default.
    """
    if isinstance(matrix, np.ndarray):
        return support.sums_of(matrix, weights.astype(np.float32))
    if is_plain(support, matrix) if plain is None else plain:
        return plain_answers(support, weights, matrix, out)
    return sparse_answers(support, weights, matrix)


def plain_answers(
    support: Histories, weights: np.ndarray, matrix: sp.csr_matrix, out: np.ndarray | None = None
) -> np.ndarray:
    """`answers` as a dense float32 array."""
    n_items = matrix.shape[1]
    evidence = np.empty((len(support), n_items), np.float32) if out is None else out
    if _count(support, matrix) > FEW_ENTRIES:
        return np.asarray((support.matrix(n_items, weights) @ matrix).toarray(out=evidence))
    evidence[...] = 0.0
    lengths, items, data = _rows(support.items, matrix)
    data *= np.repeat(weights.astype(np.float32), lengths)
    np.add.at(evidence.reshape(-1), np.repeat(support.owners * n_items, lengths) + items, data)
    return evidence


def sparse_answers(support: Histories, weights: np.ndarray, matrix: sp.csr_matrix) -> sp.csr_matrix:
    """`answers` as a sparse matrix.

    SciPy's product takes twice as long to start as this function takes for few entries, and first
    clears an array as wide as the catalog.
    """
    n_items = matrix.shape[1]
    if n_items < LARGE and _count(support, matrix) > FEW_ENTRIES:
        return support.matrix(n_items, weights) @ matrix
    lengths, items, data = _rows(support.items, matrix)
    data *= np.repeat(weights.astype(np.float32), lengths)
    places = np.repeat(support.owners * n_items, lengths) + items
    order = places.argsort(kind="stable")
    places, data = places[order], data[order]
    first = np.flatnonzero(np.append(places[:1] >= 0, places[1:] > places[:-1]))
    sums, places = copy(_nothing(len(support), n_items)), places[first]
    sums.data, sums.indices = np.add.reduceat(data, first), places % n_items
    sums.indptr = np.searchsorted(places, n_items * np.arange(len(support) + 1))
    return sums


@lru_cache(maxsize=64)
def _nothing(rows: int, columns: int) -> sp.csr_matrix:
    """Empty matrix to be copied and filled, since SciPy validates each matrix it creates."""
    return sp.csr_matrix((rows, columns), dtype=np.float32)


def _count(support: Histories, matrix: sp.csr_matrix) -> int:
    """Number of entries in the rows of all events."""
    return int((matrix.indptr[support.items + 1] - matrix.indptr[support.items]).sum())


def _rows(items: np.ndarray, matrix: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Number of entries in the row of each item; then the columns and values of all these rows, row
    after row.
    """
    first = matrix.indptr[items]
    lengths = matrix.indptr[items + 1] - first
    ends = np.cumsum(lengths)
    entries = np.arange(lengths.sum()) + np.repeat(first - ends + lengths, lengths)
    return lengths, matrix.indices[entries], matrix.data[entries]


def strongest(matrix: sp.csr_matrix, n_kept: int) -> sp.csr_matrix:
    """Keep the `n_kept` entries of largest absolute value in each row; ties go to lower columns."""
    lengths = np.diff(matrix.indptr)
    if lengths.max(initial=0) <= n_kept:
        return matrix.astype(np.float32)
    size, kept = np.abs(matrix.data), np.ones(matrix.nnz, bool)
    ends, columns = matrix.indptr.tolist(), matrix.indices
    for row in np.flatnonzero(lengths > n_kept).tolist():
        inside = slice(ends[row], ends[row + 1])
        kept[inside] = _largest(size[inside], n_kept, columns[inside])
    starts = np.concatenate([[0], np.cumsum(np.minimum(lengths, n_kept))])
    return sp.csr_matrix(
        (matrix.data[kept].astype(np.float32), columns[kept], starts), shape=matrix.shape
    )


def _largest(sizes: np.ndarray, n_kept: int, columns: np.ndarray) -> np.ndarray:
    """[E] mask of the `n_kept` largest sizes; ties go to the lower columns."""
    ordered, place = sizes.copy(), len(sizes) - n_kept
    ordered.partition(place)
    least = ordered[place]
    chosen = np.asarray(sizes >= least)
    surplus = int(np.count_nonzero(chosen)) - n_kept
    if surplus:
        equal = np.flatnonzero(sizes == least)
        chosen[equal[np.argsort(columns[equal])[len(equal) - surplus :]]] = False
    return chosen


def grown(matrix: sp.csr_matrix, n_items: int) -> sp.csr_matrix:
    """The matrix enlarged to `n_items` with empty rows and columns."""
    if matrix.shape == (n_items, n_items):
        return matrix
    if n_items >= LARGE:  # the old entries are shared, not copied
        ends = np.append(matrix.indptr, np.repeat(matrix.indptr[-1:], n_items - matrix.shape[0]))
        return sp.csr_matrix((matrix.data, matrix.indices, ends), shape=(n_items, n_items))
    larger = matrix.copy()
    larger.resize((n_items, n_items))
    return larger


def sparse_arrays(matrix: sp.csr_matrix, prefix: str = "") -> dict[str, np.ndarray]:
    """Return a sparse matrix as plain arrays, with names that begin with `prefix`."""
    return {
        f"{prefix}data": matrix.data.astype(np.float32),
        f"{prefix}indices": matrix.indices.astype(np.int32),
        # The type that SciPy uses, so that the array is not copied when it is loaded
        f"{prefix}indptr": matrix.indptr.astype(np.int32 if matrix.nnz < MAX_INT32 else np.int64),
        f"{prefix}shape": np.int64(matrix.shape),
    }


def sparse_from(arrays: Mapping[str, np.ndarray], prefix: str = "") -> sp.csr_matrix:
    """Restore the matrix from `sparse_arrays`; arrays of other names may be among them."""
    rows, columns = (int(n) for n in arrays[f"{prefix}shape"])
    data, indices, indptr = (arrays[f"{prefix}{key}"] for key in ("data", "indices", "indptr"))
    return sp.csr_matrix((data, indices, indptr), shape=(rows, columns))
