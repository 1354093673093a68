"""Meta-learning of the decoder itself: MAML, ANIL, Reptile and LoRA over the very Transformer that
`decoder` serves, with its sizes.

The decoder is trained as always; then meta-training goes on from there. What each user's inner loop
moves stands in `transformer/inner_loop.py`; adapted or not, a user's history is read by attention.

- `decoder_maml`: blocks and head move; Finn et al. 2017, arXiv:1703.03400.
- `decoder_anil`: the head alone moves; Raghu et al. 2020, arXiv:1909.09157.
- `decoder_reptile`: the prior moves to where users' own steps lead; Nichol et al. 2018,
  arXiv:1803.02999.
- `decoder_lora`: low-rank factors of attention and head (Hu et al. 2022, arXiv:2106.09685) and the
  head's bias are each user's own.

Where we differ from the papers: meta-training starts from a trained decoder instead of noise, whose
item vectors start at collaborative factors; the inner loss is the next event within the support
beside how popular early events are, the outer loss what is liked after the pool; step sizes are
learned for each tensor and step (Antoniou et al. 2019, arXiv:1810.09502), except of Reptile; LoRA's
factors are adapted to one user instead of to one task of many examples. The outer loop is first
order: second derivatives did not pay (docs/experiments).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from metarec.features.behaviour import Behaviour
from metarec.features.users import UserBatch
from metarec.models.config import setting
from metarec.models.inner_loop import Params
from metarec.models.transformer.inner_loop import DOWN, InnerLoop, Vectors, moving_of
from metarec.models.transformer.inputs import SequenceReader
from metarec.models.transformer.losses import softmax_loss
from metarec.models.transformer.scorer import Transformer, TransformerConfig
from metarec.models.transformer.training import Objective, TrainingSet, cut, optimized
from metarec.runtime.device import device, in_memory, on_device, one_thread
from metarec.runtime.training import Watch, one_of, train, weights_of

INNER = "inner."
"""Arrays of the inner loop begin so."""


@dataclass(frozen=True, kw_only=True)
class AdaptiveConfig(TransformerConfig):
    """Hyper-parameters of a decoder that takes inner steps."""

    factors: float = setting(2.0, least=0)
    """As of `TransformerConfig`: with good item vectors a step on one event tells of others."""
    inner_steps: int = setting(3, least=0)
    """Gradient steps on a user's events; 0 or more."""
    inner_lr: float = setting(0.003, above=0)
    """Step size of the inner loop, above 0; where rates are learned, where they start."""
    kappa: float = setting(3.0)
    """Where the events start that count half in the inner loss; softplus of it."""
    rank: int = setting(4, least=1)
    """Of LoRA's factors (1 or more)."""
    anchors: int = setting(256, least=2)
    """Items that stand for the catalog in the inner loss (2 or more)."""
    outer_steps: int = setting(150, least=0)
    """Updates of the prior (0 or more)."""
    tasks_per_step: int = setting(32, least=1)
    """Users in each (1 or more)."""
    outer_lr: float = setting(3e-4, above=0)
    """Step size of the outer loop (above 0)."""
    first_order: bool = setting(default=True)
    """Whether the outer loop treats inner gradients as constants."""


@dataclass(frozen=True, kw_only=True)
class AdaptiveDecoder(Transformer):
    """A decoder whose parameters move to each user by gradient steps on what it reads of them."""

    method: ClassVar[str]
    at_once: ClassVar[int] = 64
    inner: InnerLoop
    config: AdaptiveConfig = AdaptiveConfig()

    @classmethod
    def _trained(
        cls,
        behaviour: Behaviour,
        reader: SequenceReader,
        data: TrainingSet,
        asked: TrainingSet,
        rng: np.random.Generator,
        config: TransformerConfig,
    ) -> Self:
        """The decoder as always, and meta-training from there."""
        assert isinstance(config, AdaptiveConfig), "the registry checks whose config it is"
        network = Transformer._trained(behaviour, reader, data, asked, rng, config).network
        liked_from = (behaviour.relevant_from - reader.value_mean) / reader.value_spread - 1e-4
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            inner = InnerLoop.of(
                network,
                cls.method,
                steps=config.inner_steps,
                rate=config.inner_lr,
                kappa=config.kappa,
                rank=config.rank,
                anchors=config.anchors,
                liked_from=liked_from,
                early=_popularity_of_shown(data),
                rng=rng,
            )
            found = cls(network=network, reader=reader, inner=inner, config=config)
            if config.outer_steps and config.inner_steps:
                with one_thread():
                    _MetaTraining(model=found, data=data, asked=asked, rng=rng).run()
        return found

    def scores(self, shown: Mapping[str, Tensor]) -> Tensor:
        """[B, N] log-scores after the inner steps of each user."""
        with torch.no_grad(), one_thread():
            vectors = Vectors.of(self.network)
            users_BD = self.inner.users(self.network, shown, vectors, self._moved(shown, vectors))
            return users_BD @ vectors.scored_ND.T + vectors.bias_N

    @property
    def inner_steps(self) -> int:
        """Gradient steps on a user's events."""
        return self.config.inner_steps

    def after_steps(self, steps: int) -> Self:
        """The same model with so many inner steps; with 0 a history is read, and nothing moves."""
        return replace(self, config=replace(self.config, inner_steps=steps))

    def adapted(self, users: UserBatch) -> dict[str, np.ndarray]:
        """What moved, each [B, ...]."""
        with torch.no_grad(), one_thread():
            vectors = Vectors.of(self.network)
            parts = [self._moved(shown, vectors) for shown in self.shown(users)]
        return {name: in_memory(torch.cat([part[name] for part in parts])) for name in parts[0]}

    def support_losses(self, users: UserBatch) -> np.ndarray:
        """[B] the inner loss, in nats, where the steps of each user end."""
        with torch.no_grad(), one_thread():
            vectors = Vectors.of(self.network)
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
        """As the decoder has it; new items are no support of anybody yet."""
        grown = super().with_content(content, popularity)
        more = len(content) - len(self.inner.early)
        rare = self.inner.early.min().expand(more)
        grown.inner.early = torch.cat([self.inner.early, rare])
        return grown

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The decoder's, and those of the inner loop."""
        inner = {INNER + name: in_memory(value) for name, value in self.inner.state_dict().items()}
        return {**super().arrays(), **inner}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: TransformerConfig | None = None
    ) -> Self:
        """From `arrays()`."""
        own, rest = {}, {}
        for name, array in arrays.items():
            if name.startswith(INNER):
                own[name.removeprefix(INNER)] = on_device(np.array(array))
            else:
                rest[name] = array
        plain = Transformer.from_arrays(rest, config or cls.config)
        ranks = [
            value.shape[0] for name, value in own.items() if name.endswith(DOWN.replace(".", "/"))
        ]
        with torch.random.fork_rng(devices=[]):  # the random start is overwritten at once
            inner = InnerLoop(
                moving_of(plain.network, cls.method),
                steps=own["rates"].shape[1],
                rate=1.0,
                kappa=0.0,
                rank=max(ranks, default=0),
                anchors=(own["anchors"], own["anchor_weights"]),
                liked_from=0.0,
                early=own["early"],
            )
        inner.to(device()).load_state_dict(own)
        given = config if isinstance(config, AdaptiveConfig) else cls.config
        return cls(network=plain.network, reader=plain.reader, inner=inner, config=given)


class DecoderMaml(AdaptiveDecoder):
    """MAML: blocks and head move to the user; Finn et al. 2017, arXiv:1703.03400."""

    method: ClassVar[str] = "maml"


class DecoderAnil(AdaptiveDecoder):
    """ANIL: the head alone moves to the user; Raghu et al. 2020, arXiv:1909.09157."""

    method: ClassVar[str] = "anil"


class DecoderReptile(AdaptiveDecoder):
    """Reptile: the prior moves to where users' steps lead; Nichol et al. 2018, arXiv:1803.02999."""

    method: ClassVar[str] = "reptile"


class DecoderLora(AdaptiveDecoder):
    """LoRA: low-rank factors are each user's own; Hu et al. 2022, arXiv:2106.09685."""

    method: ClassVar[str] = "lora"
    config = AdaptiveConfig(inner_lr=0.05)  # the factors start at the zero map


@dataclass(frozen=True, kw_only=True)
class _MetaTraining:
    """The outer loop over one model, whose network and inner loop it changes in place."""

    model: AdaptiveDecoder
    data: TrainingSet
    asked: TrainingSet
    rng: np.random.Generator

    def run(self) -> None:
        """The best state that held-out users saw, the first one included."""
        config = self.model.config
        both = nn.ModuleList([self.model.network, self.model.inner])
        training = replace(config.training(), learning_rate=config.outer_lr)
        optimizer, schedule = optimized(both, config.outer_steps, training)
        objective = Objective.of(self.data, training)
        make = self._pull if self.model.method == "reptile" else partial(self._query, objective)
        before, first = self._quality(), weights_of(both)
        best = train(
            config.outer_steps,
            one_of(lambda _done: make()),
            optimizer,
            schedule=schedule,
            clip=list(both.parameters()),
            watch=Watch(
                quality=self._quality,
                state=lambda: weights_of(both),
                every=config.check_every,
                patience=None,
            ),
        )
        both.load_state_dict(best.state if best.state and best.quality > before else first)
        both.eval()
        both.requires_grad_(requires_grad=False)

    def _query(self, objective: Objective) -> Tensor:
        """The loss of what users went on to like, after they moved by the events before."""
        users, inputs, prefix = self._drawn()
        model, network = self.model, self.model.network
        network.items.train()  # content alone must do at times, as in training
        vectors = Vectors.of(network)
        moved = model.inner.adapt(
            network,
            inputs,
            vectors,
            steps=model.inner_steps,
            first_order=model.config.first_order,
        )
        users_BD = model.inner.users(network, inputs, vectors, moved)
        return objective.of_users(network, users_BD, inputs, users, prefix, self.rng)

    def _pull(self) -> Tensor:
        """Half the squared distance to where users' own steps lead, whose gradient is Reptile's
        direction.
        """
        users, inputs, _ = self._drawn(whole=True)
        model, network = self.model, self.model.network
        with torch.no_grad():
            vectors = Vectors.of(network)
            moved = model.inner.adapt(
                network, inputs, vectors, steps=model.inner_steps, first_order=True
            )
        start = model.inner.start(network)
        pulls = [(start[name] - value).square().sum() for name, value in moved.items()]
        return torch.stack(pulls).sum() / (2 * len(users))

    def _drawn(self, *, whole: bool = False) -> tuple[np.ndarray, dict[str, Tensor], np.ndarray]:
        """Users of a meta-batch, and how many of their events are shown."""
        usable, most = self.data.usable, self.model.config.tasks_per_step
        users = self.rng.choice(usable, size=min(most, len(usable)), replace=False)
        lengths = self.data.inputs.is_real[users].sum(axis=1)
        prefix = lengths if whole else self.rng.integers(0, lengths + 1)
        return users, cut(self.data.shown(users), prefix), prefix

    def _quality(self) -> float:
        """How likely held-out users' targets are after prefixes of several lengths."""
        self.model.network.eval()
        rows = np.arange(self.asked.targets.shape[0])
        most = self.model.config.max_held_out
        rows = rows[:: max(1, len(rows) // most)][:most]
        lengths = self.asked.inputs.is_real[rows].sum(axis=1)
        shares = np.resize([0.0, 0.25, 0.5, 1.0], len(rows))
        shown = cut(self.asked.shown(rows), np.ceil(shares * lengths).astype(np.int64))
        wanted = on_device(self.asked.targets[rows].toarray().astype(np.float32))
        parts = [
            self.model.scores({name: value[on_device(at)] for name, value in shown.items()})
            for at in np.array_split(np.arange(len(rows)), -(-len(rows) // self.model.at_once))
        ]
        return -float(softmax_loss(torch.cat(parts), wanted)) if parts else 0.0


def _popularity_of_shown(data: TrainingSet) -> Tensor:
    """[N] log of how often each item is among the events shown, mean 0."""
    shown = data.inputs.items[data.inputs.is_real]
    log = np.log(np.bincount(shown, minlength=data.targets.shape[1]) + 0.5)
    return on_device((log - log.mean()).astype(np.float32))
