"""The protocol of meta-learners, which are frozen settings with `init`, `adapt`, `score` and
`loss`, and their losses; `meta_train` trains them all.
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
from metarec.runtime.device import arange_like, in_memory, on_device

Prior = Params
"""The parameters that meta-training learns, from which every task adapts."""

MIN_OTHERS = 256
"""Bound: minimum of sampled items beside the liked ones, where the catalog is sampled."""
Objective = Literal["ranking", "rating"]
"""ranking: softmax over the catalog; events with values above 0 are liked. rating: squared error of
the values.
"""


@dataclass(frozen=True, kw_only=True)
class Question:
    """The items to score for a meta-batch, and the query as indexes into them."""

    items: ItemFeatures
    query: Query
    """Query with indexes into `items`; for ratings `items` are the query's own, in order."""
    log_weights: Tensor | None = None
    """[n] log of the number of catalog items that each one represents, where they are a sample."""


@runtime_checkable
class Learner(Protocol):
    """A meta-learner: frozen settings without state; parameters are arguments and results."""

    @property
    def name(self) -> str:
        """Its name in tables, flags and saved models."""
        ...

    @property
    def objective(self) -> Objective:
        """The objective that it is trained for."""
        ...

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """Return an untrained prior for items of this width and profiles of `profile` columns (0:
        none).
        """
        ...

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """Return the parameters of B tasks, leading axis B, adapted to their support. Arguments are
        not changed.
        """
        ...

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return scores [B, N] of these items: log-scores (ranking), or predicted values in the
        learner's view (rating).
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
        """Return the outer loss of a meta-batch."""
        ...


class UncertainLearner(Learner, Protocol):
    """A learner that also predicts the uncertainty of its scores."""

    def spread(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return the standard deviations [B, N] of the scores."""
        ...


def question_of(
    objective: Objective,
    query: Query,
    items: ItemFeatures,
    rng: np.random.Generator,
    *,
    candidates_most: int = 2048,
) -> Question:
    """Return the items to score for a meta-batch: the query's own (rating), the catalog, or a
    sample of a catalog larger than `candidates_most`.

    A sample holds every liked item of the batch and a uniform sample of the others, which the
    softmax weights by the number of items that each represents.
    """
    if objective == "rating":
        return Question(items=items.take(query.items), query=query)
    if len(items) <= candidates_most:
        return Question(items=items, query=query)
    liked = in_memory(torch.unique(query.items[query.is_real]))
    others = max(candidates_most - len(liked), MIN_OTHERS)
    shown, log_weights = map(on_device, stand_ins(len(items), liked, others, rng))
    place = shown.new_zeros(len(items))
    place[shown] = arange_like(len(shown), shown)
    is_candidate = None if query.is_candidate is None else query.is_candidate[:, shown]
    return Question(
        items=items.take(shown),
        query=replace(query, items=place[query.items], is_candidate=is_candidate),
        log_weights=log_weights.to(items.columns.dtype),
    )


def question_loss(learner: Learner, prior: Prior, params: Params, question: Question) -> Tensor:
    """Return the query loss of adapted parameters, by the learner's objective."""
    scores = learner.score(prior, params, question.items)
    return (
        rating_loss(scores, question.query)
        if learner.objective == "rating"
        else ranking_loss(scores, question.query, question.log_weights)
    )


def adapted_loss(
    learner: Learner, prior: Prior, batch: TaskBatch, question: Question, items: ItemFeatures
) -> Tensor:
    """Return the episodic loss: adapt to the support, then evaluate on the query."""
    return question_loss(learner, prior, learner.adapt(prior, batch.support, items), question)


class Episodic:
    """Mixin of most learners: the loss of the query after adapting to the support."""

    def loss(
        self: Learner,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """Return the episodic loss: adapt to the support, then evaluate on the query."""
        return adapted_loss(self, prior, batch, question, items)


class Gaussian:
    """Mixin of learners with a predictive variance: their likelihood as loss. The prior holds
    `noise`.
    """

    def loss(
        self: UncertainLearner,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """Return, for ranking, the softmax loss of the posterior mean; for ratings, the negative
        log-likelihood of the query, which also fits the noise.
        """
        if self.objective == "ranking":
            return adapted_loss(self, prior, batch, question, items)
        params, queried = self.adapt(prior, batch.support, items), question.items
        mean, spread = self.score(prior, params, queried), self.spread(prior, params, queried)
        return gaussian_loss(mean, spread, question)


def gaussian_loss(mean: Tensor, spread: Tensor, question: Question) -> Tensor:
    """Return the negative log-likelihood of the query's values (nats, without the constant),
    averaged over events and then over tasks.
    """
    query = question.query
    surprise = 0.5 * ((query.values - mean) / spread).square() + spread.log()
    return task_mean(surprise, query.is_real).sum() / query.is_real.any(-1).sum().clamp(min=1)


def noise_of(prior: Prior) -> Tensor:
    """Return the noise variance of a value, above 0."""
    return F.softplus(prior["noise"]) + 1e-3


def task_mean(values: Tensor, is_real: Tensor) -> Tensor:
    """Return the mean [B] of each task's real entries [B, T], 0 for a task without any."""
    return (values * is_real).sum(-1) / is_real.sum(-1).clamp(min=1)


def ranking_loss(scores: Tensor, query: Query, log_weights: Tensor | None = None) -> Tensor:
    """Return the softmax loss over the candidates, averaged over all liked events of the batch, in
    nats.

    Each event has the same weight, so that users with more likes weigh more: this gives new users a
    higher NDCG than equal weights of users.

    Args:
        scores: [B, N].
        query: indexes into the N scored items.
        log_weights: [N] log of the number of items that each scored one represents, where they are
            a sample.
    """
    logits = scores if log_weights is None else scores + log_weights
    if query.is_candidate is not None:
        logits = logits.masked_fill(~query.is_candidate, -torch.inf)
    surprise = torch.logsumexp(logits, dim=-1, keepdim=True) - scores.gather(1, query.items)
    return (surprise * query.is_real).sum() / query.is_real.sum().clamp(min=1)


def rating_loss(scores: Tensor, query: Query) -> Tensor:
    """Return the squared error of the query's own scores [B, Q], averaged over each task's events
    and then over the tasks that have any.
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
    """Return the softmax loss [B] of each task's support over the anchors, averaged over events
    that are weighted by their strength.

    Args:
        scores: [B, S] of the support.
        anchor_scores: [B, M].
        anchor_weights: [M] log of the number of items that each anchor represents.
        support: the tasks' support, for its mask.
        strength: [B, S] weight of each event, 0 or more.
    """
    total = torch.logsumexp(anchor_scores + anchor_weights, dim=-1, keepdim=True)
    # The event itself is added to the anchors, so that its probability is below 1.
    return task_mean((torch.logaddexp(total, scores) - scores) * strength, support.is_real)


def support_rating_loss(scores: Tensor, support: Support) -> Tensor:
    """Return the mean squared error [B] on the support."""
    return task_mean((scores - support.values).square(), support.is_real)
