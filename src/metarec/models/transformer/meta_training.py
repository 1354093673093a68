"""The outer loop of the adaptive decoders: it learns the start and the steps of the inner loop.

The code of an item is its collaborative factors over the training users. A training user's own
events would be part of them, those of a new user never are; so training users are split into folds,
and each fold adapts with codes computed from the other folds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from metarec.models.config import setting
from metarec.models.sampling import stand_ins
from metarec.models.transformer.inner_loop import InnerLoop, Support
from metarec.models.transformer.losses import lambda_loss
from metarec.models.transformer.network import SequenceTransformer
from metarec.models.transformer.objective import Objective, cut
from metarec.models.transformer.scorer import TransformerConfig
from metarec.models.transformer.training import optimized
from metarec.models.transformer.training_set import TrainingSet
from metarec.runtime.device import in_memory, on_device
from metarec.runtime.gains import ndcg_of_scores
from metarec.runtime.training import Watch, one_of, train, weights_of


@dataclass(frozen=True, kw_only=True)
class AdaptiveConfig(TransformerConfig):
    """Hyper-parameters of a decoder with an inner loop."""

    factors: float = setting(2.0, at_least=0)
    """As in `TransformerConfig`: with good item vectors a step on one event generalizes to other
    items.
    """
    evenness: float = setting(0.5, at_least=0, at_most=1)
    """As in `TransformerConfig` (in [0, 1]), but lower: ranking gains when users with many likes
    weigh more.
    """
    inner_steps: int = setting(3, at_least=0)
    """Gradient steps on a user's events; 0 or more."""
    inner_lr: float = setting(0.003, above=0)
    """Step size of the inner loop, above 0, for a matrix divided by its width; the initial value
    where step sizes are learned.
    """
    codes: int = setting(128, at_least=1)
    """Collaborative factors of the items, and so the length of a user's code (1 or more)."""
    code_lr: float = setting(0.3, above=0)
    """Step size of the code, above 0; the initial value where step sizes are learned."""
    kappa: float = setting(3.0, above=0)
    """Number of events at which the inner loss has half of its full weight (above 0); the initial
    value where that weight is learned.
    """
    rank: int = setting(4, at_least=1)
    """Rank of the LoRA factors (1 or more)."""
    anchors: int = setting(256, at_least=2)
    """Items sampled to represent the catalog in the inner loss (2 or more)."""
    outer_steps: int = setting(150, at_least=0)
    """Updates of the prior (0 or more)."""
    tasks_per_step: int = setting(32, at_least=1)
    """Users in each update (1 or more)."""
    outer_lr: float = setting(3e-4, above=0)
    """Step size of the outer loop (above 0)."""
    settings_lr: float = setting(0.03, above=0)
    """Outer step size of the inner loop's learned settings: rates, confidence, scales (above 0)."""
    folds: int = setting(4, at_least=2)
    """Folds of the training users, each adapted with item codes of the other folds (2 or more)."""
    first_order: bool = setting(default=False)
    """Whether the outer loop treats inner gradients as constants."""
    asked_after: tuple[float, ...] = setting((0.05, 0.15, 0.25, 0.5, 1.0), above=0, at_most=1)
    """Shares of a history (each above 0, 1 at most) after which held-out users are evaluated."""
    rate_factors: tuple[float, ...] = setting((0.1, 0.3, 1.0, 3.0, 10.0), above=0)
    """Factors tried on Reptile's step sizes (each above 0)."""
    ndcg_places: int = setting(10, at_least=1)
    """Cutoff of the NDCG in the outer loss and on held-out users (1 or more)."""
    reach: int = setting(60, at_least=2)
    """Top items of a user from which the LambdaLoss takes its pairs (2 or more)."""
    max_wanted: int = setting(20, at_least=1)
    """Maximum of later items of a user that Reptile's steps use (1 or more)."""


class Adapting(Protocol):
    """Interface of an adaptive decoder that the outer loop uses."""

    @property
    def network(self) -> SequenceTransformer:
        """The decoder."""
        ...

    @property
    def inner(self) -> InnerLoop:
        """Its inner loop."""
        ...

    @property
    def config(self) -> AdaptiveConfig:
        """Its hyper-parameters."""
        ...

    @property
    def inner_steps(self) -> int:
        """Gradient steps on a user's events."""
        ...

    method: ClassVar[str]
    learns_start: ClassVar[bool]
    at_once: ClassVar[int]

    def scores(self, shown: Mapping[str, Tensor]) -> Tensor:
        """Return the log-scores [B, N] that are served."""
        ...


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Training users with item codes that were computed without them."""

    users: np.ndarray
    """Rows of the training set."""
    codes_NK: Tensor
    """Collaborative factors of the items over the other folds."""


@dataclass(frozen=True, kw_only=True)
class MetaTraining:
    """The outer loop of one model; it updates the network and the inner loop in place."""

    model: Adapting
    data: TrainingSet
    validation_set: TrainingSet
    folds: list[Fold]
    rng: np.random.Generator

    @classmethod
    def of(
        cls,
        model: Adapting,
        data: TrainingSet,
        held_out: TrainingSet,
        rng: np.random.Generator,
    ) -> MetaTraining:
        """Split the users into folds; the item codes of each come from the other folds."""
        rows, n = np.arange(data.targets.shape[0]), model.config.folds
        of_fold = rng.permutation(-(-len(rows) // data.copies)) % n
        place = np.tile(of_fold, data.copies)[: len(rows)]
        folds = [
            Fold(
                users=np.intersect1d(np.flatnonzero(place == fold), data.usable),
                codes_NK=codes_of(data, model.config.codes, rng, np.flatnonzero(place != fold)),
            )
            for fold in range(n)
        ]
        folds = [fold for fold in folds if len(fold.users)]
        return cls(model=model, data=data, validation_set=held_out, folds=folds, rng=rng)

    def run(self) -> None:
        """Train, and keep the state of best quality on held-out users, the initial one included."""
        model, config = self.model, self.model.config
        both = nn.ModuleList([model.network, model.inner])
        is_reptile = model.method == "reptile"
        if is_reptile:
            self._choose_rates()
        make = self._pull if is_reptile else partial(self._query, self._objective(self.data))
        optimizer, schedule = self._interpolated() if is_reptile else self._optimized()
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

    def _objective(self, data: TrainingSet) -> Objective:
        return Objective.of(data, self.model.config.training())

    def _optimized(self) -> tuple[Optimizer, LRScheduler]:
        """Return AdamW over the parameters that the method learns, with `settings_lr` for the
        settings of the inner loop, and its schedule.
        """
        model, config = self.model, self.model.config
        training = replace(config.training(), learning_rate=config.outer_lr)
        weights: nn.Module = model.inner.factors
        if model.learns_start:
            weights = nn.ModuleList([model.network, weights])
        else:
            model.network.requires_grad_(requires_grad=False)
        faster = (model.inner.settings, config.settings_lr)
        return optimized(weights, config.outer_steps, training, faster=faster)

    def _interpolated(self) -> tuple[Optimizer, LRScheduler]:
        """Return SGD on `_pull`, which interpolates from the prior to the adapted parameters, with
        a rate that falls linearly.
        """
        config = self.model.config
        optimizer = torch.optim.SGD(self.model.network.parameters(), lr=config.outer_lr)
        return optimizer, LambdaLR(optimizer, lambda step: 1 - step / config.outer_steps)

    def _choose_rates(self) -> None:
        """Choose the factor on the initial rates by held-out users: Reptile learns no rates."""
        rates = self.model.inner.log_rates
        with torch.no_grad():
            start = rates.clone()

            def tried(factor: float) -> float:
                rates.copy_(start + math.log(factor))
                return self._quality()

            rates.copy_(start + math.log(max(self.model.config.rate_factors, key=tried)))

    def _query(self, objective: Objective) -> Tensor:
        """Return the outer loss of a meta-batch: softmax loss plus LambdaLoss on the items liked
        later, after inner steps on a prefix of each history.
        """
        model, (fold, users) = self.model, self._drawn()
        network, prefix = model.network, self._prefixes(users)
        inputs = cut(self.data.shown(users), prefix)
        if model.learns_start:
            network.items.train()  # item residuals are dropped at random, as in training
        vectors = model.inner.vectors(network, fold.codes_NK)
        moved = model.inner.adapt(
            network,
            inputs,
            vectors,
            steps=model.inner_steps,
            first_order=model.config.first_order,
        )
        users_BD, items_ND = model.inner.users(network, inputs, vectors, moved), vectors.whole()
        seen_BN = objective.seen(inputs, prefix)
        unlikely = objective.softmax(users_BD, items_ND, None, users, seen_BN, self.rng)
        scores_BN = (users_BD @ items_ND.T).masked_fill(seen_BN, -torch.inf)
        wanted_BN, config = objective.wanted(users, seen_BN) > 0, model.config
        return unlikely + lambda_loss(
            scores_BN, wanted_BN, places=config.ndcg_places, reach=config.reach
        )

    def _pull(self) -> Tensor:
        """Return half the squared distance from the prior to the parameters adapted on the items
        liked later; its gradient is Reptile's direction.
        """
        model, (fold, users) = self.model, self._drawn()
        inputs = cut(self.data.shown(users), self._prefixes(users)) | self._liked_sample(users)
        with torch.no_grad():
            # New anchors each step: the inner loss is all that Reptile learns from, and it would
            # overfit fixed ones.
            anchors = anchors_of(self.data, model.config.anchors, self.rng)
            vectors = model.inner.vectors(model.network, fold.codes_NK, anchors)
            moved = model.inner.adapt(
                model.network, inputs, vectors, steps=model.inner_steps, first_order=True
            )
        pulls = [
            (start - moved[name]).square().sum()
            for name, start in model.inner.start(model.network).items()
        ]
        return torch.stack(pulls).sum() / (2 * len(users))

    def _drawn(self) -> tuple[Fold, np.ndarray]:
        """Draw a meta-batch of users from one fold."""
        shares = np.array([len(fold.users) for fold in self.folds], np.float64)
        fold = self.folds[self.rng.choice(len(self.folds), p=shares / shares.sum())]
        size = min(self.model.config.tasks_per_step, len(fold.users))
        return fold, self.rng.choice(fold.users, size=size, replace=False)

    def _prefixes(self, users: np.ndarray) -> np.ndarray:
        """Draw the length of each user's prefix, from none to all events, log-uniformly."""
        lengths = self.data.inputs.is_real[users].sum(axis=1)
        drawn = np.exp(self.rng.random(len(users)) * np.log(lengths + 2.0)) - 1
        return np.asarray(np.minimum(drawn.astype(np.int64), lengths))

    def _liked_sample(self, users: np.ndarray) -> dict[str, Tensor]:
        """Return a sample of the items that these users liked after the cut, with a mask, as inputs
        of the inner loss.
        """
        rows = self.data.targets[users]
        drawn = [
            self.rng.permutation(rows.indices[start:end])[: self.model.config.max_wanted]
            for start, end in pairwise(rows.indptr)
        ]
        items = np.zeros((len(users), max(1, *map(len, drawn))), np.int64)
        is_wanted = np.zeros(items.shape, np.float32)
        for row, sample in enumerate(drawn):
            items[row, : len(sample)], is_wanted[row, : len(sample)] = sample, 1.0
        return {"wanted": on_device(items), "is_wanted": on_device(is_wanted)}

    def _quality(self) -> float:
        """Return the mean NDCG of held-out users over prefixes of several lengths."""
        self.model.network.eval()
        rows = np.arange(self.validation_set.targets.shape[0])
        max_users = self.model.config.max_held_out
        rows = rows[:: max(1, len(rows) // max_users)][:max_users]
        if not len(rows):
            return 0.0
        lengths, shown = (
            self.validation_set.inputs.is_real[rows].sum(axis=1),
            self.validation_set.shown(rows),
        )
        objective, ndcg = self._objective(self.validation_set), []
        places = self.model.config.ndcg_places
        for share in self.model.config.asked_after:
            prefix = np.ceil(share * lengths).astype(np.int64)
            seen_BN = objective.seen(shown, prefix)
            scores_BN = self._scores(cut(shown, prefix)).masked_fill(seen_BN, -torch.inf)
            wanted_BN = objective.wanted(rows, seen_BN) > 0
            ndcg.append(ndcg_of_scores(in_memory(scores_BN), in_memory(wanted_BN), places).mean())
        return float(np.mean(ndcg))

    def _scores(self, shown: Mapping[str, Tensor]) -> Tensor:
        """Return the model's scores [B, N], computed for `at_once` users at a time."""
        count = len(shown["items"])
        parts = np.array_split(np.arange(count), -(-count // self.model.at_once))
        return torch.cat(
            [
                self.model.scores({name: value[on_device(at)] for name, value in shown.items()})
                for at in parts
            ]
        )


def support_of(data: TrainingSet, anchors: int, codes: int, rng: np.random.Generator) -> Support:
    """Return the item data of the inner loss for new users, from all training users."""
    items, weights = anchors_of(data, anchors, rng)
    shown = data.inputs.items[data.inputs.is_real]
    log = np.log(np.bincount(shown, minlength=data.targets.shape[1]) + 0.5)
    return Support(
        anchors=items,
        anchor_weights=weights,
        early=on_device((log - log.mean()).astype(np.float32)),
        codes=codes_of(data, codes, rng),
    )


def anchors_of(data: TrainingSet, anchors: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Draw anchors uniformly from the catalog; return them with the log of their weights."""
    items, weights = stand_ins(data.targets.shape[1], np.zeros(0, np.int64), anchors, rng)
    return on_device(items), on_device(weights)


def codes_of(
    data: TrainingSet, codes: int, rng: np.random.Generator, users: np.ndarray | None = None
) -> Tensor:
    """Return collaborative factors [N, codes] over `users` (default: all), padded with zeros."""
    factors = data.factors(codes, rng, users) if codes else np.zeros((data.targets.shape[1], 0))
    missing = codes - factors.shape[1]
    return on_device(np.pad(factors, ((0, 0), (0, missing))).astype(np.float32))
