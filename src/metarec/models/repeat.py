"""What a user took before, wanted again: how often items of a history become targets once more.

Kept as shares counted over training users: an item of the pool is put in a cell by how strong the
act was, how often it was done and how recently, and the share of such items that became a target
after the cut is its evidence (Anderson et al. 2014, "The dynamics of repeat consumption", find
recency and number to carry most). Where nothing was ever taken twice the model is left out.
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


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """Evidence = share of items in this state that were taken again; 0 outside the history."""

    shares: np.ndarray
    """[strengths, counts, ages] float32."""
    n_items: int
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
        return cls(
            shares=shares.reshape(SHAPE).astype(np.float32),
            n_items=behaviour.n_items,
            config=config,
        )

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> sp.csr_matrix:
        """[B, N], sparse."""
        support = users.support
        return support.matrix(self.n_items, self.shares.ravel()[_cells(support)])

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Repeat:
        """New items are in nobody's history."""
        return replace(self, n_items=len(content))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """The shares and the size of the catalog."""
        return {"shares": self.shares, "n_items": np.array([self.n_items])}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: RepeatConfig | None = None
    ) -> Repeat:
        """From `arrays()`."""
        return cls(
            shares=arrays["shares"],
            n_items=int(arrays["n_items"][0]),
            config=config or cls.config,
        )


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
