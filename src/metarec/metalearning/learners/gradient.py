"""Learners that take gradient steps on the support: one class, whose settings are the named methods
beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.metalearning.adapt import AdaptConfig, adapt, new_rates, stacked
from metarec.metalearning.bodies import Body, MLPBody
from metarec.metalearning.items import ItemFeatures
from metarec.metalearning.layers import Params
from metarec.metalearning.learner import Objective, Prior, Question, question_loss
from metarec.metalearning.losses import support_ranking_loss, support_rating_loss
from metarec.metalearning.tasks import Support, TaskBatch
from metarec.metalearning.trunk import prior_score


@dataclass(frozen=True, kw_only=True)
class GradientLearner:
    """Adapt a body's parameters by gradient steps on the support, from a start learned so that this
    works well.

    Where we differ from the papers: the inner loss is weighted by how many events there are, `n /
    (n + kappa)` with kappa learned, so that one event moves a newcomer less than twenty; item
    popularity is part of every ranking score.
    """

    name: str
    body: Body = field(default_factory=MLPBody)
    """What adapts."""
    adaptation: AdaptConfig = field(default_factory=AdaptConfig)
    """How it adapts."""
    outer: Literal["query", "reptile"] = "query"
    """What the prior learns from: the query after adapting, or where adapting on it went."""
    kappa: float = 1.0
    """Where kappa starts; it stays there if the outer loop does not look through the inner one."""
    objective: Objective = "ranking"

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """The body's parameters, what the inner loss learns, and step sizes if they are learned."""
        prior = {"bias_scale": torch.ones(1)} | self.body.init(items, profile, draw)
        prior |= {"meta.strength": torch.tensor([0.5, 0.5]), "meta.kappa": torch.tensor(self.kappa)}
        return prior | new_rates(prior, self.adaptation)

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """Gradient steps on the support, all tasks at once."""
        params = adapt(
            lambda params: self._support_loss(params, support, items),
            prior,
            self.adaptation,
            tasks=len(support),
        )
        return params | self.body.keep({**prior, **params}, support, items)

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """The body's score plus, for ranking, the popularity it learned to trust."""
        whole = {**prior, **params}
        return self.body.score(whole, items) + prior_score(whole, items, self.objective)

    def loss(
        self,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """The query's loss after adapting; or Reptile's pull towards where adapting went."""
        if self.outer == "query":
            return question_loss(self, prior, self.adapt(prior, batch.support, items), question)
        # The support's early events come from another distribution, which would draw the prior away
        query = batch.query
        events = Support(
            items=query.items,
            values=query.values,
            is_real=query.is_real,
            profile=batch.support.profile,
        )
        fresh = items.with_new_anchors(
            draw
        )  # the inner loss is all Reptile learns from, and would learn a fixed sample by heart
        with torch.no_grad():
            adapted = adapt(
                lambda params: self._support_loss(params, events, fresh),
                prior,
                self.adaptation,
                tasks=len(batch),
            )
        # Its gradient is the mean of `prior - adapted`, Reptile's direction, so that one trainer
        # serves every learner.
        moved = stacked(prior, adapted)
        return torch.stack(
            [(prior[name] - value.detach()).square().sum() for name, value in moved.items()]
        ).sum() / (2 * len(batch))

    def _support_loss(self, params: Params, support: Support, items: ItemFeatures) -> Tensor:
        scores, anchor_scores = self.body.support_scores(params, support, items)
        trust = support.counts / (support.counts + F.softplus(params["meta.kappa"]))
        if self.objective == "rating":
            return trust * support_rating_loss(scores, support)
        known = prior_score(params, items.take(items.anchors), self.objective)
        known = (
            known.unsqueeze(-2)
            if isinstance(known, Tensor) and known.ndim < anchor_scores.ndim
            else known
        )
        scores = scores + prior_score(params, items.take(support.items), self.objective)
        strength = F.relu(params["meta.strength"][0] + params["meta.strength"][1] * support.values)
        return trust * support_ranking_loss(
            scores, anchor_scores + known, items.anchor_weights, support, strength
        )
