"""Meta-learning of the decoder itself: MAML, ANIL, Reptile and LoRA over the same Transformer, of
the same sizes, as `decoder`.

The decoder is pre-trained as usual, and meta-training continues from it. The inner loop is that of
`transformer/inner_loop.py`; adapted or not, the decoder reads the user's history by attention.

- `decoder_maml`: blocks and head adapt; Finn et al. 2017, arXiv:1703.03400.
- `decoder_anil`: the head alone adapts; Raghu et al. 2020, arXiv:1909.09157.
- `decoder_reptile`: the prior moves towards the adapted parameters; Nichol et al. 2018,
  arXiv:1803.02999.
- `decoder_lora`: low-rank factors of attention and head (Hu et al. 2022, arXiv:2106.09685) and the
  head's bias adapt.

Where we differ from the papers: meta-training starts from a pre-trained decoder instead of noise,
whose item vectors were initialized with collaborative factors; the inner loss is next-event
prediction within the support, with the popularity of support events as a bias; the outer loss is
softmax loss plus LambdaLoss of NDCG@10 on the items liked after the cut; each method also adapts a
user code over collaborative factors of the items (`transformer/inner_loop.py`). Step sizes are
learned for each tensor and step (Antoniou et al. 2019, arXiv:1810.09502), as are the weight of the
inner loss by number of events and the weight of events that were not liked; Reptile's step sizes
are chosen on held-out users. LoRA leaves the decoder as it was pre-trained and learns the initial
factors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.inner_loop import Params
from metarec.models.transformer.inner_loop import (
    DOWN,
    InnerLoop,
    Support,
    Vectors,
    adapted_parameters,
)
from metarec.models.transformer.inputs import SequenceReader
from metarec.models.transformer.meta_training import AdaptiveConfig, MetaTraining, support_of
from metarec.models.transformer.scorer import Transformer, TransformerConfig
from metarec.models.transformer.training_set import TrainingSet
from metarec.runtime.device import device, in_memory, on_device, one_thread

INNER = "inner."
"""Prefix of the saved arrays of the inner loop."""


@dataclass(frozen=True, kw_only=True)
class AdaptiveDecoder(Transformer):
    """A decoder whose parameters adapt to each user by gradient steps on the user's history."""

    method: ClassVar[str]
    learns_start: ClassVar[bool] = True
    """Whether the outer loop trains the decoder too, or the inner loop's parameters alone."""
    at_once: ClassVar[int] = 64
    inner: InnerLoop
    config: AdaptiveConfig = AdaptiveConfig()

    @classmethod
    def _trained(
        cls,
        behavior: Behavior,
        reader: SequenceReader,
        data: TrainingSet,
        held_out: TrainingSet,
        rng: np.random.Generator,
        config: TransformerConfig,
    ) -> Self:
        """Pre-train the decoder, then meta-train it."""
        assert isinstance(config, AdaptiveConfig), "the registry checks whose config it is"
        network = Transformer._trained(behavior, reader, data, held_out, rng, config).network
        liked_from = (behavior.relevant_from - reader.value_mean) / reader.value_spread - 1e-4
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            inner = InnerLoop(
                adapted_parameters(network, cls.method),
                support_of(data, config.anchors, config.codes, rng),
                steps=config.inner_steps,
                rate=config.inner_lr,
                code_rate=config.code_lr,
                kappa=config.kappa,
                rank=config.rank if cls.method == "lora" else 0,
                liked_from=liked_from,
            ).to(device())
            model = cls(network=network, reader=reader, inner=inner, config=config)
            if config.outer_steps:
                with one_thread():
                    MetaTraining.of(model, data, held_out, rng).run()
        return model

    def scores(self, shown: Mapping[str, Tensor]) -> Tensor:
        """Return log-scores [B, N] after each user's inner steps; without steps the decoder's."""
        if not self.inner_steps:
            return super().scores(shown)
        with torch.no_grad(), one_thread():
            vectors = self.inner.vectors(self.network)
            users = self.inner.users(self.network, shown, vectors, self._moved(shown, vectors))
            return users @ vectors.whole().T

    @property
    def inner_steps(self) -> int:
        """Number of gradient steps on a user's events."""
        return self.config.inner_steps

    def after_steps(self, steps: int) -> Self:
        """Return the same model with `steps` inner steps; with 0 it does not adapt."""
        return replace(self, config=replace(self.config, inner_steps=steps))

    def adapted(self, users: UserBatch) -> dict[str, np.ndarray]:
        """Return the adapted parameters, each [B, ...]."""
        with torch.no_grad(), one_thread():
            vectors = self.inner.vectors(self.network)
            parts = [self._moved(shown, vectors) for shown in self.shown(users)]
        return {name: in_memory(torch.cat([part[name] for part in parts])) for name in parts[0]}

    def support_losses(self, users: UserBatch) -> np.ndarray:
        """Return the inner loss [B] of each user after the last inner step, in nats."""
        with torch.no_grad(), one_thread():
            vectors = self.inner.vectors(self.network)
            parts = [
                self.inner.losses(self.network, shown, vectors, self._moved(shown, vectors))
                for shown in self.shown(users)
            ]
            return in_memory(torch.cat(parts))

    def _moved(self, shown: Mapping[str, Tensor], vectors: Vectors) -> Params:
        return self.inner.adapt(
            self.network, shown, vectors, steps=self.inner_steps, first_order=True
        )

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Self:
        """Return the model for a new `content`, as for the decoder; the codes of new items are 0,
        and their count among support events is the lowest.
        """
        grown = super().with_content(content, popularity)
        more = len(content) - len(self.inner.early)
        inner = grown.inner
        inner.early = torch.cat([inner.early, inner.early.min().expand(more)])
        inner.codes = torch.cat([inner.codes, inner.codes.new_zeros(more, inner.codes.shape[1])])
        return grown

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return the arrays of the decoder and those of the inner loop."""
        inner = {INNER + name: in_memory(value) for name, value in self.inner.state_dict().items()}
        return {**super().arrays(), **inner}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: TransformerConfig | None = None
    ) -> Self:
        """Return the model that `arrays()` was called on."""
        inner_arrays, plain_arrays = {}, {}
        for name, array in arrays.items():
            if name.startswith(INNER):
                inner_arrays[name.removeprefix(INNER)] = on_device(np.array(array))
            else:
                plain_arrays[name] = array
        plain = Transformer.from_arrays(plain_arrays, config or cls.config)
        ranks = [
            value.shape[0]
            for name, value in inner_arrays.items()
            if name.endswith(DOWN.replace(".", "/"))
        ]
        with torch.random.fork_rng(devices=[]):  # the random start is overwritten at once
            inner = InnerLoop(
                adapted_parameters(plain.network, cls.method),
                Support(**{one: inner_arrays[one] for one in Support.__dataclass_fields__}),
                steps=inner_arrays["log_rates"].shape[1],
                rate=1.0,
                code_rate=1.0,
                kappa=1.0,
                rank=max(ranks, default=0),
                liked_from=0.0,
            )
        inner.to(device()).load_state_dict(inner_arrays)
        settings = config if isinstance(config, AdaptiveConfig) else cls.config
        return cls(network=plain.network, reader=plain.reader, inner=inner, config=settings)


class DecoderMaml(AdaptiveDecoder):
    """MAML: blocks and head adapt to the user; Finn et al. 2017, arXiv:1703.03400."""

    method: ClassVar[str] = "maml"


class DecoderAnil(AdaptiveDecoder):
    """ANIL: the head alone adapts to the user; Raghu et al. 2020, arXiv:1909.09157."""

    method: ClassVar[str] = "anil"


class DecoderReptile(AdaptiveDecoder):
    """Reptile: the prior moves towards the adapted parameters; Nichol et al. 2018,
    arXiv:1803.02999.
    """

    method: ClassVar[str] = "reptile"
    config = AdaptiveConfig(outer_lr=0.5)  # interpolation weight of an outer step


class DecoderLora(AdaptiveDecoder):
    """LoRA: low-rank factors adapt to the user; Hu et al. 2022, arXiv:2106.09685."""

    method: ClassVar[str] = "lora"
    learns_start: ClassVar[bool] = False
    config = AdaptiveConfig(inner_lr=0.01, outer_lr=3e-3)  # the factors start at the zero map
