"""ContentRidge: a ridge regression of each user on item content; of other users it uses popularity
and item means only.

Values: Bayesian ridge on the residuals of item means. Implicit events: the fold-in of ALS
(`metarec.models.als`) with content as its fixed item factors. On data with values both are tried
for the ranking, and the better on validation users is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput, Vocabulary
from metarec.evaluation.baselines.content import describe_items
from metarec.evaluation.baselines.factors import folding_into
from metarec.evaluation.baselines.ratings import TunedRater, offsets_of
from metarec.evaluation.baselines.table import Events, TrainingTable
from metarec.evaluation.baselines.tuned import ScoreAll, TunedRanker, Variant, fitted
from metarec.models.offsets import Offsets
from metarec.models.ridge_rows import ridge_of_few
from metarec.recommendation.slate import Request


@dataclass(kw_only=True)
class ContentRidge:
    """Baseline that reads only words and tags: any recommender with a text model must beat it."""

    name: str = "ContentRidge"
    acts: TunedRanker | None = field(default=None, init=False)
    """Ranker by the fold-in of ALS."""
    rater: TunedRater | None = field(default=None, init=False)
    """Ridge on values; None where the data have none."""
    orders_by_value: bool = field(default=False, init=False)
    """True if `rater` ranks, False if `acts` does."""

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Encode the items, and choose widths and penalties on `validation`."""
        acts = TunedRanker(name=self.name, variants=_act_variants)
        acts.fit(train, validation, rng)
        self.acts, self.rater, self.orders_by_value = acts, None, False
        if train.interactions.has_values:
            self.rater = TunedRater(name=self.name, variants=_value_variants)
            self.rater.fit(train, validation, rng)
            self.orders_by_value = (
                fitted(self.name, self.rater.chosen).quality
                > fitted(self.name, acts.chosen).quality
            )

    @property
    def _ranker(self) -> TunedRanker | TunedRater:
        return (
            fitted(self.name, self.rater) if self.orders_by_value else fitted(self.name, self.acts)
        )

    @property
    def settings(self) -> dict[str, Any]:
        """What tuning chose."""
        return self._ranker.settings

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return self._ranker.vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, higher is better."""
        return self._ranker.score(requests)

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predicted values on the data's scale.

        Raises:
            BadInput: if the training data had no values.
        """
        if self.rater is None:
            raise BadInput("these data hold events without values, so there is no scale to rate on")
        return self.rater.rate(requests, item_ids)


def _act_variants(table: TrainingTable) -> Iterator[Variant]:
    """Yield fold-ins with content as fixed item factors."""
    content = describe_items(table)
    for width, reg, alpha in product((96, 32), (10.0, 100.0, 1.0), (20.0, 100.0)):
        yield Variant(
            settings={"width": width, "reg": reg, "alpha": alpha},
            score_all=folding_into(content[:, :width], reg, alpha),
        )


def _value_variants(table: TrainingTable) -> Iterator[Variant]:
    content = describe_items(table)
    for width, noise, pull in product((32, 96), (20.0, 60.0, 5.0), (5.0, 20.0)):
        offsets = offsets_of(table, 2.0, pull)
        yield Variant(
            settings={"width": width, "noise": noise, "pull": pull},
            score_all=_ridge_predictor(offsets, content[:, :width], noise, pull),
        )


def _ridge_predictor(offsets: Offsets, content: np.ndarray, noise: float, pull: float) -> ScoreAll:
    """Return a ridge predictor on content and a constant; the constant is scaled so that its share
    of the penalty is that of `pull` events.
    """
    constant = np.full((len(content), 1), np.sqrt(noise / pull), np.float32)
    features = np.concatenate([content, constant], axis=1)

    def predict(support: Events) -> np.ndarray:
        above = support.values - offsets.mean - offsets.items[support.items]
        even = np.ones(len(above), np.float32)
        weights = ridge_of_few(support.accepted, even, above, features, features / noise)
        means = offsets.mean + offsets.items
        return np.asarray(means + weights @ features.T, dtype=np.float32)

    return predict
