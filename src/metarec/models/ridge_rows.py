"""Many small ridge regressions at once, one for each row of a ragged table, batched over rows of
similar length.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float
from scipy.linalg import blas, lapack

from metarec.features.histories import Histories

BATCH_NUMBERS = 500_000
"""Bound: numbers gathered for one batch, which the nearest caches of a core hold."""


def ridge_rows(
    rows: Histories,
    weights: Float[np.ndarray, "events"],
    targets: Float[np.ndarray, "events"],
    factors: Float[np.ndarray, "items dim"],
    gram: Float[np.ndarray, "dim dim"],
) -> Float[np.ndarray, "rows dim"]:
    """[B, D] float32: for each row the x that minimizes sum_j weight_j (x . f_j)^2 - 2 target_j (x
    . f_j) + x' gram x.

    Rows with less than half as many events as dimensions are solved in the dual, with one equation
    for each event (see `ridge_of_few`), the others in the primal, with one for each dimension.

    Args:
        rows: which factors each of B rows has; empty rows give 0.
        weights: [E] weight of each event, at least 0.
        targets: [E] weight times target value of each event.
        factors: [N, D].
        gram: [D, D] positive definite: the ridge penalty, plus the Gram matrix of missing events.
    """
    dim = factors.shape[1]
    solved = np.zeros((len(rows), dim), np.float32)
    is_short = 2 * rows.lengths < dim
    through = through_gram(factors, gram) if is_short.any() else factors
    for chunk in similar_lengths(np.where(is_short, rows.lengths, 0), dim):
        index, weight_BL, target_BL = _rectangles(rows, chunk, weights, targets)
        solved[chunk] = _of_few(
            factors.take(index, axis=0), through.take(index, axis=0), weight_BL, target_BL
        )
    for row in np.flatnonzero(2 * rows.lengths >= dim):
        events = slice(rows.offsets[row], rows.offsets[row + 1])
        of_row = factors.take(rows.items[events], axis=0)
        solved[row] = _of_many(of_row, gram, weights[events], targets[events])
    return solved


def through_gram(
    factors: Float[np.ndarray, "items dim"], gram: Float[np.ndarray, "dim dim"]
) -> Float[np.ndarray, "items dim"]:
    """[N, D] float32 factors times the inverse of their `gram`."""
    inverse = np.linalg.inv(gram.astype(np.float64)).astype(np.float32)
    return np.ascontiguousarray(factors @ inverse)


def _rectangles(
    rows: Histories, chunk: np.ndarray, weights: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[B, L] item indexes, weights and targets of the rows of a chunk, padded with events of weight
    and target 0.
    """
    lengths = rows.lengths[chunk, None]
    place = np.arange(int(lengths.max()))
    is_real = place < lengths
    event = np.where(is_real, rows.offsets[chunk, None] + place, 0)
    weight_BL, target_BL = (
        np.where(is_real, numbers[event], 0.0).astype(np.float32) for numbers in (weights, targets)
    )
    return rows.items[event], weight_BL, target_BL


def _of_many(
    factors_LD: np.ndarray, gram: np.ndarray, weight_L: np.ndarray, target_L: np.ndarray
) -> np.ndarray:
    """[D] primal solution with one equation for each dimension, for one row: LAPACK solves one row
    in half the time that torch takes for each row of a batch.
    """
    target = target_L @ factors_LD
    factors_LD *= np.sqrt(weight_L)[:, None]
    matrix = blas.ssyrk(1.0, factors_LD.T, 1.0, gram, lower=1)
    _, solved, failed = lapack.sposv(matrix, target, lower=1, overwrite_a=1, overwrite_b=1)
    if failed:
        raise np.linalg.LinAlgError("the matrix of a ridge regression is not positive definite")
    return np.asarray(solved)


def _of_few(
    factors_BLD: np.ndarray, through_BLD: np.ndarray, weight_BL: np.ndarray, target_BL: np.ndarray
) -> np.ndarray:
    """[B, D] dual solutions with one equation for each event."""
    kernel_BLL = factors_BLD @ through_BLD.transpose(0, 2, 1)
    system = np.eye(target_BL.shape[1], dtype=np.float32) + weight_BL[..., None] * kernel_BLL
    share = np.linalg.solve(system, target_BL[..., None])
    return np.asarray((share.transpose(0, 2, 1) @ through_BLD)[:, 0])


def ridge_of_few(
    rows: Histories,
    weights: Float[np.ndarray, "events"],
    targets: Float[np.ndarray, "events"],
    factors: Float[np.ndarray, "items dim"],
    through: Float[np.ndarray, "items dim"],
) -> Float[np.ndarray, "rows dim"]:
    """The solutions of `ridge_rows` for rows with fewer events than dimensions, in the dual: one
    equation for each event instead of each dimension.

    With x = through' a, a solves (I + weights K) a = targets, K = factors through' (Woodbury's
    identity).

    Args:
        rows, weights, targets, factors: as for `ridge_rows`.
        through: [N, D] factors times the inverse of the `gram`.
    """
    everyone = np.arange(len(rows))
    index, weight_BL, target_BL = _rectangles(rows, everyone, weights, targets)
    return _of_few(factors[index], through[index], weight_BL, target_BL)


def similar_lengths(
    lengths: np.ndarray, dim: int, max_numbers: int = BATCH_NUMBERS
) -> Iterator[np.ndarray]:
    """Yield groups of indexes of non-empty rows of similar length, such that rows x longest row x
    `dim` stays within `max_numbers`; a row too long for that is a group of its own.
    """
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    width, start = lengths[order], 0
    while start < len(order):
        # No row is narrower than the first, so no more than these can fit.
        widths = width[start : start + max(1, max_numbers // int(width[start] * dim))]
        fits = int((np.arange(1, len(widths) + 1) * widths * dim <= max_numbers).sum())
        yield order[start : start + max(1, fits)]
        start += max(1, fits)
