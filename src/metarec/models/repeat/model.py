"""What a user took before, wanted again: the chance that the next act is on an item of theirs.

Two steps, each learned on what training users did after their first items: whether the next act is
on a known item at all, and on which of them (a softmax over strength, number of acts, recency and
the item's own habit: how much oftener than an even share of a user's repeats goes to it; milk is
taken again, a toaster is not). Whether it is on any is a logistic regression on how many items and
how many more acts are known, and on how strongly these items call for a repeat: the log of the mean
of what the softmax sums up, the inclusive value of a nested logit (McFadden 1978, on the choice of
where to live). Anderson et al. 2014, "The dynamics of repeat consumption", find recency and number
to carry most. Both steps are learned twice: from all acts, and from the same users as if each item
had been told once, in the order of the first acts, as many a client tells a history.

The rest of the chance is shared by new items as the gate orders them
(`recommendation.ensemble.repeats`). Where nothing was ever taken twice the model is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.config import ModelConfig, setting
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
"""Columns that tell whether the next act repeats."""


@dataclass(frozen=True, kw_only=True)
class RepeatConfig(ModelConfig):
    """Hyper-parameters of repeats."""

    strengths: tuple[float, ...] = setting((0.35, 0.7), above=0)
    """Ends of the classes of strength (each above 0), beside 1 for the strongest kind."""
    supports: tuple[int, ...] = setting((1, 2, 3, 5, 10, 20, 50), least=1)
    """Numbers of items after which training users are asked what they took again (each 1 or
    more).
    """
    min_share: float = setting(0.01, least=0, most=1)
    """Share of repeats among what users took after the cut, in [0, 1], from which on they are
    learned.
    """
    min_repeats: int = setting(20, least=1)
    """Their number from which on (1 or more)."""
    item_damping: float = setting(1.0, above=0)
    """Users' worth of pull of an item's own habit towards an even share of repeats (above 0)."""
    shrinkage: float = setting(0.3, above=0)
    """Pull of what is learned towards 0, shared by all that teach (above 0)."""
    max_users: int = setting(5_000, least=1)
    """Training users that teach, drawn at random (1 or more)."""


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Evidence = chance that the next act is on this item; 0 outside the history."""

    chance: np.ndarray
    """[2, 5] weights of whether the next act repeats: as if each item were told once; all acts."""
    order: np.ndarray
    """[2, 4 + strengths] weights of which item is repeated, the same two ways."""
    habits: np.ndarray
    """[N] float32: how much oftener than an even share of repeats goes to an item; 1 where nothing
    is known.
    """
    longest: int
    """Items of the longest support that taught."""
    config: RepeatConfig = RepeatConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"item", "order", "strength", "count"})

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: RepeatConfig | None = None
    ) -> Repeat:
        """Learn both ways from what training users did after their first items."""
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
        taught = zip(*map(start._likeliest, ways, others), strict=True)
        chance, order = map(np.stack, taught)
        return replace(start, chance=chance, order=order)

    def _likeliest(self, way: Samples, habits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Weights of whether an act repeats, and of which item."""
        columns, shrinkage = self._columns_of_items(way.known, habits), self.config.shrinkage
        order = likeliest_order(columns, way, shrinkage)
        of_users = self._columns_of_users(way.known, columns @ order)
        return likeliest_chance(of_users, way, shrinkage), order

    @property
    def n_items(self) -> int:
        """N, the size of the catalog."""
        return len(self.habits)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, N], sparse; each row sums to the chance that the next act is a repeat."""
        return users.support.matrix(self.n_items, self._chances(users.support))

    def _chances(self, support: Histories) -> np.ndarray:
        """[E] of each event's item."""
        tells = np.bincount(support.owners, support.counts > 1, len(support)) > 0
        of_items = self._columns_of_items(support, self.habits[support.items])
        found = []
        for chance, order in zip(self.chance, self.order, strict=True):
            scores = of_items @ order
            again = chance_of_again(self._columns_of_users(support, scores), chance)
            found.append(again[support.owners] * softmax(scores, support.owners, len(support)))
        return np.asarray(np.where(tells[support.owners], found[1], found[0]))

    def _columns_of_users(self, known: Histories, scores: np.ndarray) -> np.ndarray:
        """[B, 5] what tells whether the next act repeats, the known items having these `scores`
        [E] as repeats.
        """
        items = np.clip(known.lengths, 1, self.longest)
        more = np.bincount(known.owners, known.counts, len(known)) - known.lengths
        logs = np.log(items)
        call = log_means(scores, known.owners, len(known))
        return np.stack([np.ones(len(items)), logs, logs**2, np.log1p(more), call], axis=1)

    def _columns_of_items(self, known: Histories, habits: np.ndarray) -> np.ndarray:
        """[E, 4 + strengths] what tells which item is repeated."""
        age = np.repeat(known.lengths, known.lengths) - 1 - known.positions
        ends = np.sort(np.array(self.config.strengths, np.float32))
        weaker = known.strengths[:, None] <= ends
        columns = (np.log(known.counts), np.log1p(age), age == 0, np.log(habits))
        return np.concatenate([np.stack(columns, axis=1), weaker], axis=1)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Repeat:
        """New items are in nobody's history."""
        new = len(content) - self.n_items
        return replace(self, habits=np.pad(self.habits, (0, new), constant_values=1.0))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return {
            "chance": self.chance,
            "order": self.order,
            "habits": self.habits,
            "longest": np.array([self.longest]),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: RepeatConfig | None = None
    ) -> Repeat:
        """From `arrays()`."""
        chance = arrays["chance"]  # of older models without the last weight
        return cls(
            chance=np.pad(chance, ((0, 0), (0, N_OF_USERS - chance.shape[1]))),
            order=arrays["order"],
            habits=arrays["habits"],
            longest=int(arrays["longest"][0]),
            config=config or cls.config,
        )


def are_wanted(behavior: Behavior, config: RepeatConfig) -> bool:
    """Whether enough of what training users took after the cut they had taken before."""
    repeats, new = len(behavior.repeats.items), len(behavior.targets.items)
    return repeats >= config.min_repeats and repeats >= config.min_share * (repeats + new)
