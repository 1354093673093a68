"""iALS: matrix factors of implicit feedback, a new user folded in by one solve (Hu, Koren and
Volinsky 2008).

Minimises `sum (1 + alpha x_ui) (x_ui - u_u . v_i)^2 + reg (|u|^2 + |v|^2)` over all cells, by
alternating exact solves.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix

from metarec.evaluation.baselines.table import TrainingTable
from metarec.evaluation.baselines.tuned import ScoreAll, TunedRanker, Variant

ROUNDS = 8
CELLS_AT_ONCE = 4_000_000
"""Gathered factor entries held at a time."""


def ials() -> TunedRanker:
    """Penalty and confidence are chosen at 32 factors first, then the number of factors."""
    return TunedRanker(
        name="iALS", variants=_variants, refine=(_more_factors, _still_more_or_fewer)
    )


def _variants(table: TrainingTable) -> Iterator[Variant]:
    for alpha, reg in product((20.0, 1.0), (50.0, 10.0, 1.0)):
        yield _fit(table, 32, reg, alpha)


def _more_factors(table: TrainingTable, best: dict[str, Any]) -> Iterator[Variant]:
    yield _fit(table, 64, best["reg"], best["alpha"])


def _still_more_or_fewer(table: TrainingTable, best: dict[str, Any]) -> Iterator[Variant]:
    yield _fit(table, 128 if best["factors"] == 64 else 16, best["reg"], best["alpha"])


def _fit(table: TrainingTable, factors: int, reg: float, alpha: float) -> Variant:
    items = factorise(
        table.events.liked, factors, reg=reg, alpha=alpha, rng=np.random.default_rng(0)
    )
    return Variant(
        settings={"factors": factors, "reg": reg, "alpha": alpha},
        score_all=fold_in_with(items, reg, alpha),
    )


def fold_in_with(items: np.ndarray, reg: float, alpha: float) -> ScoreAll:
    """Score users by folding their likes into fixed item factors `[N, F]`."""
    return lambda support: solve_side(items, support.liked, reg=reg, alpha=alpha) @ items.T


def factorise(
    by_user: csr_matrix, factors: int, *, reg: float, alpha: float, rng: np.random.Generator
) -> np.ndarray:
    """Item factors float32 `[N, F]` of likes `[users, N]`."""
    items = (rng.standard_normal((by_user.shape[1], factors)) * 0.1 / np.sqrt(factors)).astype(
        np.float32
    )
    by_item = by_user.T.tocsr()
    for _ in range(ROUNDS):
        users = solve_side(items, by_user, reg=reg, alpha=alpha)
        items = solve_side(users, by_item, reg=reg, alpha=alpha)
    return np.asarray(items)


def solve_side(fixed: np.ndarray, likes: csr_matrix, *, reg: float, alpha: float) -> np.ndarray:
    """Exact factors of every row of `likes` given the other side's, float32 `[rows, F]`; a row
    without likes gets zeros.

    Rows are taken in order of length, so that padding to the longest of a block wastes little.
    """
    import torch  # its batched Cholesky halves the work of NumPy's general solve

    lengths = np.diff(likes.indptr)
    base = fixed.T @ fixed + np.float32(reg) * np.eye(fixed.shape[1], dtype=np.float32)
    solved = np.zeros((likes.shape[0], fixed.shape[1]), np.float32)
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    while len(order):
        longest = max(int(lengths[order[-1]]), fixed.shape[1])
        block, order = np.split(order, [-max(1, CELLS_AT_ONCE // (longest * fixed.shape[1]))])[::-1]
        place = likes.indptr[block][:, None] + np.arange(int(lengths[block[-1]]))
        is_real = np.arange(place.shape[1]) < lengths[block][:, None]
        met = fixed[likes.indices[np.where(is_real, place, 0)]] * is_real[:, :, None].astype(
            np.float32
        )
        left = base + np.float32(alpha) * (met.transpose(0, 2, 1) @ met)
        right = np.float32(1.0 + alpha) * met.sum(axis=1)
        factor = torch.linalg.cholesky(torch.from_numpy(left))
        solved[block] = torch.cholesky_solve(torch.from_numpy(right)[:, :, None], factor)[
            :, :, 0
        ].numpy()
    return solved
