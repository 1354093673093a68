"""What a user took before, wanted again: how often items of a history become targets once more.

Kept as shares counted over training users: an item of the pool is put in a cell by how strong the
act was, how often it was done and how recently, and the share of such items that became a target
after the cut is its evidence (Anderson et al. 2014, "The dynamics of repeat consumption", find
recency and number to carry most), times how much oftener than others in such states this item is
taken again: milk is, a toaster is not. Where nothing was ever taken twice the model is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.config import ModelConfig, setting


@dataclass(frozen=True, kw_only=True)
class RepeatConfig(ModelConfig):
    """Hyper-parameters of repeats."""

    strengths: tuple[float, ...] = setting((0.35, 0.7), above=0)
    """Ends of the cells of strength (each above 0), beside 1 for the strongest kind."""
    counts: tuple[float, ...] = setting((1.5, 2.5, 4.5), above=0)
    """Ends of the cells of number of acts (each above 0)."""
    ages: tuple[float, ...] = setting((0.5, 2.5, 9.5), above=0)
    """Ends of the cells of recency, in events since (each above 0)."""
    min_share: float = setting(0.01, least=0, most=1)
    """Share of repeats among what users took after the cut, in [0, 1], from which on they are
    learned.
    """
    min_repeats: int = setting(20, least=1)
    """Their number from which on (1 or more)."""
    damping: float = setting(20.0, above=0)
    """Items' worth of pull of a cell's share towards everyone's (above 0)."""
    item_damping: float = setting(5.0, above=0)
    """Expected repeats' worth of pull of an item's own habit towards what its state tells (above
    0).
    """


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Evidence = share of items in this state that were taken again; 0 outside the history."""

    shares: np.ndarray
    """[strengths, counts, ages] float32."""
    habits: np.ndarray
    """[N] float32: how much oftener an item is taken again than its states tell; 1 where nothing
    is known.
    """
    config: RepeatConfig = RepeatConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"item", "order", "strength", "count"})

    @classmethod
    def fit(
        cls, behaviour: Behaviour, rng: np.random.Generator, config: RepeatConfig | None = None
    ) -> Repeat:
        """Count over the training users' pools."""
        config, pool = config or cls.config, behaviour.histories.first(behaviour.pools)
        cells, shape = _cells(pool, config)
        again = np.isin(_pairs(pool), _pairs(behaviour.repeats)).astype(np.float64)
        weights, size = behaviour.weights_of(pool.owners), int(np.prod(shape))
        taken = np.bincount(cells, weights * again, size)
        every = np.bincount(cells, weights, size)
        mean = taken.sum() / max(every.sum(), 1e-9)
        shares = (taken + config.damping * mean) / (every + config.damping)
        counted, expected = (
            np.bincount(pool.items, weights * of_item, behaviour.n_items)
            for of_item in (again, shares[cells])
        )
        habits = (counted + config.item_damping) / (expected + config.item_damping)
        return cls(
            shares=shares.reshape(shape).astype(np.float32),
            habits=habits.astype(np.float32),
            config=config,
        )

    @property
    def n_items(self) -> int:
        """N, the size of the catalog."""
        return len(self.habits)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, N], sparse."""
        support = users.support
        cells, _ = _cells(support, self.config)
        shares = self.shares.ravel()[cells] * self.habits[support.items]
        return support.matrix(self.n_items, shares)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Repeat:
        """New items are in nobody's history."""
        new = len(content) - self.n_items
        return replace(self, habits=np.pad(self.habits, (0, new), constant_values=1.0))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The shares and the habits."""
        return {"shares": self.shares, "habits": self.habits}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: RepeatConfig | None = None
    ) -> Repeat:
        """From `arrays()`; models saved before items had habits have none."""
        habits = arrays.get("habits")
        if habits is None:
            habits = np.ones(int(arrays["n_items"][0]), np.float32)
        return cls(shares=arrays["shares"], habits=habits, config=config or cls.config)


def are_wanted(behaviour: Behaviour, config: RepeatConfig) -> bool:
    """Whether enough of what training users took after the cut they had taken before."""
    repeats, new = len(behaviour.repeats.items), len(behaviour.targets.items)
    return repeats >= config.min_repeats and repeats >= config.min_share * (repeats + new)


def _cells(histories: Histories, config: RepeatConfig) -> tuple[np.ndarray, tuple[int, ...]]:
    """[E] number of the cell of each event, and how many cells there are along each axis."""
    age = np.repeat(histories.lengths, histories.lengths) - 1 - histories.positions
    axes = (
        (config.strengths, histories.strengths),
        (config.counts, histories.counts),
        (config.ages, age),
    )
    cells = tuple(np.searchsorted(np.sort(np.array(e, np.float32)), known) for e, known in axes)
    shape = tuple(len(ends) + 1 for ends, _ in axes)
    return np.asarray(np.ravel_multi_index(cells, shape)), shape


def _pairs(histories: Histories) -> np.ndarray:
    return np.asarray(histories.owners * 2**32 + histories.items)
