"""What moves of a decoder when a user's events are read twice: once as its input, once as the
support of an inner loop.

Each event of the history is to be expected by the token before it, as in training; gradient steps
on that loss move some of the decoder's parameters, for each user apart. `maml` and `reptile` move
its blocks and head, `anil` the head, `lora` low-rank factors of its attention and the head's bias.
Item vectors are shared. All users of a batch move at once (`torch.func.vmap`).

Shape letters: B users, L events, D width, N items, M anchors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from metarec.models.inner_loop import Params, descend
from metarec.models.sampling import stand_ins
from metarec.models.transformer.network import SequenceTransformer
from metarec.runtime.device import device, on_device, up_to

MOVES = {
    "maml": ("blocks.*", "norm.*", "out.*"),
    "reptile": ("blocks.*", "norm.*", "out.*"),
    "anil": ("out.*",),
    "lora": ("blocks.*.attention.*.weight", "out.weight", "out.bias"),
}
"""method -> parameters that move, as patterns of their names; of `lora` the factors of matrices."""
HEAD = "out."
DOWN, UP = ".down", ".up"


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Items as one request or step sees them."""

    read_ND: Tensor
    scored_ND: Tensor
    bias_N: Tensor

    @classmethod
    def of(cls, network: SequenceTransformer) -> Vectors:
        """The network's own; worked out once for all users."""
        read = network.items()
        scored = read if network.scored is None else network.score_vectors()
        return cls(read_ND=read, scored_ND=scored, bias_N=network.item_bias)


class InnerLoop(nn.Module):
    """How a decoder moves to a user, and what of that is learned.

    Args:
        moving: the parameters that move, from the network.
        rank: of the factors that move in place of a matrix; 0 moves the matrices.
        anchors: items [M] that stand for the catalog, and log of how many each stands for [M].
        liked_from: scaled value from which an event is to be expected.
    """

    anchors: Tensor
    anchor_weights: Tensor
    liked_from: Tensor
    early: Tensor

    def __init__(
        self,
        moving: Params,
        *,
        steps: int,
        rate: float,
        kappa: float,
        rank: int,
        anchors: tuple[Tensor, Tensor],
        liked_from: float,
        early: Tensor,
    ) -> None:
        super().__init__()
        self.factors = nn.ParameterDict()
        self.names = []
        for name, value in moving.items():
            if rank and value.ndim == 2:
                down = torch.randn(rank, value.shape[1]) / value.shape[1] ** 0.5
                self.factors[_key(name + DOWN)] = nn.Parameter(down)
                self.factors[_key(name + UP)] = nn.Parameter(torch.zeros(value.shape[0], rank))
                self.names += [name + DOWN, name + UP]
            else:
                self.names.append(name)
        self.rates = nn.Parameter(torch.full((len(self.names), max(steps, 1)), rate))
        self.kappa = nn.Parameter(torch.tensor(kappa))
        self.register_buffer("anchors", anchors[0])
        self.register_buffer("anchor_weights", anchors[1])
        self.register_buffer("liked_from", torch.tensor(liked_from))
        self.register_buffer("early", early)

    @classmethod
    def of(
        cls,
        network: SequenceTransformer,
        method: str,
        *,
        steps: int,
        rate: float,
        kappa: float,
        rank: int,
        anchors: int,
        liked_from: float,
        early: Tensor,
        rng: np.random.Generator,
    ) -> InnerLoop:
        """Before any meta-training; anchors are drawn uniformly."""
        items, weights = stand_ins(len(network.item_bias), np.zeros(0, np.int64), anchors, rng)
        return cls(
            moving_of(network, method),
            steps=steps,
            rate=rate,
            kappa=kappa,
            rank=rank if method == "lora" else 0,
            anchors=(on_device(items), on_device(weights)),
            liked_from=liked_from,
            early=early,
        ).to(device())

    def start(self, network: SequenceTransformer) -> Params:
        """Where every user starts."""
        given = dict(network.named_parameters())
        return {
            name: self.factors[_key(name)] if name.endswith((DOWN, UP)) else given[name]
            for name in self.names
        }

    def adapt(
        self,
        network: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        vectors: Vectors,
        *,
        steps: int,
        first_order: bool,
    ) -> Params:
        """What moved, each [B, ...]."""
        rows, place = self._rows(network, inputs, vectors), self.names.index

        def moved(row: Params) -> Params:
            return descend(
                lambda own: self._loss(network, own, row, vectors),
                self.start(network),
                steps=steps,
                rate=lambda name, step: self.rates[place(name), step],
                first_order=first_order,
            )

        return vmap(moved)(rows)

    def users(
        self,
        network: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        vectors: Vectors,
        moved: Params,
    ) -> Tensor:
        """[B, D] what the last token of each user says under what moved."""
        said_BLD = vmap(lambda own, row: self._said(network, own, row, vectors))(
            moved, self._rows(network, inputs, vectors)
        )
        last_B = inputs["is_real"].long().sum(dim=1)
        return said_BLD[up_to(len(last_B), last_B), last_B]

    def losses(
        self,
        network: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        vectors: Vectors,
        moved: Params,
    ) -> Tensor:
        """[B] the inner loss under what moved."""
        return vmap(lambda own, row: self._loss(network, own, row, vectors))(
            moved, self._rows(network, inputs, vectors)
        )

    def _rows(
        self, network: SequenceTransformer, inputs: Mapping[str, Tensor], vectors: Vectors
    ) -> Params:
        """What the inner loop reads of each user; with what the body says, where it rests."""
        if any(not name.startswith(HEAD) for name in self.names):
            return dict(inputs)
        return {**inputs, "states": network.read(inputs, vectors.read_ND)[0]}

    def _said(
        self, network: SequenceTransformer, own: Params, row: Params, vectors: Vectors
    ) -> Tensor:
        """[1 + L, D] what each token of one user says."""
        params = self._merged(network, own)
        if "states" in row:
            head = {name.removeprefix(HEAD): value for name, value in params.items()}
            said: Tensor = functional_call(network.out, head, (row["states"],))
            return said
        one = {name: value[None] for name, value in row.items()}
        whole: Tensor = functional_call(network, params, (one, vectors.read_ND))
        return whole[0]

    def _merged(self, network: SequenceTransformer, own: Params) -> Params:
        """Parameters under the network's names: matrices plus the products of their factors."""
        given, merged = dict(network.named_parameters()), {}
        for name, value in own.items():
            if name.endswith(DOWN):
                matrix = name.removesuffix(DOWN)
                merged[matrix] = given[matrix] + own[matrix + UP] @ value
            elif not name.endswith(UP):
                merged[name] = value
        return merged

    def _loss(
        self, network: SequenceTransformer, own: Params, row: Params, vectors: Vectors
    ) -> Tensor:
        """How little the token before expected each liked event, among the anchors; little is
        made of few events.
        """
        before_LD = self._said(network, own, row, vectors)[:-1]
        items_L = row["items"]
        own_L = (before_LD * vectors.scored_ND[items_L]).sum(-1) + self.early[items_L]
        anchors_LM = before_LD @ vectors.scored_ND[self.anchors].T + self.early[self.anchors]
        rest_L = torch.logsumexp(anchors_LM + self.anchor_weights, dim=-1)
        weights_L = row["strengths"] * row["is_real"] * (row["values"] >= self.liked_from)
        count = weights_L.sum()
        lost = (weights_L * (torch.logaddexp(rest_L, own_L) - own_L)).sum() / count.clamp(min=1e-6)
        return lost * count / (count + F.softplus(self.kappa))


def moving_of(network: SequenceTransformer, method: str) -> Params:
    """Parameters of the network that a method moves."""
    return {
        name: value
        for name, value in network.named_parameters()
        if any(fnmatchcase(name, pattern) for pattern in MOVES[method])
    }


def _key(name: str) -> str:
    """A name that a module may hold."""
    return name.replace(".", "/")
