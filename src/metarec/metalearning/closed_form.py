"""Ridge regression of a whole batch of tasks, solved in the support's own dimension.

With S events and D columns, S < D, the solution lies in the span of the support: an S x S Cholesky factor instead of a
D x D one, which is what makes a closed-form head the fastest adapter there is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Ridge(NamedTuple):
    """What solving B tasks gives."""

    weights: Tensor
    """[B, S] of each event; a prediction is its kernel with the support times these."""
    factor: Tensor
    """[B, S, S] lower Cholesky factor of the kernel matrix plus noise; rows of padding are those of the identity."""


def solve(kernel: Tensor, targets: Tensor, noise: Tensor, is_real: Tensor) -> Ridge:
    """Solve `(K + diag(noise)) a = y` for each task; padding takes no part.

    Args:
        kernel: [B, S, S] positive semi-definite.
        targets: [B, S].
        noise: [B, S] or anything that broadcasts to it, above 0.
        is_real: [B, S].
    """
    pair = is_real.unsqueeze(-1) & is_real.unsqueeze(-2)
    diagonal = torch.where(is_real, noise, torch.ones_like(noise).expand_as(targets))
    factor = torch.linalg.cholesky(kernel * pair + torch.diag_embed(diagonal))
    weights = torch.cholesky_solve((targets * is_real).unsqueeze(-1), factor).squeeze(-1)
    return Ridge(weights=weights, factor=factor)


def variance_left(prior_variance: Tensor, cross_kernel: Tensor, factor: Tensor) -> Tensor:
    """[B, N] variance of each item's latent value after the support: `k_jj - k_jS (K + noise)^-1 k_Sj`.

    Args:
        prior_variance: [N] or [B, N] the kernel's diagonal.
        cross_kernel: [B, N, S] with padding's columns at 0.
        factor: of `solve`.
    """
    explained = torch.linalg.solve_triangular(factor, cross_kernel.transpose(-1, -2), upper=False).square().sum(-2)
    left: Tensor = (prior_variance - explained).clamp(min=0.0)
    return left


def leave_one_out(ridge: Ridge, targets: Tensor) -> Tensor:
    """[B, S] what each event's value would have been predicted as without it: `y_i - a_i / (K + noise)^-1_ii`.

    Rasmussen and Williams 2006, "Gaussian processes for machine learning", equation 5.12; equals refitting without the event.
    """
    precision = torch.cholesky_inverse(ridge.factor).diagonal(dim1=-2, dim2=-1)
    return torch.sub(targets, ridge.weights / precision)
