"""A popularity prior for each group, shrunk towards the prior of all users.

Popularity over all users is the taste of the majority. Each group gets its own prior, shrunk
towards the common one by a Dirichlet prior of `shrinkage` pseudo-users, so that a small group stays
close to all users. Its weight is chosen for each group on validation users, and is 0 if it does not
help them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import Vocabulary
from metarec.evaluation.interface import Scores, requests_at
from metarec.evaluation.measure import EvaluationSet
from metarec.evaluation.metrics import find_hits, ndcg, rank
from metarec.fairness.groups import NOT_STATED, Grouping, grouping_of
from metarec.recommendation.slate import Request

WEIGHTS = (0.0, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Weights to try for each group."""


@dataclass(kw_only=True)
class GroupPrior:
    """A fitted recommender whose score is increased by
    `weight[group] * log(popularity in the group / popularity)`.
    """

    model: Scores
    by: str
    shrinkage: float = 50.0
    """Pseudo-users with the common taste added to each group."""
    name: str = "group prior"
    weights: dict[str, float] = field(default_factory=dict)
    """Group -> weight, chosen by `fit`."""
    tables: dict[str, np.ndarray] = field(default_factory=dict)
    """Group -> [N] log-ratio of its smoothed popularity to that of all users."""
    grouping: Grouping = field(default_factory=lambda: Grouping(name=""))
    """Rule that groups users, learned by `fit`."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the model."""
        return self.model.vocabulary

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Learn each group's prior from `train`; choose its weight on `validation`. The model
        inside is not changed.

        Raises:
            BadInput: if no training user states the attribute.
        """
        users = train.interactions.frame["user_id"].unique(maintain_order=True).to_list()
        profiles = train.users.of_users(users)
        self.grouping = grouping_of(profiles, self.by)
        of_user = self.grouping.labels([profile.get(self.by) for profile in profiles])
        liked = train.interactions.filled.filter(
            pl.col("value") >= train.interactions.relevant_from
        )
        row = {user: n for n, user in enumerate(users)}
        columns = self.vocabulary.indexes(liked["item_id"])
        labels = of_user[[row[user] for user in liked["user_id"]]]
        everyone = np.bincount(columns[columns >= 0], minlength=len(self.vocabulary)) + 1.0
        common = everyone / everyone.sum()
        per_user = len(liked) / max(1, len(users))
        for label in map(str, sorted(set(of_user) - {NOT_STATED})):
            counts = np.bincount(
                columns[(columns >= 0) & (labels == label)], minlength=len(self.vocabulary)
            )
            drawn = counts + self.shrinkage * per_user * common
            self.tables[label] = np.log(drawn / drawn.sum() / common)
        self.weights = self._choose(train, validation, rng)

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Return log-scores [B, N]; users without a known group keep the model's own."""
        return np.asarray(self.model.score(requests) + self._added(requests, self.weights))

    def _labels(self, requests: Sequence[Request]) -> np.ndarray:
        return self.grouping.labels([request.profile.get(self.by) for request in requests])

    def _added(self, requests: Sequence[Request], weights: dict[str, float]) -> np.ndarray:
        nothing = np.zeros(len(self.vocabulary))
        return np.array(
            [
                weights.get(label, 0.0) * self.tables.get(label, nothing)
                for label in self._labels(requests)
            ],
            dtype=np.float32,
        ).reshape(len(requests), -1)

    def _choose(
        self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator, k: int = 10
    ) -> dict[str, float]:
        """Return the weight of each group with the best NDCG@k on its validation users."""
        evaluation_set = EvaluationSet.of(validation, train)
        labels = self._labels(requests_at(validation, 0))
        quality = {weight: np.zeros(len(validation)) for weight in WEIGHTS}
        for n_support in (0, max(1, validation[0].n_items // 4)):
            requests = requests_at(validation, n_support)
            base, tables = (
                self.model.score(requests),
                self._added(requests, dict.fromkeys(self.tables, 1.0)),
            )
            columns = self.vocabulary.indexes(evaluation_set.vocabulary.ids)
            candidates, liked = evaluation_set.masks(0, len(validation))
            for weight in WEIGHTS:
                listed = rank((base + weight * tables)[:, columns], k, rng, candidates)
                quality[weight] += ndcg(find_hits(listed, liked), liked.sum(axis=1), k)
        return {
            label: max(WEIGHTS, key=lambda w: (float(quality[w][labels == label].mean()), -w))
            if (labels == label).any()
            else 0.0
            for label in self.tables
        }
