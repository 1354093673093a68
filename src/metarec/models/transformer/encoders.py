"""Sequence blocks of one interface: the only difference between a Transformer, a recurrent network
and a convolutional one.

A block maps tokens [B, L, D] to as many outputs; output l of a causal block depends on the tokens
up to l. Padding is at the end, where it cannot affect the real tokens of a causal block, so blocks
without attention ignore masks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from metarec.models.attention import Block
from metarec.models.transformer.sizes import SequenceSizes


class GruBlock(nn.Module):
    """A gated recurrent layer: GRU4Rec, Hidasi et al. 2016, arXiv:1511.06939.

    Where we differ: events carry kind, value and gap beside the item, and targets, loss and
    sampling are those of our Transformers, not session-parallel batches with TOP1 or BPR.
    """

    def __init__(self, sizes: SequenceSizes) -> None:
        super().__init__()
        self.recurrent = nn.GRU(sizes.dim, sizes.dim, batch_first=True)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(
        self,
        x_BLD: Float[Tensor, "B L D"],
        **_attention: Bool[Tensor, "B L"] | bool | None,
    ) -> Float[Tensor, "B L D"]:
        """Return the hidden state after each token."""
        states_BLD: Tensor = self.dropout(self.recurrent(x_BLD)[0])
        return states_BLD


class CaserBlock(nn.Module):
    """Convolutions over the newest events as over an image: Caser, Tang & Wang 2018,
    arXiv:1809.07426.

    Horizontal filters of each height detect patterns of consecutive events, max-pooled over the
    window; vertical filters weight events by recency. Where we differ: instead of a user embedding,
    which a new user does not have, the start token of profile and circumstances is used; targets,
    loss and sampling are those of our Transformers.
    """

    def __init__(self, sizes: SequenceSizes) -> None:
        super().__init__()
        self.sizes, dim, window = sizes, sizes.dim, sizes.window
        self.horizontal = nn.ModuleList(
            nn.Conv1d(dim, sizes.horizontal, height) for height in range(1, window + 1)
        )
        self.vertical = nn.Conv1d(1, sizes.vertical, window)
        self.join = nn.Linear(window * sizes.horizontal + sizes.vertical * dim + dim, dim)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(
        self,
        x_BLD: Float[Tensor, "B L D"],
        **_attention: Bool[Tensor, "B L"] | bool | None,
    ) -> Float[Tensor, "B L D"]:
        """Return features of the window that ends with each token, joined with the first token."""
        (users, length, dim), window = x_BLD.shape, self.sizes.window
        padded_BDL = F.pad(x_BLD.transpose(1, 2), (window - 1, 0))
        # A filter of height h ends at window - h + 1 places of a window.
        features = [
            F.max_pool1d(F.relu(filters(padded_BDL)), window - height + 1, stride=1)
            for height, filters in enumerate(self.horizontal, start=1)
        ]
        over_time = self.vertical(padded_BDL.reshape(users * dim, 1, -1))
        features.append(over_time.view(users, dim * self.sizes.vertical, length))
        first_BLD = x_BLD[:, :1].expand(-1, length, -1)
        joined = torch.cat([torch.cat(features, dim=1).transpose(1, 2), first_BLD], dim=-1)
        read_BLD: Tensor = self.dropout(F.relu(self.join(joined)))
        return read_BLD


def _attention(sizes: SequenceSizes) -> Block:
    return Block(sizes.dim, sizes.heads, dropout=sizes.dropout)


BLOCKS: dict[str, Callable[[SequenceSizes], nn.Module]] = {
    "decoder": _attention,
    "encoder": _attention,
    "encoder_decoder": _attention,
    "gru4rec": GruBlock,
    "caser": CaserBlock,
}
"""form -> factory of its blocks."""
CAUSAL = ("decoder", "gru4rec", "caser")
"""Forms whose token k depends on the first k events only, so that every prefix of a history is a
training example.
"""
