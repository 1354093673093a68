"""Ridge regression for a batch of tasks, solved in the dual (in the dimension of the support).

With S events and D columns, S < D, the solution lies in the span of the support: an S x S Cholesky
factor instead of a D x D one, which makes a closed-form head the fastest to adapt. Gradients are
written by hand, as autograd would differentiate through the factor, the most expensive part; second
derivatives therefore raise an error.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor


class Ridge(NamedTuple):
    """Solution of B tasks."""

    weights: Tensor
    """[B, S] dual weight of each event, 0 for padding; a prediction is the item's kernel with the
    support times these weights.
    """
    factor: Tensor
    """[B, S, S] lower Cholesky factor of the kernel matrix plus noise."""


def solve(kernel: Tensor, targets: Tensor, noise: Tensor, is_real: Tensor) -> Ridge:
    """Solve `(K + noise I) a = y` for each task; padding is ignored.

    Args:
        kernel: [B, S, S] positive semi-definite.
        targets: [B, S].
        noise: one number above 0.
        is_real: [B, S].
    """
    pair = is_real.unsqueeze(-1) & is_real.unsqueeze(-2)
    matrix = kernel * pair + noise * _eye(kernel)
    factor = torch.linalg.cholesky(matrix)
    real_targets = (targets * is_real).unsqueeze(-1)
    # Torch leaves `apply` of its functions untyped
    solved = _Solve.apply(matrix, real_targets, factor.detach())  # type: ignore[no-untyped-call]
    weights = solved.squeeze(-1)
    return Ridge(weights=weights, factor=factor)


def variance_left(prior_variance: Tensor, cross_kernel: Tensor, factor: Tensor) -> Tensor:
    """Return the posterior variance [B, N] of each item's latent value: `k_jj - k_jS (K +
    noise)^-1 k_Sj`.

    Args:
        prior_variance: [N] or [B, N] the kernel's diagonal.
        cross_kernel: [B, N, S] kernel of items and support, 0 in columns of padding.
        factor: the Cholesky factor of `solve`.
    """
    explained = (
        torch.linalg.solve_triangular(factor, cross_kernel.transpose(-1, -2), upper=False)
        .square()
        .sum(-2)
    )
    return torch.clamp(prior_variance - explained, min=0.0)


def leave_one_out(ridge: Ridge, targets: Tensor) -> Tensor:
    """Return the leave-one-out prediction [B, S] of each event's value: `y_i - a_i / (K +
    noise)^-1_ii`.

    Rasmussen and Williams 2006, "Gaussian processes for machine learning", equation 5.12; equals
    refitting without the event.
    """
    precision = torch.cholesky_inverse(ridge.factor).diagonal(dim1=-2, dim2=-1)
    return torch.as_tensor(targets - ridge.weights / precision)


class _Solve(torch.autograd.Function):
    """`matrix^-1 targets` for symmetric matrices; the gradient is one more solve with the same
    factor.
    """

    @staticmethod
    # The gradient goes to `matrix`
    def forward(
        ctx: Any,
        matrix: Tensor,  # noqa: ARG004
        targets: Tensor,
        factor: Tensor,
    ) -> Tensor:
        weights = torch.cholesky_solve(targets, factor)
        ctx.save_for_backward(weights, factor)
        return weights

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, Tensor, None]:
        _refuse_second_order()
        weights, factor = ctx.saved_tensors
        slope = torch.cholesky_solve(slope, factor)
        return -slope @ weights.transpose(-1, -2), slope, None


def _refuse_second_order() -> None:
    if torch.is_grad_enabled():  # as under `create_graph=True`
        raise RuntimeError(
            "the closed form has no second derivative; adapt by it or by gradient steps, not by "
            "one through the other"
        )


def _eye(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], dtype=like.dtype, device=like.device)
