"""What every meta-learner is: frozen settings with `init`, `adapt`, `score` and `loss`; training is
one function for all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from metarec.metalearning.items import ItemFeatures
from metarec.metalearning.layers import Params
from metarec.metalearning.losses import ranking_loss, rating_loss
from metarec.metalearning.tasks import Query, Support, TaskBatch

Prior = Params
"""What meta-training learns: where every task starts."""

Objective = Literal["ranking", "rating"]
"""ranking: softmax over the catalog, values are liked (above 0) or not. rating: squared error of
values.
"""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a meta-batch is judged on: the items to score and where the query lies among them."""

    items: ItemFeatures
    query: Query
    """Indexes into `items`; with each task's own items (rating) they are simply in order."""
    log_weights: Tensor | None = None
    """[n] log of how many items of the catalog each one stands for, where they are a sample."""


class Learner(Protocol):
    """A meta-learner: a frozen bundle of settings; parameters in, parameters out, nothing kept."""

    @property
    def name(self) -> str:
        """What tables, flags and saved models call it."""
        ...

    @property
    def objective(self) -> Objective:
        """What it is trained for."""
        ...

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """An untrained prior for items of this width and profiles of `profile` columns (0:
        none).
        """
        ...

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """What is known of each of B tasks after its support; leading axis B. Neither argument
        changes.
        """
        ...

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """[B, N] scores of these items: log-scores (ranking) or values above the item's mean
        (rating).
        """
        ...

    def loss(
        self,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """The outer loss of a meta-batch."""
        ...


class KnowsItsDoubt(Protocol):
    """A learner that also says how sure it is."""

    def spread(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """[B, N] standard deviations of the scores."""
        ...


def ask(
    objective: Objective,
    query: Query,
    items: ItemFeatures,
    rng: np.random.Generator,
    *,
    candidates_most: int = 2048,
) -> Question:
    """The question a meta-batch poses: its own items (rating), the catalog, or a sample of a
    catalog larger than that.

    A sample holds every liked item of the batch, and of the others each with the same chance; the
    softmax counts each of those for as many as it stands for.
    """
    if objective == "rating":
        return Question(items=items.take(query.items), query=query)
    if len(items) <= candidates_most:
        return Question(items=items, query=query)
    liked = torch.unique(query.items[query.is_real])
    others = torch.ones(len(items), dtype=torch.bool)
    others[liked] = False
    rest = torch.nonzero(others).squeeze(-1).numpy()
    drawn = torch.from_numpy(
        rng.choice(rest, size=min(len(rest), max(candidates_most - len(liked), 256)), replace=False)
    )
    shown = torch.cat([liked, drawn])
    place = torch.zeros(len(items), dtype=torch.int64)
    place[shown] = torch.arange(len(shown))
    log_weights = torch.cat(
        [torch.zeros(len(liked)), torch.full((len(drawn),), float(np.log(len(rest) / len(drawn))))]
    )
    is_candidate = None if query.is_candidate is None else query.is_candidate[:, shown]
    return Question(
        items=items.take(shown),
        query=replace(query, items=place[query.items], is_candidate=is_candidate),
        log_weights=log_weights.to(items.columns.dtype),
    )


def question_loss(learner: Learner, prior: Prior, params: Params, question: Question) -> Tensor:
    """How badly adapted parameters answer, by the learner's objective."""
    scores = learner.score(prior, params, question.items)
    return (
        rating_loss(scores, question.query)
        if learner.objective == "rating"
        else ranking_loss(scores, question.query, question.log_weights)
    )


def adapted_loss(
    learner: Learner, prior: Prior, batch: TaskBatch, question: Question, items: ItemFeatures
) -> Tensor:
    """The episodic loss most learners have: adapt on the support, answer the query."""
    return question_loss(learner, prior, learner.adapt(prior, batch.support, items), question)
