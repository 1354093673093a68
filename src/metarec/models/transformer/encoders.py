"""What reads a sequence of tokens: blocks of one interface, so that only they differ between a
Transformer, a recurrent network and a convolution.

A block takes tokens [B, L, D] and gives as many back; token l of a causal one has read the tokens
up to l. Padding stands at the end, where no causal block sees it from a real token, so what attends
to nothing needs neither heads nor masks.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from metarec.models.attention import Block

WINDOW, HORIZONTAL, VERTICAL = 5, 16, 4
"""Newest events that Caser sees, filters of each height, and filters over time (L, n and n' of the
paper).
"""


class GruBlock(nn.Module):
    """A gated recurrent layer: GRU4Rec, Hidasi et al. 2016, arXiv:1511.06939.

    Where we differ: events carry kind, value and gap beside the item, and targets, loss and
    sampling are those of our Transformers, not session-parallel batches with TOP1 or BPR.
    """

    def __init__(self, dim: int, _heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.recurrent = nn.GRU(dim, dim, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x_BLD: Float[Tensor, "B L D"],
        **_attention: Bool[Tensor, "B L"] | bool | None,
    ) -> Float[Tensor, "B L D"]:
        """The state after each token."""
        states_BLD: Tensor = self.dropout(self.recurrent(x_BLD)[0])
        return states_BLD


class CaserBlock(nn.Module):
    """Convolutions over the newest events as over an image: Caser, Tang & Wang 2018,
    arXiv:1809.07426.

    Horizontal filters of each height find patterns of events in a row, of which the strongest
    counts; vertical ones weigh events by how recent they are. Where we differ: the user's own
    embedding, which a new user has not, is the start token of profile and circumstances; targets,
    loss and sampling are those of our Transformers.
    """

    def __init__(self, dim: int, _heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.horizontal = nn.ModuleList(
            nn.Conv1d(dim, HORIZONTAL, height) for height in range(1, WINDOW + 1)
        )
        self.vertical = nn.Conv1d(1, VERTICAL, WINDOW)
        self.join = nn.Linear(WINDOW * HORIZONTAL + VERTICAL * dim + dim, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        x_BLD: Float[Tensor, "B L D"],
        **_attention: Bool[Tensor, "B L"] | bool | None,
    ) -> Float[Tensor, "B L D"]:
        """What the window that ends with each token holds, beside the first token."""
        users, length, dim = x_BLD.shape
        padded_BDL = F.pad(x_BLD.transpose(1, 2), (WINDOW - 1, 0))
        # A filter of height h ends at WINDOW - h + 1 places of a window.
        found = [
            F.max_pool1d(F.relu(filters(padded_BDL)), WINDOW - height + 1, stride=1)
            for height, filters in enumerate(self.horizontal, start=1)
        ]
        over_time = self.vertical(padded_BDL.reshape(users * dim, 1, -1))
        found.append(over_time.view(users, dim * VERTICAL, length))
        first_BLD = x_BLD[:, :1].expand(-1, length, -1)
        whole = torch.cat([torch.cat(found, dim=1).transpose(1, 2), first_BLD], dim=-1)
        read_BLD: Tensor = self.dropout(F.relu(self.join(whole)))
        return read_BLD


BLOCKS: dict[str, Callable[..., nn.Module]] = {
    "decoder": Block,
    "encoder": Block,
    "encoder_decoder": Block,
    "gru4rec": GruBlock,
    "caser": CaserBlock,
}
"""form -> what its blocks are made by, of width, heads and dropout."""
CAUSAL = ("decoder", "gru4rec", "caser")
"""Forms whose token k has read the first k events: each prefix of a history teaches."""
