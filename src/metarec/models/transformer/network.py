"""The large model over behavior: Transformers that read a history of events and score every item.

Three forms of one model. `decoder`: causal, each event predicts the next items (Kang & McAuley
2018, SASRec, arXiv:1808.09781). `encoder`: bidirectional, trained to predict masked items (Sun et
al. 2019, BERT4Rec, arXiv:1904.06690). `encoder_decoder`: encodes the history, to which each
candidate attends by cross-attention, so that the user's representation depends on the candidate
(the idea of Zhou et al. 2018, DIN, arXiv:1706.06978). `gru4rec` and `caser` are the decoder with a
recurrent network or a convolution in place of attention (`transformer/encoders.py`); all else is
shared. Where we differ from the papers: a token carries kind, value and time since the previous
event beside the item, an item is its content plus a collaborative residual that is dropped at
random, and a first token holds the profile and the circumstances of the request, so that a user
without events is scored too.

Shape letters: B users, L events, N items, C candidates, D width, F content features.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metarec.data.schema import BadInput
from metarec.models.attention import Block, LayerNorm
from metarec.models.transformer.encoders import BLOCKS, CAUSAL
from metarec.models.transformer.inputs import SequenceInputs
from metarec.models.transformer.sizes import SequenceSizes
from metarec.runtime.device import arange_like, on_device

OF_USER = frozenset({"profile", "circumstances"})
"""Inputs of a user, not of each event."""
FORMS = tuple(BLOCKS)
CANDIDATE_NUMBERS = 4_000_000
"""Entries of the largest array in one step of the candidate decoder: bounds memory, whatever the
size of the catalog.
"""


class ItemVectors(nn.Module):
    """Item vectors [N, D]: a linear map of the content plus a collaborative residual.

    The residual starts near zero and is dropped whole with probability `id_dropout`, rescaled
    otherwise (as DropoutNet, Volkovs et al. 2017), so a cold item keeps a meaningful
    vector: its content's.
    """

    def __init__(self, content_NF: Tensor, dim: int, id_dropout: float) -> None:
        super().__init__()
        self.register_buffer("content", content_NF)
        self.from_content = (
            nn.Linear(content_NF.shape[1], dim, bias=False) if content_NF.shape[1] else None
        )
        self.residual = nn.Parameter(torch.randn(len(content_NF), dim) * 0.02)
        if self.from_content is not None:
            # Initial scores by content are then of size 1, no larger than popularity.
            nn.init.normal_(self.from_content.weight, std=(content_NF.shape[1] * dim) ** -0.5)
        else:
            id_dropout = 0.0  # without content there is only the residual
        self.id_dropout = id_dropout

    def start_at(self, factors_NK: np.ndarray) -> None:
        """Set the first columns of the residual to these factors, and the others to zero."""
        self.residual.zero_()
        self.residual[:, : factors_NK.shape[1]] = on_device(factors_NK)

    def forward(self) -> Tensor:
        """Return the item vectors [N, D]; in training, with some residuals dropped."""
        residual: Tensor = self.residual
        if self.training and self.id_dropout:
            kept = torch.rand(len(residual), 1, device=residual.device) >= self.id_dropout
            residual = residual * kept / (1 - self.id_dropout)
        return residual if self.from_content is None else residual + self.from_content(self.content)


class SequenceTransformer(nn.Module):
    """A network from histories to scores of all items.

    Args:
        content_NF: content features of each item, `[N, 0]` if there are none.
        kinds: number of kinds of events, the unknown one included.
        circumstances: width of the circumstances of requests; 0 for none.
        profile: width of the profile features; 0 for none.
    """

    def __init__(
        self,
        content_NF: Tensor,
        sizes: SequenceSizes,
        *,
        form: str = "decoder",
        kinds: int = 2,
        circumstances: int = 0,
        profile: int = 0,
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise BadInput(f"form must be one of {', '.join(FORMS)}, got {form!r}")
        self.form, self.sizes, dim = form, sizes, sizes.dim
        self.items = ItemVectors(content_NF, dim, sizes.id_dropout)
        self.scored = None if sizes.tie_weights else ItemVectors(content_NF, dim, sizes.id_dropout)
        self.item_bias = nn.Parameter(torch.zeros(len(content_NF)))
        self.kind = nn.Embedding(kinds, dim)
        self.numbers = nn.Linear(2, dim)  # value, time since the event before
        self.profile = nn.Linear(profile, dim) if profile else None
        self.circumstances = nn.Linear(circumstances, dim, bias=False) if circumstances else None
        self.start, self.mask = nn.Parameter(torch.zeros(dim)), nn.Parameter(torch.zeros(dim))
        self.place = nn.Embedding(sizes.max_events + 2, dim)
        for table in (self.kind, self.place, self.numbers):
            nn.init.normal_(table.weight, std=0.02)
        self.dropout = nn.Dropout(sizes.dropout)
        self.blocks = nn.ModuleList(BLOCKS[form](sizes) for _ in range(sizes.layers))
        self.norm = LayerNorm(dim)
        self.out = nn.Linear(dim, dim)
        if form == "encoder_decoder":
            # Run once for each pair of a user and an item, so they are narrow; without dropout, as
            # the encoded history has some.
            self.candidate_blocks = nn.ModuleList(
                Block(dim, sizes.heads, dim, cross=True, self_attention=False)
                for _ in range(max(1, sizes.layers // 2))
            )
            self.candidate_norm, self.judge = LayerNorm(dim), nn.Linear(dim, 1)

    def read(
        self, inputs: Mapping[str, Tensor], items_ND: Tensor, *, masked_BL: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the hidden states [B, 1 + L, D] (the first is that of the start token) and their
        mask [B, 1 + L].

        Args:
            inputs: `SequenceInputs` as tensors, and `profile` [B, P] where there are profile
                features.
            masked_BL: True where the item, value and gap are hidden (encoder form); kind and
                position are kept.
        """
        items_BL, is_real_BL = inputs["items"], inputs["is_real"]
        assert items_BL.shape[1] < self.place.num_embeddings, (
            "histories are cut to max_events before they come here"
        )
        # Weak events get small inputs from the start, before training learns what their kind means.
        who_BLD = items_ND[items_BL] * inputs["strengths"][..., None]
        if masked_BL is not None:
            who_BLD = torch.where(masked_BL[..., None], self.mask, who_BLD)
        numbers = torch.stack([inputs["values"], inputs["gaps"]], dim=-1)
        if masked_BL is not None:
            numbers = numbers.masked_fill(
                masked_BL[..., None], 0.0
            )  # a value would give the hidden item away
        events_BLD = who_BLD + self.kind(inputs["kinds"]) + self.numbers(numbers)
        start_BD = self.start.expand(len(items_BL), -1)
        if self.profile is not None:
            start_BD = start_BD + self.profile(inputs["profile"])
        if self.circumstances is not None:
            start_BD = start_BD + self.circumstances(inputs["circumstances"])
        x_BLD = torch.cat([start_BD[:, None], events_BLD], dim=1)
        x_BLD = self.dropout(x_BLD + self.place(arange_like(x_BLD.shape[1], x_BLD)))
        is_real_BL = torch.cat([torch.ones_like(is_real_BL[:, :1]), is_real_BL], dim=1)
        for block in self.blocks:
            x_BLD = block(x_BLD, is_real_BL=is_real_BL, causal=self.form in CAUSAL)
        return self.norm(x_BLD), is_real_BL

    def forward(self, inputs: Mapping[str, Tensor], items_ND: Tensor) -> Tensor:
        """Return the output [B, 1 + L, D] of each token: in causal forms the user's vector after
        that event.
        """
        outputs_BLD: Tensor = self.out(self.read(inputs, items_ND)[0])
        return outputs_BLD

    def score_vectors(self) -> Tensor:
        """Return the item vectors [N, D] that users are scored against."""
        vectors_ND: Tensor = self.items() if self.scored is None else self.scored()
        return vectors_ND

    def user_embeddings(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return one vector for each history, [B, D]: the output of the last token, or (encoder
        form) that of a mask added after it.
        """
        items_ND = self.items()
        masked_BL = None
        if self.form == "encoder":
            inputs, masked_BL = with_mask_at_end(inputs)
        read_BLD, is_real_BL = self.read(inputs, items_ND, masked_BL=masked_BL)
        last_B = is_real_BL.long().sum(dim=1) - 1
        embeddings_BD: Tensor = self.out(read_BLD[arange_like(len(last_B), last_B), last_B])
        return embeddings_BD

    def score(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Return scores [B, N] of the whole catalog, defined up to a constant in each row."""
        if self.form != "encoder_decoder":
            return self.user_embeddings(inputs) @ self.score_vectors().T + self.item_bias
        items_ND, vectors_ND = self.items(), self.score_vectors()
        memory_BLD, is_real_BL = self.read(inputs, items_ND)
        per_item = len(memory_BLD) * max(memory_BLD.shape[1] * self.sizes.heads, self.sizes.dim)
        step = max(1, CANDIDATE_NUMBERS // max(1, per_item))
        parts = [
            self.score_candidates(memory_BLD, is_real_BL, vectors_ND[None, start : start + step])
            for start in range(0, len(vectors_ND), step)
        ]
        return torch.cat(parts, dim=1) + self.item_bias

    def score_candidates(
        self, memory_BLD: Tensor, is_real_BL: Tensor, candidates_BCD: Tensor
    ) -> Tensor:
        """Encoder-decoder form: return scores [B, C]. Each candidate attends to the history, not to
        other candidates.

        Args:
            candidates_BCD: item vectors; [1, C, D] if the candidates are the same for all users,
                so that their part of the work is done once.
        """
        x_BCD = candidates_BCD
        for block in self.candidate_blocks:
            x_BCD = block(x_BCD, memory_BMD=memory_BLD, memory_is_real_BM=is_real_BL)
        # judge(norm(x)) + out(norm(x)) . candidate, with all but the normalization moved to the
        # side of the candidate, which may be shared
        norm, asked_BCD = self.candidate_norm, candidates_BCD @ self.out.weight + self.judge.weight
        normed_BCD = F.layer_norm(x_BCD, x_BCD.shape[-1:], eps=norm.eps)
        constant_BC = candidates_BCD @ self.out.bias + self.judge.bias + asked_BCD @ norm.bias
        return (normed_BCD * (asked_BCD * norm.weight)).sum(-1) + constant_BC


def with_mask_at_end(inputs: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], Tensor]:
    """Return histories with one empty event after the last real one, and a mask that is True
    there.
    """
    is_real_BL = inputs["is_real"]
    grown = {
        name: rows if name in OF_USER else torch.cat([rows, torch.zeros_like(rows[:, :1])], dim=1)
        for name, rows in inputs.items()
    }
    masked_BL = torch.zeros_like(grown["is_real"])
    masked_BL[arange_like(len(is_real_BL), is_real_BL), is_real_BL.long().sum(dim=1)] = True
    return {**grown, "is_real": grown["is_real"] | masked_BL}, masked_BL


def as_tensors(inputs: SequenceInputs, profile: np.ndarray | None = None) -> dict[str, Tensor]:
    """Return inputs, and `profile` [B, P] where given, as tensors for `SequenceTransformer`."""
    tensors = {name: on_device(getattr(inputs, name)) for name in inputs.__dataclass_fields__}
    return (
        tensors
        if profile is None
        else {**tensors, "profile": on_device(profile.astype(np.float32))}
    )
