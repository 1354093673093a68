"""The deep-set network at inference time: encodes a whole support only, not its prefixes.

`DeepSetNetwork.users` encodes every prefix, which training needs, in some eighty small operations;
for one user most of its time goes into launching them. Here the weights are fixed: scales and
shifts of layer norms are folded into the layers that follow, parallel projections are one product,
and no modules are called. A test checks that both give the same numbers; the result for one user
takes half the time, .3 ms of a slate's 3.3 (docs/experiments, 2026-11-28).

Shape letters as in `network`; T = L + 1 tokens, the first of which is the user before any event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from metarec.models.attention import Attention, Block, LayerNorm
from metarec.models.deep_set.network import DeepSetNetwork
from metarec.runtime.device import up_to

Layer = tuple[Tensor, Tensor]
"""Weight [out, in] and bias [out]."""


class ServedNetwork:
    """A trained `DeepSetNetwork`, prepared once for many requests."""

    def __init__(self, network: DeepSetNetwork) -> None:
        """Fold the weights of a network that is not trained any further."""
        with torch.inference_mode():
            self.items: Tensor = (
                network.items().detach()
            )  # without content this is the parameter itself
            """[N, D] embeddings of the catalog."""
            self.pool = network.pool
            self._edges, self._values, self._places, self._profile = (
                network.edges,
                network.value.weight,
                network.place.weight,
                network.profile.weight,
            )
            self._element = _reader(network.element)
            self._blocks = [_ServedBlock(cast(Block, block)) for block in network.blocks]
            # The output layer is applied to a sum of two encodings, so it is folded into the last
            # layer of each.
            out = network.out.weight
            first, (weight, bias) = _reader(network.summary)
            self._summary = first, (out @ weight, out @ bias)
            share = network.attention_share
            self._attended = (
                out * (share * network.attended.weight),
                out @ (share * network.attended.bias),
            )

    def wanted(
        self,
        items_BL: Int[Tensor, "B L"],
        values_BL: Float[Tensor, "B L"],
        strengths_BL: Float[Tensor, "B L"],
        lengths_B: Int[Tensor, "B"],
        profile_BP: Float[Tensor, "B P"],
    ) -> Float[Tensor, "B D"]:
        """[B, D] user vectors; their products with `items`, plus the bias of each item, are the
        logits.

        Args:
            items_BL: the events of each user, oldest first and padded on the right; padding is
                ignored.
            values_BL: values of the events.
            strengths_BL: strengths of the events, 0 for padding.
            lengths_B: number of events of each user, at most L.
            profile_BP: profile columns of each user.
        """
        longest = items_BL.shape[1]
        first_BD = profile_BP @ self._profile.T
        events_BLD = functional.embedding(items_BL, self.items) * strengths_BL[..., None]
        events_BLD += self._places[1 : longest + 1]
        events_BLD += functional.embedding(torch.bucketize(values_BL, self._edges), self._values)
        gathered_BD = (_read(self._element, events_BLD) * strengths_BL[..., None]).sum(1) / (
            lengths_B + 1
        ).sqrt()[:, None]
        wanted_BD = _read(
            self._summary, torch.cat([first_BD + self._places[lengths_B], gathered_BD], -1)
        )
        tokens_BTD = torch.cat([(first_BD + self._places[0])[:, None], events_BLD], 1)
        for (
            block
        ) in self._blocks:  # causal: the token of the last event sees all events and no padding
            tokens_BTD = block(tokens_BTD)
        last_BD = tokens_BTD[up_to(len(tokens_BTD), lengths_B), lengths_B]
        return wanted_BD + functional.linear(_normalized(last_BD), *self._attended)


class _ServedBlock:
    """`Block` with causal self-attention only, at inference time."""

    def __init__(self, block: Block) -> None:
        attention, norm = cast(Attention, block.attention), cast(LayerNorm, block.norm_attention)
        self._heads = attention.heads
        sides = [
            _folded(norm, layer) for layer in (attention.query, attention.key, attention.value)
        ]
        self._ask = (
            torch.cat([weight for weight, _ in sides]),
            torch.cat([bias for _, bias in sides]),
        )
        self._mix = attention.out.weight, attention.out.bias
        self._feed = _two_layers(block.norm_feed, block.feed_forward)

    def __call__(self, x_BTD: Tensor) -> Tensor:
        sides_BTSHd = functional.linear(_normalized(x_BTD), *self._ask).view(
            *x_BTD.shape[:2], 3, self._heads, -1
        )
        query, key, value = sides_BTSHd.permute(2, 0, 3, 1, 4)
        mixed_BHTd = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        x_BTD = x_BTD + functional.linear(mixed_BHTd.transpose(1, 2).flatten(-2), *self._mix)
        return x_BTD + _read(self._feed, x_BTD)


def _read(layers: tuple[Layer, Layer], x: Tensor) -> Tensor:
    """Layer norm, linear layer, GELU, linear layer."""
    first, second = layers
    return functional.linear(functional.gelu(functional.linear(_normalized(x), *first)), *second)


def _normalized(x: Tensor) -> Tensor:
    return functional.layer_norm(x, x.shape[-1:])


def _reader(reader: nn.Sequential) -> tuple[Layer, Layer]:
    """Both linear layers of an encoder, with its layer norm folded in."""
    norm, *rest = reader
    return _two_layers(cast(LayerNorm, norm), rest)


def _two_layers(norm: LayerNorm, modules: Iterable[nn.Module]) -> tuple[Layer, Layer]:
    """Both linear layers of `modules`, the first with `norm` folded in."""
    first, second = (module for module in modules if isinstance(module, nn.Linear))
    return _folded(norm, first), (second.weight, second.bias)


def _folded(norm: LayerNorm, layer: nn.Linear) -> Layer:
    """The layer with the scale and shift of the preceding layer norm folded in."""
    return layer.weight * norm.weight, layer.bias + layer.weight @ norm.bias
