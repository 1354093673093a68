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

STRENGTHS = np.array([0.35, 0.7], np.float32)
"""Ends of the cells of strength, beside the strongest kind."""
COUNTS = np.array([1.5, 2.5, 4.5], np.float32)
"""Ends of the cells of number of acts."""
AGES = np.array([0.5, 2.5, 9.5], np.float32)
"""Ends of the cells of recency, in events since."""
SHAPE = (len(STRENGTHS) + 1, len(COUNTS) + 1, len(AGES) + 1)
MIN_SHARE, MIN_REPEATS = 0.01, 20
"""Repeats among the targets after the cut from which on they are learned."""


@dataclass(frozen=True, kw_only=True)
class RepeatConfig(ModelConfig):
    """Hyper-parameters of repeats."""

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
        again = np.isin(_pairs(pool), _pairs(behaviour.repeats)).astype(np.float64)
        weights, cells = behaviour.weights_of(pool.owners), _cells(pool)
        size = int(np.prod(SHAPE))
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
            shares=shares.reshape(SHAPE).astype(np.float32),
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
        shares = self.shares.ravel()[_cells(support)] * self.habits[support.items]
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


def are_wanted(behaviour: Behaviour) -> bool:
    """Whether enough of what training users took after the cut they had taken before."""
    repeats, new = len(behaviour.repeats.items), len(behaviour.targets.items)
    return repeats >= MIN_REPEATS and repeats >= MIN_SHARE * (repeats + new)


def _cells(histories: Histories) -> np.ndarray:
    """[E] number of the cell of each event."""
    age = np.repeat(histories.lengths, histories.lengths) - 1 - histories.positions
    return np.asarray(
        np.ravel_multi_index(
            (
                np.searchsorted(STRENGTHS, histories.strengths),
                np.searchsorted(COUNTS, histories.counts),
                np.searchsorted(AGES, age),
            ),
            SHAPE,
        )
    )


def _pairs(histories: Histories) -> np.ndarray:
    return np.asarray(histories.owners * 2**32 + histories.items)
