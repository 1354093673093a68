"""Layers as plain functions of named weights, where any weight may carry a leading task axis.

A weight is either shared, `[in, out]`, or stacked, one for each task, `[B, in, out]`; the same line of code serves
both, so a whole batch of tasks goes through one batched matrix product and no loop over tasks is ever written.
The arithmetic is that of `metarec.backbone.attention` (softmax written out, the affine part of a layer norm outside
`F.layer_norm`), which is what makes second derivatives exact.

Shape letters: B tasks, T rows of a task, D width, G groups of tokens, L tokens of a group, H attention heads.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Params = dict[str, Tensor]
"""Weights by name; stacked ones have a leading axis of tasks."""


def row(vector: Tensor) -> Tensor:
    """`[D]` or `[B, D]` as something that adds to `[B, T, D]`."""
    return vector.unsqueeze(-2)


def linear(params: Params, name: str, x_BTD: Tensor) -> Tensor:
    """`x @ weight + bias`, and `+ (x @ down) @ up` where the layer has low-rank factors (LoRA, arXiv:2106.09685).

    Args:
        params: holds `name.weight` and perhaps `name.bias`, `name.down`, `name.up`.
        x_BTD: rows of each task; a leading 1 stands for rows that all tasks share.
    """
    weight, bias = params[f"{name}.weight"], params.get(f"{name}.bias")
    if bias is not None and weight.ndim == 3 and x_BTD.shape[0] == weight.shape[0]:
        y = torch.baddbmm(row(bias), x_BTD, weight)
    else:
        y = product(x_BTD, weight)
        y = y if bias is None else y + row(bias)
    down = params.get(f"{name}.down")
    return y if down is None else y + product(product(x_BTD, down), params[f"{name}.up"])


def product(x_BTD: Tensor, weight: Tensor) -> Tensor:
    """Matrix product that never copies shared rows for each task: rows all tasks share meet all their weights at once."""
    if weight.ndim == 3 and x_BTD.shape[0] == 1 < weight.shape[0]:
        tasks, width_in, width_out = weight.shape
        side_by_side = weight.permute(1, 0, 2).reshape(width_in, tasks * width_out)
        return (x_BTD[0] @ side_by_side).view(-1, tasks, width_out).transpose(0, 1)
    return x_BTD @ weight


def layer_norm(params: Params, name: str, x_BTD: Tensor, eps: float = 1e-5) -> Tensor:
    """Ba et al. 2016, arXiv:1607.06450, over the last axis."""
    return F.layer_norm(x_BTD, x_BTD.shape[-1:], None, None, eps) * row(params[f"{name}.weight"]) + row(params[f"{name}.bias"])


def attention(params: Params, name: str, x_BTD: Tensor, *, tokens: int, heads: int, is_visible: Tensor | None = None) -> Tensor:
    """Self-attention among the `tokens` consecutive rows of each group (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        x_BTD: T = groups x tokens rows of each task.
        is_visible: [L, L] or [B, L, L], False where the row's token may not look at the column's; each row sees one.
    """
    tasks, rows, width = x_BTD.shape
    q_XLd, k_XLd, v_XLd = (_by_head(linear(params, f"{name}.{part}", x_BTD), tokens, heads) for part in ("query", "key", "value"))
    weights = torch.bmm(q_XLd / math.sqrt(width // heads), k_XLd.transpose(1, 2))
    if is_visible is not None:
        hidden = ~is_visible if is_visible.ndim == 2 else (~is_visible).repeat_interleave(len(weights) // tasks, dim=0)
        weights = weights.masked_fill(hidden, torch.finfo(weights.dtype).min)
    mixed = torch.bmm(torch.softmax(weights, dim=-1), v_XLd)
    together = mixed.view(-1, heads, tokens, width // heads).transpose(1, 2).reshape(tasks, rows, width)
    return linear(params, f"{name}.out", together)


def _by_head(x_BTD: Tensor, tokens: int, heads: int) -> Tensor:
    """[B, T, D] -> [B * groups * H, L, D/H]."""
    return x_BTD.reshape(-1, tokens, heads, x_BTD.shape[-1] // heads).transpose(1, 2).flatten(0, 1)


def block(params: Params, name: str, x_BTD: Tensor, *, tokens: int, heads: int, is_visible: Tensor | None = None) -> Tensor:
    """One pre-norm Transformer layer: attention, then two linear layers with GELU between.

    Weights have the names of `metarec.backbone.attention.Block`, so those of a trained tower can be adapted (`params_of`).
    """
    x_BTD = x_BTD + attention(params, f"{name}.attention", layer_norm(params, f"{name}.norm_attention", x_BTD),
                              tokens=tokens, heads=heads, is_visible=is_visible)
    wide = F.gelu(linear(params, f"{name}.feed_forward.0", layer_norm(params, f"{name}.norm_feed", x_BTD)))
    return x_BTD + linear(params, f"{name}.feed_forward.3", wide)


def new_linear(name: str, width_in: int, width_out: int, draw: torch.Generator, *, gain: float = 1.0, bias: bool = True,
               lora: int = 0) -> Params:
    """Weights drawn uniformly within `gain / sqrt(width_in)`; low-rank factors start as the zero map."""
    bound = gain / math.sqrt(width_in)
    params = {f"{name}.weight": _uniform((width_in, width_out), bound, draw)}
    if bias:
        params[f"{name}.bias"] = torch.zeros(width_out)
    if lora:
        params[f"{name}.down"] = _uniform((width_in, lora), 1.0 / math.sqrt(width_in), draw)
        params[f"{name}.up"] = torch.zeros(lora, width_out)
    return params


def new_block(name: str, width: int, hidden: int, draw: torch.Generator, *, lora: int = 0) -> Params:
    """Weights of one `block`; `lora` ranks of low-rank factors stand beside the attention."""
    norms = {f"{name}.{norm}.{part}": torch.full((width,), float(part == "weight"))
             for norm in ("norm_attention", "norm_feed") for part in ("weight", "bias")}
    attention = [new_linear(f"{name}.attention.{part}", width, width, draw, lora=lora) for part in ("query", "key", "value", "out")]
    feed = [new_linear(f"{name}.feed_forward.{place}", *sizes, draw) for place, sizes in ((0, (width, hidden)), (3, (hidden, width)))]
    return norms | {key: value for layer in (*attention, *feed) for key, value in layer.items()}


def params_of(module: nn.Module, prefix: str = "") -> Params:
    """The weights of a torch module by name, linear ones turned to `[in, out]`, as `prefix.NAME`."""
    turned = {f"{name}.weight" for name, part in module.named_modules() if isinstance(part, nn.Linear)}
    return {(f"{prefix}.{name}" if prefix else name): (value.detach().T if name in turned else value.detach()).clone()
            for name, value in module.named_parameters()}


def _uniform(shape: tuple[int, ...], bound: float, draw: torch.Generator) -> Tensor:
    return torch.empty(shape).uniform_(-bound, bound, generator=draw)
