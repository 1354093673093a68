"""A model for each group: the one of several with the best quality for the group's validation
users.

Dwork et al. 2018, "Decoupled classifiers for group-fair and efficient machine learning",
arXiv:1707.06613. Weights that help one group cost another, unless the other keeps the model it had;
so a group can only lose if validation users lead to the wrong choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import Vocabulary
from metarec.evaluation.interface import Scores, requests_at
from metarec.evaluation.measure import EvaluationSet
from metarec.fairness.groups import NOT_STATED, Grouping, grouping_of
from metarec.fairness.outcomes import evaluate
from metarec.recommendation.slate import Request


@dataclass(kw_only=True)
class OwnModel:
    """Fitted recommenders with one vocabulary, each serving the groups it was chosen for."""

    models: Mapping[str, Scores]
    """Name -> recommender; the first serves users who state no group, and wins ties."""
    by: str
    support_sizes: Sequence[int]
    """Numbers of events to choose at."""
    name: str = "own model"
    chosen: dict[str, str] = field(default_factory=dict)
    """Group -> name of its model, chosen by `fit`."""
    grouping: Grouping = field(default_factory=lambda: Grouping(name=""))
    """Rule that groups users, learned by `fit`."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The vocabulary of the models."""
        return next(iter(self.models.values())).vocabulary

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Choose each group's model by the mean NDCG@10 over `support_sizes` on `validation`. The
        models inside are not changed.

        Raises:
            BadInput: if no validation user states the attribute.
        """
        self.grouping = grouping_of([user.profile for user in validation], self.by)
        evaluation_set, labels = (
            EvaluationSet.of(validation, train),
            self._labels(requests_at(validation, 0)),
        )
        seed = int(rng.integers(2**31))  # one seed: ties are broken alike for all models
        quality = {
            name: evaluate(model, evaluation_set, self.support_sizes, seed=seed).values("ndcg@10")
            for name, model in self.models.items()
        }
        self.chosen = {
            label: max(quality, key=lambda name: float(quality[name][labels == label].mean()))
            for label in map(str, np.unique(labels[labels != NOT_STATED]))
        }

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """Return log-scores [B, N], each row from the model of that user's group."""
        first = next(iter(self.models))
        names = np.array(
            [self.chosen.get(label, first) for label in self._labels(requests)], dtype=object
        )
        scores = np.empty((len(requests), len(self.vocabulary)), np.float32)
        for name in set(names):
            rows = np.flatnonzero(names == name).tolist()
            scores[rows] = self.models[name].score([requests[row] for row in rows])
        return scores

    def _labels(self, requests: Sequence[Request]) -> np.ndarray:
        return self.grouping.labels([request.profile.get(self.by) for request in requests])
