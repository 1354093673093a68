"""Repeats: the probability that the next event is on an item that the user took before.

Two steps are learned from what training users did after their first items: whether the next event
is on a known item at all, and on which (a softmax over strength, number of events, recency and the
item's habit: its share of users' repeats relative to an even share; milk is taken again, a toaster
is not). The first step is a logistic regression on the number of known items, the number of further
events, and how much these items invite a repeat: the log of the mean of exp(score) in the softmax,
the inclusive value of a nested logit (McFadden 1978, on the choice of where to live). Anderson et
al. 2014, "The dynamics of repeat consumption", find recency and number of events to matter most.
Circumstances of the request change the second step where they tell which item is repeated
(`circumstances.py`). Both steps are learned twice: from all events, and from the same users as if
each item had been told once, in the order of the first events, as many clients send a history.

New items share the remaining probability as the gate ranks them
(`recommendation.ensemble.repeats`). The model is left out where no item was ever taken twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.config import ModelConfig, setting
from metarec.models.context.config import ContextConfig
from metarec.models.repeat.circumstances import (
    Circumstances,
    Repeats,
    codes_of,
    likeliest_circumstances,
)
from metarec.models.repeat.fit import (
    Habits,
    Samples,
    chance_of_again,
    likeliest_chance,
    likeliest_order,
    log_means,
    samples_after,
    softmax,
)

N_OF_USERS = 5
"""Number of columns that predict whether the next event repeats."""


@dataclass(frozen=True, kw_only=True)
class RepeatConfig(ModelConfig):
    """Hyper-parameters of `repeat`."""

    strengths: tuple[float, ...] = setting((0.35, 0.7), above=0)
    """Bounds of strength (each above 0, the strongest kind has 1): one column for each tells
    whether an event's strength is at most this.
    """
    supports: tuple[int, ...] = setting((1, 2, 3, 5, 10, 20, 50), at_least=1)
    """Numbers of known items with which training users are sampled (each 1 or more)."""
    min_share: float = setting(0.01, at_least=0, at_most=1)
    """Smallest share of repeats among target events after the cut, in [0, 1], with which the model
    is fitted.
    """
    min_repeats: int = setting(20, at_least=1)
    """Smallest number of such repeats with which the model is fitted (1 or more)."""
    item_damping: float = setting(1.0, above=0)
    """Pseudo-count of users that shrinks an item's habit towards an even share of repeats (above
    0).
    """
    shrinkage: float = setting(0.3, above=0)
    """L2 penalty of the weights, divided by the number of samples (above 0)."""
    max_users: int = setting(5_000, at_least=1)
    """Training users, drawn at random, at most (1 or more)."""
    max_repeats: int = setting(4_000, at_least=1)
    """Repeats by which circumstances are chosen, drawn at random, at most (1 or more)."""


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Evidence = probability that the next event is on this item; 0 outside of the history."""

    chance: np.ndarray
    """[2, 5] weights of whether the next event repeats: first for histories that tell each item
    once, then for histories of all events.
    """
    order: np.ndarray
    """[2, 4 + strengths] weights of which item is repeated, for the same two forms of history."""
    habits: np.ndarray
    """[N] float32 share of repeats of each item, relative to an even share; 1 where nothing is
    known.
    """
    longest: int
    """Number of items of the longest history in training."""
    circumstances: Circumstances = field(default_factory=Circumstances.none)
    """What circumstances add to the scores of known items."""
    config: RepeatConfig = RepeatConfig()

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: RepeatConfig | None = None
    ) -> Repeat:
        """Learn the weights for both forms of history from what training users did after their
        first items.
        """
        config, events = config or cls.config, behavior.acts
        assert events is not None, "fitted only where acts are repeated"
        weights = behavior.weights_of(np.arange(events.n_users))
        habits = Habits.of(events, behavior.n_items, weights, config.item_damping)
        users = np.sort(rng.spawn(1)[0].permutation(events.n_users)[: config.max_users])
        some = events.users(users)
        ways = [
            samples_after(some, config.supports, weights[users], every_act=every)
            for every in (False, True)
        ]
        start = cls(
            chance=np.zeros((2, N_OF_USERS)),
            order=np.zeros((2, 4 + len(config.strengths))),
            habits=habits.of_items,
            longest=max(int(way.known.lengths.max(initial=1)) for way in ways),
            config=config,
        )
        others = [
            habits.of_others(users[way.users][way.known.owners], way.known.items) for way in ways
        ]
        weights_of_ways = zip(*map(start._likeliest, ways, others), strict=True)
        chance, order = map(np.stack, weights_of_ways)
        fitted = replace(start, chance=chance, order=order)
        if behavior.context is None or not behavior.context.has_circumstances:
            return fitted
        scores = start._columns_of_items(ways[1].known, others[1]) @ order[1]
        circumstances = fitted._of_circumstances(behavior, users, ways[1], scores, rng.spawn(1)[0])
        return replace(fitted, circumstances=circumstances)

    def _of_circumstances(
        self,
        behavior: Behavior,
        users: np.ndarray,
        way: Samples,
        scores: np.ndarray,
        rng: np.random.Generator,
    ) -> Circumstances:
        """Learn what circumstances add to the `scores` of known items, from repeats of `users`."""
        assert behavior.acts is not None and behavior.context is not None
        context = behavior.context.users(users)
        codes = codes_of(behavior.acts.users(users), context.acts)
        repeats = Repeats.of(way, scores, codes, rng, self.config.max_repeats)
        return likeliest_circumstances(repeats, context, behavior.content, rng, ContextConfig())

    def _likeliest(self, way: Samples, habits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of whether an event repeats, and of which item."""
        columns, shrinkage = self._columns_of_items(way.known, habits), self.config.shrinkage
        order = likeliest_order(columns, way, shrinkage)
        of_users = self._columns_of_users(way.known, columns @ order)
        return likeliest_chance(of_users, way, shrinkage), order

    @property
    def reads(self) -> frozenset[str]:
        """What it reads of a request; circumstances where they tell which item is repeated."""
        extra = {"context"} if self.circumstances.read_columns else set[str]()
        return frozenset({"item", "order", "strength", "count"} | extra)

    @property
    def n_items(self) -> int:
        """N, the size of the catalog."""
        return len(self.habits)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, N] sparse evidence; each row sums to the probability of a repeat."""
        support = users.support
        added = self.circumstances.of(users.context.circumstances, support.owners, support.items)
        return support.matrix(self.n_items, self._chances(support, added))

    def _chances(self, support: Histories, added: np.ndarray | None) -> np.ndarray:
        """[E] probability that the next event repeats the item of each event; circumstances have
        `added` [E] to which item it is.
        """
        tells = np.bincount(support.owners, support.counts > 1, len(support)) > 0
        of_items = self._columns_of_items(support, self.habits[support.items])
        chances = []
        for chance, order in zip(self.chance, self.order, strict=True):
            scores = of_items @ order
            again = chance_of_again(self._columns_of_users(support, scores), chance)
            in_context = scores if added is None else scores + added
            chances.append(
                again[support.owners] * softmax(in_context, support.owners, len(support))
            )
        return np.asarray(np.where(tells[support.owners], chances[1], chances[0]))

    def _columns_of_users(self, known: Histories, scores: np.ndarray) -> np.ndarray:
        """[B, 5] columns that predict whether the next event repeats, given the `scores` [E] of the
        known items as repeats.
        """
        items = np.clip(known.lengths, 1, self.longest)
        more = np.bincount(known.owners, known.counts, len(known)) - known.lengths
        logs = np.log(items)
        call = log_means(scores, known.owners, len(known))
        return np.stack([np.ones(len(items)), logs, logs**2, np.log1p(more), call], axis=1)

    def _columns_of_items(self, known: Histories, habits: np.ndarray) -> np.ndarray:
        """[E, 4 + strengths] columns that predict which item is repeated."""
        age = np.repeat(known.lengths, known.lengths) - 1 - known.positions
        ends = np.sort(np.array(self.config.strengths, np.float32))
        weaker = known.strengths[:, None] <= ends
        columns = (np.log(known.counts), np.log1p(age), age == 0, np.log(habits))
        return np.concatenate([np.stack(columns, axis=1), weaker], axis=1)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Repeat:
        """Return the model for a larger catalog; new items have no habit."""
        new = len(content) - self.n_items
        return replace(
            self,
            habits=np.pad(self.habits, (0, new), constant_values=1.0),
            circumstances=self.circumstances.with_items(len(content)),
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return {
            "chance": self.chance,
            "order": self.order,
            "habits": self.habits,
            "longest": np.array([self.longest]),
            **self.circumstances.arrays(),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: RepeatConfig | None = None
    ) -> Repeat:
        """Restore the model from `arrays()`."""
        chance = arrays["chance"]  # older models lack the last weight
        return cls(
            chance=np.pad(chance, ((0, 0), (0, N_OF_USERS - chance.shape[1]))),
            order=arrays["order"],
            habits=arrays["habits"],
            longest=int(arrays["longest"][0]),
            circumstances=Circumstances.from_arrays(arrays),
            config=config or cls.config,
        )


def are_wanted(behavior: Behavior, config: RepeatConfig) -> bool:
    """Whether enough of the target events of training users after the cut are repeats."""
    repeats, new = len(behavior.repeats.items), len(behavior.targets.items)
    return repeats >= config.min_repeats and repeats >= config.min_share * (repeats + new)
