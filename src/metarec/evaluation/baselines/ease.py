"""EASE: the linear autoencoder with a zero diagonal, in closed form (Steck 2019, arXiv:1905.03375).

`B = I - P / diag(P)` with `P = (X'X + reg I)^-1`. Where there are fewer users than items, P is
never formed: by Woodbury `P = (I - X' (XX' + reg I)^-1 X) / reg`, so memory grows with users
squared instead.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.linalg import lapack
from scipy.sparse import csr_matrix

from metarec.evaluation.baselines.table import Events, TrainingTable
from metarec.evaluation.baselines.tuned import ScoreAll, TunedRanker, Variant

REGS = (1600.0, 400.0, 6400.0, 100.0)
LARGE = 6000
"""From this many rows to invert, two settings are tried instead of all: an inverse takes a minute.
"""


def ease() -> TunedRanker:
    """The ridge penalty is chosen on validation new users."""
    return TunedRanker(name="EASE", variants=_variants)


def _variants(table: TrainingTable) -> Iterator[Variant]:
    users = table.events.liked
    regs = REGS if min(users.shape) < LARGE else REGS[:2]
    for reg in regs:
        yield Variant(settings={"reg": reg}, score_all=solve(users, reg))


def solve(users: csr_matrix, reg: float) -> ScoreAll:
    """Fit on likes `[users, N]`; whichever side of the matrix is smaller is inverted."""
    return (
        _solve_over_items(users, reg)
        if users.shape[1] <= users.shape[0]
        else _solve_over_users(users, reg)
    )


def _solve_over_items(users: csr_matrix, reg: float) -> ScoreAll:
    weights = inverse((users.T @ users).toarray(), reg)
    weights /= -np.diag(weights)
    np.fill_diagonal(weights, 0.0)
    return lambda support: np.asarray(support.liked @ weights, dtype=np.float32)


def _solve_over_users(users: csr_matrix, reg: float) -> ScoreAll:
    kernel = inverse((users @ users.T).toarray(), reg)
    # X'KX is symmetric: its diagonal is the column sum of X * (KX), gathered over the events alone.
    inside = np.zeros(users.shape[1])
    for start in range(0, users.shape[1], 2048):  # [users, block] at a time, never [users, N]
        block = users[:, start : start + 2048]
        inside[start : start + 2048] = np.asarray(
            block.multiply(kernel @ block.toarray()).sum(axis=0)
        ).ravel()
    diagonal = ((1.0 - inside) / reg).astype(np.float32)

    def score_all(support: Events) -> np.ndarray:
        shown = support.liked.toarray()
        times_p = (shown - (users.T @ (kernel @ (users @ support.liked.T).toarray())).T) / reg
        return np.asarray(shown - times_p / diagonal, dtype=np.float32)

    return score_all


def inverse(gram: np.ndarray, reg: float) -> np.ndarray:
    """`(gram + reg I)^-1` of a symmetric positive matrix, float32, by Cholesky."""
    matrix = np.asfortranarray(gram, dtype=np.float32)
    matrix[np.diag_indices_from(matrix)] += np.float32(reg)
    factor, failed = lapack.spotrf(matrix, lower=True, overwrite_a=True)
    assert failed == 0, "a Gram matrix plus a positive penalty has a Cholesky factor"
    result, failed = lapack.spotri(factor, lower=True, overwrite_c=True)
    assert failed == 0, "a Cholesky factor has an inverse"
    lower = np.tril(result)
    return np.asarray(lower + np.tril(result, -1).T)
