"""Popularity debiasing of the score, as strong as a cost of one percent of quality allows.

Popular items crowd out niche items, and users of niche tastes lose most by it (Abdollahpouri et al.
2019, arXiv:1907.13286). The score is reduced by `strength * log(popularity)`; the strength is the
largest that costs validation users at most `MAX_COST` of their NDCG@10.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import Vocabulary
from metarec.evaluation.interface import Scores, requests_at
from metarec.evaluation.measure import EvaluationSet
from metarec.evaluation.metrics import find_hits, ndcg, rank
from metarec.recommendation.slate import Request

STRENGTHS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
"""Strengths to try, ascending."""
MAX_COST = 0.01
"""Maximum share of NDCG@10 lost."""


@dataclass(kw_only=True)
class PopularityDebiased:
    """A fitted recommender whose score is reduced by `strength * log(popularity)`."""

    model: Scores
    name: str = "popularity debiasing"
    strength: float = 0.0
    """Strength, chosen by `fit`."""
    log_popularity: np.ndarray = field(default_factory=lambda: np.zeros(0))
    """[N] `log(1 + events)` of each item."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the model."""
        return self.model.vocabulary

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Count popularity in `train`; choose the strength on `validation`. The model inside is not
        changed.
        """
        columns = self.vocabulary.indexes(train.interactions.frame["item_id"])
        self.log_popularity = np.log1p(
            np.bincount(columns[columns >= 0], minlength=len(self.vocabulary))
        )
        evaluation_set = EvaluationSet.of(validation, train)
        candidates, liked = evaluation_set.masks(0, len(validation))
        listed_columns = self.vocabulary.indexes(evaluation_set.vocabulary.ids)
        quality = np.zeros(len(STRENGTHS))
        for n_support in (0, max(1, validation[0].n_items // 4)):
            scores = self.model.score(requests_at(validation, n_support))
            for row, strength in enumerate(STRENGTHS):
                listed = rank(
                    (scores - strength * self.log_popularity)[:, listed_columns],
                    10,
                    rng,
                    candidates,
                )
                quality[row] += ndcg(find_hits(listed, liked), liked.sum(axis=1), 10).mean()
        too_dear = quality < (1 - MAX_COST) * quality[0]
        self.strength = STRENGTHS[
            (int(too_dear.argmax()) if too_dear.any() else len(STRENGTHS)) - 1
        ]

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Return log-scores [B, N]."""
        return np.asarray(
            self.model.score(requests) - (self.strength * self.log_popularity).astype(np.float32)
        )
