"""A Transformer layer as a plain function of named weights, each of which may be each task's own,
by the attention and layer norm of `metarec.models.attention`.

Shape letters: B tasks, T rows of a task, D width, G groups of tokens, L tokens of a group, H
attention heads.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.models.attention import attended, normalized
from metarec.models.few_shot.functional import Params, linear, new_linear, row


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


def new_block(name: str, width: int, hidden: int, draw: torch.Generator) -> Params:
    """Weights of one `block`."""
    norms = {
        f"{name}.{norm}.{part}": torch.full((width,), float(part == "weight"))
        for norm in ("norm_attention", "norm_feed")
        for part in ("weight", "bias")
    }
    attention = [
        new_linear(f"{name}.attention.{part}", width, width, draw)
        for part in ("query", "key", "value", "out")
    ]
    feed = [
        new_linear(f"{name}.feed_forward.{place}", *sizes, draw)
        for place, sizes in ((0, (width, hidden)), (3, (hidden, width)))
    ]
    return norms | {key: value for layer in (*attention, *feed) for key, value in layer.items()}
