"""Baselines for published protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import Vocabulary
from metarec.evaluation.baselines.ratings import offsets_of
from metarec.evaluation.baselines.table import TrainingTable
from metarec.evaluation.baselines.tuned import fitted
from metarec.evaluation.interface import Evaluated
from metarec.recommendation.slate import Request


@dataclass(kw_only=True)
class Chance:
    """A random ranking, and values drawn at random from the training values.

    Unlike `baselines.simple.Random`, which only ranks, it also predicts values: studies compare
    baselines that predict values by their errors, and `Random` has none.
    """

    name: str = "chance"
    table: TrainingTable | None = field(default=None, init=False)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0), init=False)

    # Nothing is chosen
    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Keep the training values."""
        self.table, self.rng = TrainingTable.of(train, 0), rng

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.table).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, uniform."""
        return self.rng.random((len(requests), len(self.vocabulary)), dtype=np.float32)

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:  # requests are ignored
        """Return random training values."""
        values = fitted(self.name, self.table).events.values
        return [self.rng.choice(values, size=len(ids)) for ids in item_ids]


@dataclass(kw_only=True)
class ItemMean:
    """The mean value of each item, the same for every user; an item without ratings gets the global
    mean.
    """

    name: str = "item mean"
    table: TrainingTable | None = field(default=None, init=False)
    values: np.ndarray | None = field(default=None, init=False)
    """[N] damped mean value of each item."""

    # Nothing is chosen
    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Average the values of each item, smoothed towards the global mean."""
        self.table = TrainingTable.of(train, 0)
        offsets = offsets_of(self.table, 2.0, 10.0)
        self.values = (offsets.mean + offsets.items).astype(np.float32)

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.table).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`."""
        return np.tile(fitted(self.name, self.values), (len(requests), 1))

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:  # requests are ignored
        """Return the item means."""
        return [fitted(self.name, self.values)[self.vocabulary.indexes(ids)] for ids in item_ids]


@dataclass(kw_only=True)
class ByScore:
    """A model fitted by another row, ranking the query items by score, as `recommend(allow=...)`
    does, instead of by predicted values.
    """

    model: Evaluated
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"{self.model.name}, allow"

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return self.model.vocabulary

    # Nothing is fitted
    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Do nothing: the model is fitted by another row."""

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`."""
        return self.model.score(requests)
