"""The deep-set network at inference time: encodes a whole support only, not its prefixes.

`DeepSetNetwork.users` encodes every prefix, which training needs, in some eighty small operations
of torch; for one user most of its time goes into launching them. Here the weights are fixed: scales
and shifts of layer norms are folded into the layers that follow, parallel projections are one
product, and all of it is NumPy, whose small operations launch faster. A test checks that both give
the same numbers.

Shape letters as in `network`; T = L + 1 tokens, the first of which is the user before any event.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeAlias, cast

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from metarec.models.attention import Attention, Block, LayerNorm
from metarec.models.deep_set.network import DeepSetNetwork
from metarec.runtime.device import in_memory

Layer: TypeAlias = tuple[np.ndarray, np.ndarray]
"""Weight [in, out] and bias [out]."""
EPS, ROOT_HALF = np.float32(1e-5), np.float32(0.5**0.5)
"""Guard of the layer norms against a variance of 0, as in training; and a constant of GELU."""


class ServedNetwork:
    """A trained `DeepSetNetwork`, prepared once for many requests."""

    def __init__(self, network: DeepSetNetwork) -> None:
        """Fold the weights of a network that is not trained any further."""
        with torch.inference_mode():
            self.items = in_memory(network.items())
            """[N, D] embeddings of the catalog."""
            self.pool = network.pool
            self._edges, self._values, self._places, self._profile = map(
                in_memory,
                (
                    network.edges,
                    network.value.weight,
                    network.place.weight,
                    network.profile.weight.T,
                ),
            )
            self._element = _reader(network.element)
            self._blocks = [_ServedBlock(cast(Block, block)) for block in network.blocks]
            # The output layer is applied to a sum of two encodings, so it is folded into the last
            # layer of each.
            out = in_memory(network.out.weight.T)
            first, (weight, bias) = _reader(network.summary)
            self._summary = first, (weight @ out, bias @ out)
            share, norm = in_memory(network.attention_share), network.attended
            self._attended = (
                (share * in_memory(norm.weight))[:, None] * out,
                (share * in_memory(norm.bias)) @ out,
            )

    def user_vectors(
        self,
        items_BL: Int[np.ndarray, "B L"],
        values_BL: Float[np.ndarray, "B L"],
        strengths_BL: Float[np.ndarray, "B L"],
        lengths_B: Int[np.ndarray, "B"],
        profile_BP: Float[np.ndarray, "B P"],
    ) -> Float[np.ndarray, "B D"]:
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
        first_BD = profile_BP @ self._profile
        events_BLD = self.items[items_BL] * strengths_BL[..., None]
        events_BLD += self._places[1 : longest + 1]
        events_BLD += self._values[np.searchsorted(self._edges, values_BL)]
        gathered_BD = (_read(self._element, events_BLD) * strengths_BL[..., None]).sum(1)
        gathered_BD /= np.sqrt(lengths_B + 1, dtype=np.float32)[:, None]
        wanted_BD = _read(
            self._summary,
            np.concatenate([first_BD + self._places[lengths_B], gathered_BD], axis=-1),
        )
        tokens_BTD = np.concatenate([(first_BD + self._places[0])[:, None], events_BLD], axis=1)
        for (
            block
        ) in self._blocks:  # causal: the token of the last event sees all events and no padding
            tokens_BTD = block(tokens_BTD)
        last_BD = tokens_BTD[np.arange(len(tokens_BTD)), lengths_B]
        wanted_BD += _linear(_normalized(last_BD), self._attended)
        return wanted_BD


class _ServedBlock:
    """`Block` with causal self-attention only, at inference time."""

    def __init__(self, block: Block) -> None:
        attention, norm = cast(Attention, block.attention), cast(LayerNorm, block.norm_attention)
        self._heads = attention.heads
        sides = [
            _folded(norm, layer) for layer in (attention.query, attention.key, attention.value)
        ]
        self._query_key_value = (
            np.concatenate([weight for weight, _ in sides], axis=1),
            np.concatenate([bias for _, bias in sides]),
        )
        self._mix = _layer(attention.out.weight, attention.out.bias)
        self._feed = _two_layers(block.norm_feed, block.feed_forward)

    def __call__(self, x_BTD: np.ndarray) -> np.ndarray:
        sides_BTSHd = _linear(_normalized(x_BTD), self._query_key_value).reshape(
            *x_BTD.shape[:2], 3, self._heads, -1
        )
        query, key, value = sides_BTSHd.transpose(2, 0, 3, 1, 4)
        shares = query @ key.swapaxes(-1, -2)
        shares *= np.float32(query.shape[-1] ** -0.5)
        shares += _causal(x_BTD.shape[1])
        shares -= shares.max(-1, keepdims=True)
        np.exp(shares, out=shares)
        shares /= shares.sum(-1, keepdims=True)
        mixed_BTHd = (shares @ value).swapaxes(1, 2)
        x_BTD = x_BTD + _linear(mixed_BTHd.reshape(x_BTD.shape), self._mix)
        x_BTD += _read(self._feed, x_BTD)
        return x_BTD


@lru_cache(maxsize=64)
def _causal(tokens: int) -> np.ndarray:
    """[T, T] to be added to attention scores: -inf where a token would see a later one."""
    return np.triu(np.full((tokens, tokens), -np.inf, np.float32), 1)


def _read(layers: tuple[Layer, Layer], x: np.ndarray) -> np.ndarray:
    """Layer norm, linear layer, GELU, linear layer."""
    first, second = layers
    hidden = _linear(_normalized(x), first)
    # NumPy has no error function; torch's is many times faster than SciPy's
    share = torch.erf(torch.from_numpy(ROOT_HALF * hidden)).numpy()
    share += 1.0
    hidden *= 0.5
    hidden *= share
    return _linear(hidden, second)


def _linear(x: np.ndarray, layer: Layer) -> np.ndarray:
    output: np.ndarray = x @ layer[0]
    output += layer[1]
    return output


def _normalized(x: np.ndarray) -> np.ndarray:
    centered: np.ndarray = x - x.mean(-1, keepdims=True)
    variance = np.einsum("...d,...d->...", centered, centered) / np.float32(x.shape[-1])
    centered /= np.sqrt(variance + EPS)[..., None]
    return centered


def _reader(reader: nn.Sequential) -> tuple[Layer, Layer]:
    """Both linear layers of an encoder, with its layer norm folded in."""
    norm, *layers = reader
    return _two_layers(cast(LayerNorm, norm), layers)


def _two_layers(norm: LayerNorm, modules: Iterable[nn.Module]) -> tuple[Layer, Layer]:
    """Both linear layers of `modules`, the first with `norm` folded in."""
    first, second = (module for module in modules if isinstance(module, nn.Linear))
    return _folded(norm, first), _layer(second.weight, second.bias)


def _folded(norm: LayerNorm, layer: nn.Linear) -> Layer:
    """The layer with the scale and shift of the preceding layer norm folded in."""
    return _layer(layer.weight * norm.weight, layer.bias + layer.weight @ norm.bias)


def _layer(weight: Tensor, bias: Tensor) -> Layer:
    """A layer [out, in] of torch in memory, transposed."""
    return np.ascontiguousarray(in_memory(weight).T), in_memory(bias)
