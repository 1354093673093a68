"""What every meta-learner is: frozen settings with `init`, `adapt`, `score` and `loss`; training is
one function for all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.tasks import Query, Support, TaskBatch
from metarec.models.sampling import stand_ins
from metarec.runtime.device import in_memory, on_device, up_to

Prior = Params
"""What meta-training learns: where every task starts."""

MIN_OTHERS = 256
"""Bound: items of a sample of the catalog beside those that were liked, at least."""
Objective = Literal["ranking", "rating"]
"""ranking: softmax over the catalog, values are liked (above 0) or not. rating: squared error of
values.
"""


@dataclass(frozen=True, kw_only=True)
class Question:
    """What a meta-batch is evaluated on: the items to score and where the query lies among them."""

    items: ItemFeatures
    query: Query
    """Indexes into `items`; with each task's own items (rating) they are simply in order."""
    log_weights: Tensor | None = None
    """[n] log of how many items of the catalog each one stands for, where they are a sample."""


@runtime_checkable
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


class UncertainLearner(Learner, Protocol):
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
    liked = in_memory(torch.unique(query.items[query.is_real]))
    others = max(candidates_most - len(liked), MIN_OTHERS)
    shown, log_weights = map(on_device, stand_ins(len(items), liked, others, rng))
    place = shown.new_zeros(len(items))
    place[shown] = up_to(len(shown), shown)
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


class Episodic:
    """The loss of most learners: adapt on the support, answer the query."""

    def loss(
        self: Learner,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """Adapt on the support, answer the query."""
        return adapted_loss(self, prior, batch, question, items)


class Gaussian:
    """The loss of a learner that knows its uncertainty; its prior holds `noise`."""

    def loss(
        self: UncertainLearner,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """Ranking: softmax of the posterior mean. Rating: the query's negative log-likelihood,
        which also fits the noise.
        """
        if self.objective == "ranking":
            return adapted_loss(self, prior, batch, question, items)
        params, asked = self.adapt(prior, batch.support, items), question.items
        mean, spread = self.score(prior, params, asked), self.spread(prior, params, asked)
        return gaussian_loss(mean, spread, question)


def gaussian_loss(mean: Tensor, spread: Tensor, question: Question) -> Tensor:
    """Negative log-likelihood of the query's values (nats, without the constant), a mean over
    events and then tasks.
    """
    query = question.query
    surprise = 0.5 * ((query.values - mean) / spread).square() + spread.log()
    return task_mean(surprise, query.is_real).sum() / query.is_real.any(-1).sum().clamp(min=1)


def noise_of(prior: Prior) -> Tensor:
    """Variance of a value around what is expected of it, above 0."""
    return F.softplus(prior["noise"]) + 1e-3


def task_mean(values: Tensor, is_real: Tensor) -> Tensor:
    """[B, T] -> [B]: the mean of each task's real entries, 0 for a task without any."""
    return (values * is_real).sum(-1) / is_real.sum(-1).clamp(min=1)


def ranking_loss(scores: Tensor, query: Query, log_weights: Tensor | None = None) -> Tensor:
    """Softmax over the candidates, a mean over all liked events of the batch, in nats.

    Each event counts the same, so that users who like more weigh more: on new users' NDCG this
    beats equal users.

    Args:
        scores: [B, N].
        query: indexes into the N scored items.
        log_weights: [N] log of how many items each scored one stands for, where they are a sample.
    """
    whole = scores if log_weights is None else scores + log_weights
    if query.is_candidate is not None:
        whole = whole.masked_fill(~query.is_candidate, -torch.inf)
    surprise = torch.logsumexp(whole, dim=-1, keepdim=True) - scores.gather(1, query.items)
    return (surprise * query.is_real).sum() / query.is_real.sum().clamp(min=1)


def rating_loss(scores: Tensor, query: Query) -> Tensor:
    """Squared error of the query's own scores [B, Q], a mean over each task's events and then over
    tasks that have any.
    """
    errors = task_mean((scores - query.values).square(), query.is_real)
    return errors.sum() / query.is_real.any(-1).sum().clamp(min=1)


def support_ranking_loss(
    scores: Tensor,
    anchor_scores: Tensor,
    anchor_weights: Tensor,
    support: Support,
    strength: Tensor,
) -> Tensor:
    """[B] how surprising each task's support is among the anchors: softmax, each event by its
    strength.

    Args:
        scores: [B, S] of the support.
        anchor_scores: [B, M].
        anchor_weights: [M] log of how many items each stands for.
        strength: [B, S], 0 or more.
    """
    whole = torch.logsumexp(anchor_scores + anchor_weights, dim=-1, keepdim=True)
    # The event itself joins the anchors, so that its chance stays below 1.
    return task_mean((torch.logaddexp(whole, scores) - scores) * strength, support.is_real)


def support_rating_loss(scores: Tensor, support: Support) -> Tensor:
    """[B] mean squared error on the support."""
    return task_mean((scores - support.values).square(), support.is_real)
