"""Layers as plain functions of named weights, where any weight may carry a leading task axis.

A weight is either shared, `[in, out]`, or stacked, one for each task, `[B, in, out]`; the same line
of code serves both, so a whole batch of tasks goes through one batched matrix product and no loop
over tasks is ever written. The arithmetic is that of `metarec.models.attention` (softmax written
out, the affine part of a layer norm outside `F.layer_norm`), which is what makes second derivatives
exact.

Shape letters: B tasks, T rows of a task, D width, G groups of tokens, L tokens of a group, H
attention heads.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Params = dict[str, Tensor]
"""Weights by name; stacked ones have a leading axis of tasks."""


def row(vector: Tensor) -> Tensor:
    """`[D]` or `[B, D]` as something that adds to `[B, T, D]`."""
    return vector.unsqueeze(-2)


class Watched(dict[str, Tensor]):
    """Parameters under which linear layers note their rows, so that each task's own slope can be
    told afterwards.

    The slope of a task's loss by a weight is `x' d` with x the rows that went in and d the slope by
    what came out. Noting both lets all tasks share one weight in one product and still adapt apart.
    The weights themselves are handed out to `linear` alone: used anywhere else, their slope would
    be missed.
    """

    def __init__(self, params: Params, weights: Params, tasks: int) -> None:
        super().__init__(params)
        self.weights = weights
        self.tasks = tasks
        self.rows: dict[str, list[tuple[Tensor, Tensor]]] = {}

    # Narrower than dict's: values are tensors
    def __or__(self, other: Params) -> Watched:  # type: ignore[override]
        """More parameters beside these, noting in the same place."""
        joined = Watched({**self, **other}, self.weights, self.tasks)
        joined.rows = self.rows
        return joined

    def note(self, name: str, x_BTD: Tensor, y_BTD: Tensor) -> Tensor:
        """Keep what layer `name` was given and gave; the answer is what to go on with."""
        y_BTD = y_BTD.expand(self.tasks, *y_BTD.shape[1:])
        y_BTD = y_BTD if y_BTD.requires_grad else y_BTD.requires_grad_()
        self.rows.setdefault(name, []).append((x_BTD.expand(self.tasks, *x_BTD.shape[1:]), y_BTD))
        return y_BTD


def weight_of(params: Params, name: str) -> Tensor | None:
    """The weight of layer `name`, `[in, out]` or stacked; None where there is no such layer."""
    if isinstance(params, Watched) and name in params.weights:
        return params.weights[name]
    return params.get(f"{name}.weight")


def linear(params: Params, name: str, x_BTD: Tensor) -> Tensor:
    """`x @ weight + bias`, and what low-rank factors add where a layer has them.

    Args:
        params: holds `name.weight` and perhaps `name.bias`; `name.down`, `name.up` (LoRA,
            arXiv:2106.09685); `name.left`, `name.right` (what adapting on a few rows added).
        x_BTD: rows of each task; a leading 1 stands for rows that all tasks share.
    """
    weight, bias = weight_of(params, name), params.get(f"{name}.bias")
    assert weight is not None, f"there is no layer {name!r} among {', '.join(params)}"
    if bias is not None and weight.ndim == 3 and x_BTD.shape[0] == weight.shape[0]:
        y = torch.baddbmm(row(bias), x_BTD, weight)
    else:
        y = product(x_BTD, weight)
        y = y if bias is None else y + row(bias)
    for first, second in (("down", "up"), ("left", "right")):
        if f"{name}.{first}" in params:
            y = y + product(product(x_BTD, params[f"{name}.{first}"]), params[f"{name}.{second}"])
    return (
        params.note(name, x_BTD, y) if isinstance(params, Watched) and name in params.weights else y
    )


def product(x_BTD: Tensor, weight: Tensor) -> Tensor:
    """Matrix product that never copies shared rows for each task: rows all tasks share meet all
    their weights at once.
    """
    if weight.ndim == 3 and x_BTD.shape[0] == 1 < weight.shape[0]:
        tasks, width_in, width_out = weight.shape
        side_by_side = weight.permute(1, 0, 2).reshape(width_in, tasks * width_out)
        return (x_BTD[0] @ side_by_side).view(-1, tasks, width_out).transpose(0, 1)
    return x_BTD @ weight


def layer_norm(params: Params, name: str, x_BTD: Tensor, eps: float = 1e-5) -> Tensor:
    """Ba et al. 2016, arXiv:1607.06450, over the last axis."""
    return torch.addcmul(
        row(params[f"{name}.bias"]), standardized(x_BTD, eps), row(params[f"{name}.weight"])
    )


def attention(
    params: Params,
    name: str,
    x_BTD: Tensor,
    *,
    tokens: int,
    heads: int,
    is_visible: Tensor | None = None,
) -> Tensor:
    """Self-attention among the `tokens` consecutive rows of each group (Vaswani et al. 2017,
    arXiv:1706.03762).

    Args:
        x_BTD: T = groups x tokens rows of each task.
        is_visible: [L, L] or [B, L, L], False where the row's token may not look at the column's;
            each row sees one.
    """
    tasks, rows, width = x_BTD.shape
    q_XLd, k_XLd, v_XLd = (
        _by_head(linear(params, f"{name}.{part}", x_BTD), tokens, heads)
        for part in ("query", "key", "value")
    )
    weights = times_turned(q_XLd, k_XLd) / math.sqrt(width // heads)
    if is_visible is not None:
        hidden = (
            ~is_visible
            if is_visible.ndim == 2
            else (~is_visible).repeat_interleave(len(weights) // tasks, dim=0)
        )
        weights = weights.masked_fill(hidden, torch.finfo(weights.dtype).min)
    mixed = times(softmax(weights), v_XLd)
    together = (
        mixed.view(-1, heads, tokens, width // heads).transpose(1, 2).reshape(tasks, rows, width)
    )
    return linear(params, f"{name}.out", together)


def _by_head(x_BTD: Tensor, tokens: int, heads: int) -> Tensor:
    """[B, T, D] -> [B * groups * H, L, D/H]."""
    return x_BTD.reshape(-1, tokens, heads, x_BTD.shape[-1] // heads).transpose(1, 2).flatten(0, 1)


def block(
    params: Params,
    name: str,
    x_BTD: Tensor,
    *,
    tokens: int,
    heads: int,
    is_visible: Tensor | None = None,
) -> Tensor:
    """One pre-norm Transformer layer: attention, then two linear layers with GELU between.

    Weights have the names of `metarec.models.attention.Block`, so those of a trained tower can be
    adapted (`params_of`).
    """
    x_BTD = x_BTD + attention(
        params,
        f"{name}.attention",
        layer_norm(params, f"{name}.norm_attention", x_BTD),
        tokens=tokens,
        heads=heads,
        is_visible=is_visible,
    )
    wide = gelu(
        linear(params, f"{name}.feed_forward.0", layer_norm(params, f"{name}.norm_feed", x_BTD))
    )
    return x_BTD + linear(params, f"{name}.feed_forward.3", wide)


def new_linear(
    name: str,
    width_in: int,
    width_out: int,
    draw: torch.Generator,
    *,
    gain: float = 1.0,
    bias: bool = True,
    lora: int = 0,
) -> Params:
    """Weights drawn uniformly within `gain / sqrt(width_in)`; low-rank factors start as the zero
    map.
    """
    bound = gain / math.sqrt(max(width_in, 1))
    params = {f"{name}.weight": _uniform((width_in, width_out), bound, draw)}
    if bias:
        params[f"{name}.bias"] = torch.zeros(width_out)
    if lora:
        params[f"{name}.down"] = _uniform((width_in, lora), 1.0 / math.sqrt(max(width_in, 1)), draw)
        params[f"{name}.up"] = torch.zeros(lora, width_out)
    return params


def new_block(
    name: str, width: int, hidden: int, draw: torch.Generator, *, lora: int = 0
) -> Params:
    """Weights of one `block`; `lora` ranks of low-rank factors stand beside the attention."""
    norms = {
        f"{name}.{norm}.{part}": torch.full((width,), float(part == "weight"))
        for norm in ("norm_attention", "norm_feed")
        for part in ("weight", "bias")
    }
    attention = [
        new_linear(f"{name}.attention.{part}", width, width, draw, lora=lora)
        for part in ("query", "key", "value", "out")
    ]
    feed = [
        new_linear(f"{name}.feed_forward.{place}", *sizes, draw)
        for place, sizes in ((0, (width, hidden)), (3, (hidden, width)))
    ]
    return norms | {key: value for layer in (*attention, *feed) for key, value in layer.items()}


def params_of(module: nn.Module, prefix: str = "") -> Params:
    """The weights of a torch module by name, linear ones turned to `[in, out]`, as
    `prefix.NAME`.
    """
    turned = {
        f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)
    }
    return {
        (f"{prefix}.{name}" if prefix else name): (
            value.detach().T if name in turned else value.detach()
        ).clone()
        for name, value in module.named_parameters()
    }


def _uniform(shape: tuple[int, ...], bound: float, draw: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=draw)


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
