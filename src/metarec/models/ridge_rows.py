"""Many small ridge regressions at once, one for each row of a ragged table, batched over rows of
similar length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from metarec.features.histories import Histories

BATCH_NUMBERS = 4_000_000
"""Numbers gathered at a time while solving: bounds memory."""


def ridge_rows(
    rows: Histories,
    weights: Float[np.ndarray, "events"],
    targets: Float[np.ndarray, "events"],
    factors: Float[np.ndarray, "items dim"],
    gram: Float[np.ndarray, "dim dim"],
) -> Float[np.ndarray, "rows dim"]:
    """[B, D] float32: for each row the x that minimises sum_j weight_j (x . f_j)^2 - 2 target_j (x
    . f_j) + x' gram x.

    Args:
        rows: which factors each of B rows meets; empty rows give 0.
        weights: [E] weight of each event, at least 0.
        targets: [E] weight times wanted value of each event.
        factors: [N, D].
        gram: [D, D] positive definite: the ridge, and what absent events say.
    """
    solved = np.zeros((len(rows), factors.shape[1]), np.float32)
    table, base = torch.from_numpy(factors), torch.from_numpy(gram)
    for chunk in similar_lengths(rows.lengths, factors.shape[1]):
        part = rows.users(chunk)
        source = np.arange(part.offsets[-1]) - np.repeat(
            part.offsets[:-1] - rows.offsets[chunk], part.lengths
        )
        shape = (len(chunk), int(part.lengths.max()))
        index, weight_BL, target_BL = (
            np.zeros(shape, np.int64),
            np.zeros(shape, np.float32),
            np.zeros(shape, np.float32),
        )
        index[part.owners, part.positions] = part.items
        weight_BL[part.owners, part.positions], target_BL[part.owners, part.positions] = (
            weights[source],
            targets[source],
        )
        factors_BLD = table[torch.from_numpy(index)]
        matrix = base + torch.einsum(
            "bld,ble->bde", factors_BLD * torch.from_numpy(weight_BL)[..., None], factors_BLD
        )
        wanted = torch.einsum("bl,bld->bd", torch.from_numpy(target_BL), factors_BLD)
        solved[chunk] = torch.cholesky_solve(wanted[..., None], torch.linalg.cholesky(matrix))[
            ..., 0
        ].numpy()
    return solved


def ridge_of_few(
    rows: Histories,
    weights: Float[np.ndarray, "events"],
    targets: Float[np.ndarray, "events"],
    factors: Float[np.ndarray, "items dim"],
    through: Float[np.ndarray, "items dim"],
) -> Float[np.ndarray, "rows dim"]:
    """What `ridge_rows` gives, for rows of fewer events than there are dimensions: an equation for
    each event instead of each dimension.

    With x = through' a, a solves (I + weights K) a = targets, K = factors through' (Woodbury's
    identity).

    Args:
        rows: as for `ridge_rows`, as `weights`, `targets` and `factors` are.
        through: [N, D] factors times the inverse of the `gram`.
    """
    filled = replace(
        rows, values=np.asarray(weights, np.float32)
    ).padded()  # an event that is not there weighs nothing
    target_BL = replace(rows, values=np.asarray(targets, np.float32)).padded().values
    through_BLD = through[filled.items]
    kernel_BLL = factors[filled.items] @ through_BLD.transpose(0, 2, 1)
    system = np.eye(target_BL.shape[1], dtype=np.float32) + filled.values[..., None] * kernel_BLL
    share = np.linalg.solve(system, target_BL[..., None])
    return np.asarray((share.transpose(0, 2, 1) @ through_BLD)[:, 0])


def similar_lengths(lengths: np.ndarray, dim: int) -> Iterator[np.ndarray]:
    """Groups of rows of similar length, none empty, such that rows x longest x `dim` stays within
    `BATCH_NUMBERS`.
    """
    order = np.argsort(lengths, kind="stable")
    order = order[lengths[order] > 0]
    width, start = np.maximum(lengths[order], dim), 0
    while start < len(order):
        # No row is narrower than the first, so no more than these can fit.
        most = BATCH_NUMBERS // int(width[start] * dim)
        widths = width[start : start + max(1, most)]
        fits = int((np.arange(1, len(widths) + 1) * widths * dim <= BATCH_NUMBERS).sum())
        yield order[start : start + max(1, fits)]
        start += max(1, fits)
