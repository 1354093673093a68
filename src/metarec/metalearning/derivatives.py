"""The few functions of a Transformer whose second derivatives cost most, with derivatives written
out.

Meta-gradients go through the slope of a slope. What torch puts together for that takes more passes
over memory than there is arithmetic, its softmax is slow where rows are as short as a support, and
slopes of a batched product come out turned, which small products pay for.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F


def gelu(x: Tensor) -> Tensor:
    """`x Phi(x)` with the normal distribution's Phi (Hendrycks and Gimpel 2016, arXiv:1606.08415).
    Two derivatives, no third.
    """
    return torch.as_tensor(_Gelu.apply(x))  # type: ignore[no-untyped-call]


def standardized(x: Tensor, eps: float) -> Tensor:
    """Each row (last axis) with mean 0 and variance 1: layer normalisation before its scale and
    shift. Two derivatives, no third.
    """
    return torch.as_tensor(_Standardized.apply(x, eps))  # type: ignore[no-untyped-call]


def softmax(x: Tensor) -> Tensor:
    """Softmax over the last axis; any derivative."""
    return torch.as_tensor(_Softmax.apply(x))  # type: ignore[no-untyped-call]


def times(a: Tensor, b: Tensor) -> Tensor:
    """`a b` for each matrix of a batch, [B, L, M] and [B, M, N]; any derivative, and so below."""
    return torch.as_tensor(_Times.apply(a, b))  # type: ignore[no-untyped-call]


def times_turned(a: Tensor, b: Tensor) -> Tensor:
    """`a b'` of [B, L, M] and [B, N, M]."""
    return torch.as_tensor(_TimesTurned.apply(a, b))  # type: ignore[no-untyped-call]


def turned_times(a: Tensor, b: Tensor) -> Tensor:
    """`a' b` of [B, M, L] and [B, M, N]."""
    return torch.as_tensor(_TurnedTimes.apply(a, b))  # type: ignore[no-untyped-call]


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return F.gelu(x)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return torch.as_tensor(_GeluSlope.apply(slope, *ctx.saved_tensors))  # type: ignore[no-untyped-call]


class _GeluSlope(torch.autograd.Function):
    """`slope gelu'(x)`, with `gelu''(x) = phi(x) (2 - x^2)`."""

    @staticmethod
    def forward(ctx: Any, slope: Tensor, x: Tensor) -> Tensor:
        ctx.save_for_backward(slope, x)
        return torch.as_tensor(torch.ops.aten.gelu_backward(slope, x))

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor, Tensor]:
        _refuse_third_order()
        slope, x = ctx.saved_tensors
        square = x * x
        density = (square * (-0.5 / math.log(2.0))).exp2_()  # a quarter of the time of `exp`
        bend = (
            density.mul_(square.sub_(2.0))
            .mul_(pull)
            .mul_(slope)
            .mul_(-1.0 / math.sqrt(2.0 * math.pi))
        )
        return torch.ops.aten.gelu_backward(pull, x), bend


class _Standardized(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float) -> Tensor:
        width = x.shape[-1:]
        z, mean, scale = torch.native_layer_norm(
            x, width, x.new_ones(width), x.new_zeros(width), eps
        )  # slower without them
        ctx.save_for_backward(x, z, mean, scale)
        return z

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        return torch.as_tensor(_StandardizedSlope.apply(slope, *ctx.saved_tensors)), None  # type: ignore[no-untyped-call]


class _StandardizedSlope(torch.autograd.Function):
    """`J g` with `J = s (I - 1 1'/D - z z'/D)`, symmetric; z the standardized row, s one over its
    deviation.

    Pulled by u, the slope by g is `J u`; the slope of `u' J g` by x follows from `dz/dx = J` and
    `ds/dx = -s^2 z / D`: `-s (s (cov(u, g) - a b) z + b J g + a J u)` with a and b the means of `g
    z` and of `u z`.
    """

    @staticmethod
    def forward(
        ctx: Any, slope: Tensor, x: Tensor, z: Tensor, mean: Tensor, scale: Tensor
    ) -> Tensor:
        by_x = _pulled(slope, x, mean, scale)
        ctx.save_for_backward(slope, x, z, mean, scale, by_x)
        return by_x

    @staticmethod
    def backward(ctx: Any, pull: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        _refuse_third_order()
        slope, x, z, mean, scale, by_x = ctx.saved_tensors
        by_slope = _pulled(pull, x, mean, scale)
        a, b, both = (_mean_product(*pair) for pair in ((slope, z), (pull, z), (pull, slope)))
        covariance = both - pull.mean(-1, keepdim=True) * slope.mean(-1, keepdim=True)
        bend = z * (scale.square() * (a * b - covariance))
        return (
            by_slope,
            bend.addcmul_(by_x, -scale * b).addcmul_(by_slope, -scale * a),
            None,
            None,
            None,
        )


def _pulled(slope: Tensor, x: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
    by_x, _, _ = torch.ops.aten.native_layer_norm_backward(
        slope, x, x.shape[-1:], mean, scale, None, None, [True, False, False]
    )
    return torch.as_tensor(by_x)


def _mean_product(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).mean(-1, keepdim=True)


def _refuse_third_order() -> None:
    if torch.is_grad_enabled():  # so it is under `create_graph=True`
        raise RuntimeError(
            "derivatives are written out to the second; a third needs F.gelu and F.layer_norm in "
            "their place"
        )


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        shares = (x - x.amax(-1, keepdim=True)).exp_()
        shares /= shares.sum(-1, keepdim=True)
        ctx.save_for_backward(shares)
        return shares

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (shares,) = ctx.saved_tensors
        return torch.as_tensor(shares * (slope - (shares * slope).sum(-1, keepdim=True)))


class _Times(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return torch.bmm(a, b)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return times_turned(slope, b) if wanted[0] else None, turned_times(a, slope) if wanted[
            1
        ] else None


class _TimesTurned(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return torch.bmm(a, b.transpose(1, 2))

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return times(slope, b) if wanted[0] else None, turned_times(slope, a) if wanted[1] else None


class _TurnedTimes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return torch.bmm(a.transpose(1, 2), b)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        wanted = ctx.needs_input_grad
        return times_turned(b, slope) if wanted[0] else None, times(a, slope) if wanted[1] else None
