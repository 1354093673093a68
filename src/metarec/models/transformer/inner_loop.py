"""The inner loop of the adaptive decoders: a user's events are the decoder's input and also the
support set on which some of its parameters adapt.

The inner loss is next-event prediction, as in training: the token before each event predicts it.
Gradient steps on that loss adapt some of the decoder's parameters, per user. `maml` and `reptile`
adapt blocks and head, `anil` the head, `lora` low-rank factors of attention and head, and the
head's bias. Every method also adapts a user code, zero before any event: the user's weights of the
items' leading collaborative factors, of which there are more than the decoder is wide (context
parameters as in CAVIA, Zintgraf et al. 2019, arXiv:1810.03642). Item vectors are shared. All users
of a batch adapt at once (`torch.func.vmap`).

Shape letters: B users, L events, D width, N items, M anchors, K codes, W wanted items.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn import functional as F

from metarec.models.inner_loop import Params, descend
from metarec.models.transformer.network import SequenceTransformer
from metarec.runtime.device import arange_like

MOVES = {
    "maml": ("blocks.*", "norm.*", "out.*"),
    "reptile": ("blocks.*", "norm.*", "out.*"),
    "anil": ("out.*",),
    "lora": ("blocks.*.attention.*.weight", "out.weight", "out.bias"),
}
"""method -> parameters that adapt, as patterns of their names; `lora` adapts factors of them."""
HEAD = "out."
CODE = "code"
DOWN, UP = ".down", ".up"
COUNTS = 7
"""Number of points at which confidence and temperature are learned: 1, 2, 4 ... 64 events, with
interpolation between them. It is the shape of saved arrays.
"""


@dataclass(frozen=True, kw_only=True)
class Support:
    """Item data of the inner loss."""

    anchors: Tensor
    """[M] items sampled to represent the catalog."""
    anchor_weights: Tensor
    """[M] log of the number of items that each anchor represents."""
    early: Tensor
    """[N] log count of each item among the support events, centered."""
    codes: Tensor
    """[N, K] collaborative factors of the items."""


@dataclass(frozen=True, kw_only=True)
class Vectors:
    """Item vectors of one request or step, computed once for all users."""

    read_ND: Tensor
    """Item vectors as inputs of the decoder."""
    scored_ND: Tensor
    """Item vectors as outputs, which user vectors are scored against."""
    bias_N: Tensor
    codes_NK: Tensor
    anchors: Tensor
    """[M] items sampled to represent the catalog."""
    anchor_weights: Tensor
    """[M] log of the number of items that each anchor represents."""

    def whole(self) -> Tensor:
        """Return item vectors [N, D + K + 1] to score the users of `InnerLoop.users` against."""
        return torch.cat([self.scored_ND, self.codes_NK, self.bias_N[:, None]], dim=1)


class InnerLoop(nn.Module):
    """Adaptation of a decoder to users, with learned step sizes, confidence and temperature.

    Args:
        moving: the network's parameters that adapt.
        rate: initial step size; for a matrix it is divided by its width, for the code it is
            `code_rate`.
        kappa: number of events at which the initial weight of the inner loss is half.
        rank: rank of the factors that adapt in place of a matrix; 0 adapts the matrices.
        liked_from: scaled value from which an event counts fully in the inner loss.
    """

    anchors: Tensor
    anchor_weights: Tensor
    early: Tensor
    codes: Tensor
    liked_from: Tensor

    def __init__(
        self,
        moving: Params,
        support: Support,
        *,
        steps: int,
        rate: float,
        code_rate: float,
        kappa: float,
        rank: int,
        liked_from: float,
    ) -> None:
        super().__init__()
        self.factors, self.rank = nn.ParameterDict(), rank
        rates = {}
        for name, value in moving.items():
            if rank and value.ndim == 2:
                down = torch.randn(rank, value.shape[1]) / value.shape[1] ** 0.5
                self.factors[_key(name + DOWN)] = nn.Parameter(down)
                rates[name + DOWN] = rates[name + UP] = rate
            else:
                rates[name] = rate / value.shape[1] if value.ndim == 2 else rate
        rates[CODE] = code_rate
        self.names = list(rates)
        logs = torch.tensor([math.log(one) for one in rates.values()])
        self.log_rates = nn.Parameter(logs[:, None].repeat(1, max(steps, 1)))
        self.spectrum = nn.Parameter(torch.ones(support.codes.shape[1]))
        counts = 2.0 ** torch.arange(COUNTS)
        self.confidence = nn.Parameter(torch.log(torch.expm1(counts / (counts + kappa))))
        self.temperature = nn.Parameter(torch.zeros(COUNTS))
        self.unliked = nn.Parameter(torch.tensor(0.3))
        self.early_scale = nn.Parameter(torch.tensor(1.0))
        for name in ("anchors", "anchor_weights", "early", "codes"):
            self.register_buffer(name, getattr(support, name))
        self.register_buffer("liked_from", torch.tensor(liked_from))

    @property
    def settings(self) -> list[nn.Parameter]:
        """Learned parameters of the inner loop other than the initial factors."""
        return [value for name, value in self.named_parameters() if not name.startswith("factors")]

    def vectors(
        self,
        network: SequenceTransformer,
        codes_NK: Tensor | None = None,
        anchors: tuple[Tensor, Tensor] | None = None,
    ) -> Vectors:
        """Return the network's item vectors; given codes and anchors replace those of new users."""
        read = network.items()
        items, weights = anchors or (self.anchors, self.anchor_weights)
        return Vectors(
            read_ND=read,
            scored_ND=read if network.scored is None else network.score_vectors(),
            bias_N=network.item_bias,
            codes_NK=self.codes if codes_NK is None else codes_NK,
            anchors=items,
            anchor_weights=weights,
        )

    def start(self, network: SequenceTransformer) -> Params:
        """Return the parameters at which every user starts: the decoder's, and a code of zero."""
        parameters = dict(network.named_parameters())
        params = {CODE: torch.zeros_like(self.spectrum)}
        for name in self.names:
            if name.endswith(DOWN):
                params[name] = self.factors[_key(name)]
            elif name.endswith(UP):
                matrix = parameters[name.removesuffix(UP)]
                params[name] = matrix.new_zeros(len(matrix), self.rank)
            elif name != CODE:
                params[name] = parameters[name]
        return params

    def adapt(
        self,
        network: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        vectors: Vectors,
        *,
        steps: int,
        first_order: bool,
    ) -> Params:
        """Return the adapted parameters, each [B, ...]."""
        rows = self._rows(network, inputs, vectors)

        def moved(row: Params) -> Params:
            return descend(
                lambda adapted: self._loss(network, adapted, row, vectors),
                self.start(network),
                steps=steps,
                rate=self._rate,
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
        """Return user vectors [B, D + K + 1] to score against `Vectors.whole`: the last token's
        output under the adapted parameters, the code, and 1 for the item bias, times an inverse
        temperature that depends on the number of events.
        """
        outputs_BLD = vmap(lambda adapted, row: self._outputs(network, adapted, row, vectors))(
            moved, self._rows(network, inputs, vectors)
        )
        last_B = inputs["is_real"].long().sum(dim=1)
        outputs_BD = outputs_BLD[arange_like(len(last_B), last_B), last_B]
        vectors_BD = torch.cat([outputs_BD, moved[CODE], torch.ones_like(outputs_BD[:, :1])], dim=1)
        temperature_B = ((last_B > 0) * _at(self.temperature, last_B)).exp()
        return vectors_BD * temperature_B[:, None]

    def losses(
        self,
        network: SequenceTransformer,
        inputs: Mapping[str, Tensor],
        vectors: Vectors,
        moved: Params,
    ) -> Tensor:
        """Return the inner loss [B] at the adapted parameters."""
        return vmap(lambda adapted, row: self._loss(network, adapted, row, vectors))(
            moved, self._rows(network, inputs, vectors)
        )

    def _rate(self, name: str, step: int) -> Tensor:
        """Return the step size of a parameter at one step; of the code one for each entry."""
        rate = self.log_rates[self.names.index(name), step].exp()
        return rate * self.spectrum if name == CODE else rate

    def _rows(
        self, network: SequenceTransformer, inputs: Mapping[str, Tensor], vectors: Vectors
    ) -> Params:
        """Return the inputs of the inner loop for each user; where only head and code adapt, with
        the states of the blocks, computed once.
        """
        if any(not name.startswith((HEAD, CODE)) for name in self.names):
            return dict(inputs)
        return {**inputs, "states": network.read(inputs, vectors.read_ND)[0]}

    def _outputs(
        self, network: SequenceTransformer, adapted: Params, row: Params, vectors: Vectors
    ) -> Tensor:
        """Return the output [1 + L, D] of each token of one user."""
        params = self._merged(network, adapted)
        if "states" in row:
            head = {name.removeprefix(HEAD): value for name, value in params.items()}
            output: Tensor = functional_call(network.out, head, (row["states"],))
            return output
        one = {name: value[None] for name, value in row.items()}
        outputs: Tensor = functional_call(network, params, (one, vectors.read_ND))
        return outputs[0]

    def _merged(self, network: SequenceTransformer, adapted: Params) -> Params:
        """Return parameters under the network's names, low-rank factors multiplied out and added to
        their matrices.
        """
        parameters, merged = dict(network.named_parameters()), {}
        for name, value in adapted.items():
            if name.endswith(DOWN):
                matrix = name.removesuffix(DOWN)
                merged[matrix] = parameters[matrix] + adapted[matrix + UP] @ value
            elif not name.endswith(UP) and name != CODE:
                merged[name] = value
        return merged

    def _loss(
        self, network: SequenceTransformer, adapted: Params, row: Params, vectors: Vectors
    ) -> Tensor:
        """Return the inner loss of one user: the mean negative log-likelihood of each event by the
        token before it, against the anchors, times a confidence that depends on the number of
        events. Where later items (`wanted`) are given, that of these items by the last token.
        """
        outputs_LD = self._outputs(network, adapted, row, vectors)
        before_LD, items_L, count = outputs_LD[:-1], row["items"], row["is_real"].sum()
        early_N = self.early_scale * self.early
        if "wanted" in row:
            lost, weight = self._lost_later(outputs_LD, adapted, row, vectors)
            count = weight
        else:
            lost_L = self._surprise(before_LD, items_L, adapted[CODE], early_N, vectors)
            worth_L = torch.where(row["values"] >= self.liked_from, 1.0, F.relu(self.unliked))
            weights_L = row["strengths"] * row["is_real"] * worth_L
            lost, weight = (weights_L * lost_L).sum(), weights_L.sum()
        trusted = (count > 0) * F.softplus(_at(self.confidence, count[None])[0])
        return trusted * lost / weight.clamp(min=1e-6)

    def _lost_later(
        self, outputs_LD: Tensor, adapted: Params, row: Params, vectors: Vectors
    ) -> tuple[Tensor, Tensor]:
        """Return the summed negative log-likelihood of the wanted items by the last token, and the
        number of these items.
        """
        is_last_L = arange_like(len(outputs_LD), outputs_LD) == row["is_real"].sum()
        last_WD = (is_last_L[:, None] * outputs_LD).sum(0).expand(len(row["wanted"]), -1)
        lost_W = self._surprise(last_WD, row["wanted"], adapted[CODE], vectors.bias_N, vectors)
        return (lost_W * row["is_wanted"]).sum(), row["is_wanted"].sum()

    def _surprise(
        self, outputs_LD: Tensor, items_L: Tensor, code_K: Tensor, bias_N: Tensor, vectors: Vectors
    ) -> Tensor:
        """Return the negative log-likelihood [L] of each item, in nats, by the token output in the
        same row, in a softmax over the anchors and the item itself.
        """
        scored_ND, codes_NK, anchors = vectors.scored_ND, vectors.codes_NK, vectors.anchors
        own_L = (outputs_LD * scored_ND[items_L]).sum(-1) + codes_NK[items_L] @ code_K
        own_L = own_L + bias_N[items_L]
        fixed_M = codes_NK[anchors] @ code_K + bias_N[anchors] + vectors.anchor_weights
        rest_L = torch.logsumexp(outputs_LD @ scored_ND[anchors].T + fixed_M, dim=-1)
        return torch.logaddexp(rest_L, own_L) - own_L


def adapted_parameters(network: SequenceTransformer, method: str) -> Params:
    """Return the parameters of the network that a method adapts."""
    return {
        name: value
        for name, value in network.named_parameters()
        if any(fnmatchcase(name, pattern) for pattern in MOVES[method])
    }


def _at(learned: Tensor, count_B: Tensor) -> Tensor:
    """Return the learned values [B], interpolated at these numbers of events in log2."""
    place_B = torch.log2(count_B.clamp(min=1).to(learned.dtype)).clamp(max=COUNTS - 1)
    near = F.relu(1 - (place_B[:, None] - arange_like(COUNTS, learned)).abs())
    return near @ learned


def _key(name: str) -> str:
    """Return the name without dots, which names in a module may not have."""
    return name.replace(".", "/")
