"""Layers as plain functions of named weights, where any weight may carry a leading task axis.

A weight is either shared, `[in, out]`, or stacked, one for each task, `[B, in, out]`; the same line
of code serves both, so a whole batch of tasks goes through one batched matrix product and no loop
over tasks is ever written. Attention and layer norm are those of `metarec.models.attention`.

Shape letters: B tasks, T rows of a task, D width, G groups of tokens, L tokens of a group, H
attention heads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.models.attention import attended, normalized

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


def layer_norm(params: Params, name: str, x_BTD: Tensor) -> Tensor:
    """Over the last axis, with weights that may be each task's own."""
    return normalized(x_BTD, row(params[f"{name}.weight"]), row(params[f"{name}.bias"]))


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
    if is_visible is not None and is_visible.ndim == 3:
        is_visible = is_visible.repeat_interleave(len(q_XLd) // tasks, dim=0)
    mixed = attended(q_XLd, k_XLd, v_XLd, is_visible)
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

    Weights have the names of `metarec.models.attention.Block`, and the arithmetic is its own; here
    each task may have weights of its own.
    """
    x_BTD = x_BTD + attention(
        params,
        f"{name}.attention",
        layer_norm(params, f"{name}.norm_attention", x_BTD),
        tokens=tokens,
        heads=heads,
        is_visible=is_visible,
    )
    wide = F.gelu(
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


def _uniform(shape: tuple[int, ...], bound: float, draw: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=draw)
