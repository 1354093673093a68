"""Building blocks of Transformers, written so that second derivatives pass through them.

Two functions of torch are unfit for meta-learning: `F.scaled_dot_product_attention` has no second
derivative on the CPU, and the affine weights inside `F.layer_norm` lose precision under
`torch.func.vmap`. Both are written out here.

Shape letters: B batch, L query tokens, M key tokens, H heads, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from metarec.data.schema import BadInput


def normalized(x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-5) -> Tensor:
    """Layer normalization of the last axis, with scale and shift applied outside `F.layer_norm`. Ba
    et al. 2016, arXiv:1607.06450.
    """
    return F.layer_norm(x, x.shape[-1:], None, None, eps) * weight + bias


def attended(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    visible: Tensor | None = None,
    dropout: Callable[[Tensor], Tensor] = lambda weights: weights,
) -> Tensor:
    """[..., L, d] scaled dot-product attention with the softmax written out; zeros for a token that
    may attend to none. Vaswani et al. 2017, arXiv:1706.03762, equation 1.

    Args:
        query: [..., L, d].
        key, value: [..., M, d].
        visible: bool attention mask, broadcast to [..., L, M]; True where attention is allowed.
        dropout: applied to the attention weights.
    """
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if visible is None:
        return dropout(torch.softmax(scores, dim=-1)) @ value
    scores = scores.masked_fill(~visible, torch.finfo(scores.dtype).min)
    # A fully masked row would otherwise average the padding
    return dropout(torch.softmax(scores, dim=-1) * visible) @ value


class LayerNorm(nn.Module):
    """`normalized` with its own weights: the values of `nn.LayerNorm`, with exact second
    derivatives under `vmap`.
    """

    def __init__(self, dim: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalize the last axis."""
        return normalized(x, self.weight, self.bias, self.eps)


class Attention(nn.Module):
    """Multi-head self-attention, or cross-attention to a `memory`.

    Vaswani et al. 2017, arXiv:1706.03762, section 3.2.2.
    """

    def __init__(self, dim: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise BadInput(f"dim must be a multiple of heads, got dim={dim} and heads={heads}")
        self.heads = heads
        self.query = nn.Linear(dim, dim)
        self.key = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x_BLD: Float[Tensor, "#B L D"],
        *,
        memory_BMD: Float[Tensor, "B M D"] | None = None,
        is_real_BM: Bool[Tensor, "B M"] | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "B L D"]:
        """Apply attention to a batch of sequences.

        Args:
            x_BLD: query tokens; [1, L, D] if all memories share the same queries, which are then
                projected only once.
            memory_BMD: key and value tokens; `x_BLD` itself if left out.
            is_real_BM: False where a key token is padding.
            causal: token l attends only to tokens up to l (self-attention).

        Returns:
            [B, L, D]
        """
        keys = x_BLD if memory_BMD is None else memory_BMD
        q_BHLd, k_BHMd, v_BHMd = (
            self._split(f(x))
            for f, x in ((self.query, x_BLD), (self.key, keys), (self.value, keys))
        )
        visible = self._visible(q_BHLd, k_BHMd, is_real_BM, causal)
        mixed = attended(q_BHLd, k_BHMd, v_BHMd, visible, self.dropout)
        attended_BLD: Tensor = self.out(mixed.transpose(-2, -3).flatten(-2))
        return attended_BLD

    def _split(self, x_BLD: Tensor) -> Tensor:
        """[B, L, D] -> [B, H, L, D/H]."""
        return x_BLD.reshape(*x_BLD.shape[:-1], self.heads, -1).transpose(-2, -3)

    @staticmethod
    def _visible(
        query: Tensor, key: Tensor, is_real_BM: Tensor | None, causal: bool
    ) -> Tensor | None:
        visible = None if is_real_BM is None else is_real_BM.bool()[..., None, None, :]
        if causal:
            shape = query.shape[-2], key.shape[-2]
            past = torch.ones(shape, dtype=torch.bool, device=query.device).tril()
            visible = past if visible is None else visible & past
        return visible


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU between them, applied to each token separately."""

    def __init__(self, dim: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__(
            nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, dim)
        )


class Block(nn.Module):
    """One pre-norm Transformer layer: self-attention, then cross-attention to a memory if `cross`,
    then feed-forward.

    Pre-norm (Xiong et al. 2020, arXiv:2002.04745) trains without a long warm-up, which small data
    cannot afford.

    Args:
        cross: add cross-attention to a memory.
        own: add self-attention; without it tokens do not attend to each other (candidates are then
            scored independently).
    """

    def __init__(
        self,
        dim: int,
        heads: int,
        hidden: int | None = None,
        dropout: float = 0.0,
        *,
        cross: bool = False,
        self_attention: bool = True,
    ) -> None:
        super().__init__()
        self.norm_attention = LayerNorm(dim) if self_attention else None
        self.attention = Attention(dim, heads, dropout) if self_attention else None
        self.norm_cross = LayerNorm(dim) if cross else None
        self.cross_attention = Attention(dim, heads, dropout) if cross else None
        self.norm_feed = LayerNorm(dim)
        self.feed_forward = FeedForward(dim, hidden or 4 * dim, dropout)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x_BLD: Float[Tensor, "#B L D"],
        *,
        is_real_BL: Bool[Tensor, "B L"] | None = None,
        causal: bool = False,
        memory_BMD: Float[Tensor, "B M D"] | None = None,
        memory_is_real_BM: Bool[Tensor, "B M"] | None = None,
    ) -> Float[Tensor, "B L D"]:
        """[B, L, D] -> [B, L, D]. A block with `cross=True` needs `memory_BMD`; x may then be [1,
        L, D], shared by the whole batch.
        """
        if self.norm_attention is not None and self.attention is not None:
            x_BLD = x_BLD + self.dropout(
                self.attention(self.norm_attention(x_BLD), is_real_BM=is_real_BL, causal=causal)
            )
        if self.norm_cross is not None and self.cross_attention is not None:
            assert memory_BMD is not None, "a block with cross attention needs a memory"
            looked_up = self.cross_attention(
                self.norm_cross(x_BLD), memory_BMD=memory_BMD, is_real_BM=memory_is_real_BM
            )
            x_BLD = x_BLD + self.dropout(looked_up)
        # nn.Module calls are untyped
        fed_BLD = self.feed_forward(self.norm_feed(x_BLD))
        output_BLD: Tensor = x_BLD + self.dropout(fed_BLD)
        return output_BLD
