"""Learners that adapt by gradient steps on the support: one class, and a function for each named
method, which returns it with the method's settings.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.models.config import setting
from metarec.models.few_shot.adapt import AdaptConfig, adapt, new_rates, stacked
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import (
    Objective,
    Prior,
    Question,
    question_loss,
    support_ranking_loss,
    support_rating_loss,
)
from metarec.models.few_shot.networks import Body, MLPBody, TwoTowerBody
from metarec.models.few_shot.tasks import Support, TaskBatch
from metarec.models.few_shot.towers import prior_score


@dataclass(frozen=True, kw_only=True)
class GradientLearner:
    """Adapt a body's parameters by gradient steps on the support, from a meta-learned start.

    Where we differ from the papers: the inner loss is weighted by the number of events, `n / (n +
    kappa)` with kappa learned, so that one event changes the parameters less than twenty; item
    popularity is part of every ranking score.
    """

    name: str
    body: Body = field(default_factory=MLPBody)
    """The model that adapts."""
    adaptation: AdaptConfig = field(default_factory=AdaptConfig)
    """Settings of the inner loop."""
    outer: Literal["query", "reptile"] = "query"
    """The outer loss: that of the query after adapting to the support, or Reptile's distance to the
    parameters adapted to the query.
    """
    kappa: float = setting(1.0, above=0)
    """Initial kappa; it stays if the outer loop does not differentiate through the inner one."""
    objective: Objective = "ranking"

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """Return the parameters of the body and of the inner loss, and learned step sizes."""
        prior = {"bias_scale": torch.ones(1)} | self.body.init(items, profile, draw)
        prior |= {"meta.strength": torch.tensor([0.5, 0.5]), "meta.kappa": torch.tensor(self.kappa)}
        return prior | new_rates(prior, self.adaptation)

    def with_steps(self, steps: int) -> GradientLearner:
        """Return the same learner with `steps` inner steps."""
        return replace(self, adaptation=replace(self.adaptation, inner_steps=steps))

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """Return the parameters after gradient steps on the support, for all tasks at once."""
        params = adapt(
            lambda params: self.support_loss(params, support, items),
            prior,
            self.adaptation,
            tasks=len(support),
        )
        return params | self.body.keep({**prior, **params}, support, items)

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return the body's score plus, for ranking, popularity times a learned scale."""
        merged = {**prior, **params}
        return self.body.score(merged, items) + prior_score(merged, items, self.objective)

    def loss(
        self,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """Return the query's loss after adapting, or Reptile's half squared distance to the adapted
        parameters.
        """
        if self.outer == "query":
            return question_loss(self, prior, self.adapt(prior, batch.support, items), question)
        # Reptile adapts on the query: early events have another distribution, which would bias the
        # prior.
        query = batch.query
        events = Support(
            items=query.items,
            values=query.values,
            is_real=query.is_real,
            profile=batch.support.profile,
        )
        fresh = items.with_new_anchors(
            draw
        )  # the inner loss is all that Reptile learns from, and it would overfit fixed anchors
        with torch.no_grad():
            adapted = adapt(
                lambda params: self.support_loss(params, events, fresh),
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

    def support_loss(self, params: Params, support: Support, items: ItemFeatures) -> Tensor:
        """Return the inner loss [B] at these parameters."""
        scores, anchor_scores = self.body.support_scores(params, support, items)
        confidence = support.counts / (support.counts + F.softplus(params["meta.kappa"]))
        if self.objective == "rating":
            return confidence * support_rating_loss(scores, support)
        anchor_prior = prior_score(params, items.take(items.anchors), self.objective)
        scores = scores + prior_score(params, items.take(support.items), self.objective)
        strength = F.relu(params["meta.strength"][0] + params["meta.strength"][1] * support.values)
        return confidence * support_ranking_loss(
            scores, anchor_scores + anchor_prior, items.anchor_weights, support, strength
        )


def maml(
    *, objective: Objective = "ranking", inner_steps: int = 3, inner_lr: float = 0.1
) -> GradientLearner:
    """Return MAML: every weight adapts, and the outer loop differentiates through the inner steps
    (Finn et al. 2017, arXiv:1703.03400).

    The step sizes are learned for each tensor and step (MAML++, Antoniou et al. 2019,
    arXiv:1810.09502).
    """
    return GradientLearner(
        name="maml",
        objective=objective,
        body=MLPBody(),
        adaptation=AdaptConfig(inner_steps=inner_steps, inner_lr=inner_lr, rates="per_step"),
    )


def fomaml(
    *, objective: Objective = "ranking", inner_steps: int = 3, inner_lr: float = 0.1
) -> GradientLearner:
    """Return first-order MAML, which ignores second derivatives (Finn et al. 2017,
    arXiv:1703.03400, section 5.2): cheaper, and biased.
    """
    return GradientLearner(
        name="fomaml",
        objective=objective,
        body=MLPBody(),
        adaptation=AdaptConfig(inner_steps=inner_steps, inner_lr=inner_lr, first_order=True),
    )


def anil(
    *, objective: Objective = "ranking", inner_steps: int = 3, inner_lr: float = 0.3
) -> GradientLearner:
    """Return ANIL: the user vector adapts, the item tower is shared (Raghu et al. 2020,
    arXiv:1909.09157), which is cheap to serve at any scale.
    """
    return GradientLearner(
        name="anil",
        objective=objective,
        body=TwoTowerBody(),
        adaptation=AdaptConfig(
            inner_steps=inner_steps,
            inner_lr=inner_lr,
            rates="per_step",
            adapts=("user_0", "offset", "bias_scale"),
        ),
    )


def cavia(
    *,
    objective: Objective = "ranking",
    inner_steps: int = 3,
    inner_lr: float = 1.0,
    context: int = 16,
) -> GradientLearner:
    """Return CAVIA: only a vector of length `context`, concatenated to every item's columns, adapts
    (Zintgraf et al. 2019, arXiv:1810.03642).
    """
    return GradientLearner(
        name="cavia",
        objective=objective,
        body=MLPBody(context=context),
        adaptation=AdaptConfig(
            inner_steps=inner_steps, inner_lr=inner_lr, rates="per_step", adapts=("context",)
        ),
    )


def meta_sgd(
    *, objective: Objective = "ranking", inner_steps: int = 1, inner_lr: float = 0.1
) -> GradientLearner:
    """Return Meta-SGD: a learned step size for each weight, and one inner step (Li et al. 2017,
    arXiv:1707.09835).
    """
    return GradientLearner(
        name="meta_sgd",
        objective=objective,
        body=MLPBody(),
        adaptation=AdaptConfig(inner_steps=inner_steps, inner_lr=inner_lr, rates="per_weight"),
    )


def reptile(
    *, objective: Objective = "ranking", inner_steps: int = 5, inner_lr: float = 0.03
) -> GradientLearner:
    """Return Reptile: the prior moves towards the mean of the adapted weights, without query loss
    and second derivatives (Nichol et al. 2018, arXiv:1803.02999).

    The outer optimizer is AdamW on that direction, where the paper interpolates. Without a query
    loss it cannot learn that early events differ from later ones, so steps are short and a few
    events have little weight (`kappa`).
    """
    return GradientLearner(
        name="reptile",
        objective=objective,
        body=MLPBody(),
        outer="reptile",
        kappa=100.0,
        adaptation=AdaptConfig(inner_steps=inner_steps, inner_lr=inner_lr, first_order=True),
    )


def melu(
    *, objective: Objective = "rating", inner_steps: int = 1, inner_lr: float = 5e-3
) -> GradientLearner:
    """Return MeLU: content and profile pass through shared embeddings; the decision layers adapt to
    a user's ratings (Lee et al. 2019, arXiv:1908.00413).

    Second order, as in the paper (its code detaches that path). Attributes are embedded together
    instead of one by one. With the published step size, 5e-6, the prior hardly changes; pass it to
    reproduce that.
    """
    return GradientLearner(
        name="melu",
        objective=objective,
        body=MLPBody(hidden=(64, 64), embed=128),
        adaptation=AdaptConfig(
            inner_steps=inner_steps, inner_lr=inner_lr, adapts=("mlp.*", "context_in.*", "out.*")
        ),
    )


def two_tower(
    *, objective: Objective = "rating", inner_steps: int = 3, inner_lr: float = 1.0
) -> GradientLearner:
    """Return a two-tower MAML: user vector and relation `W_r` adapt to the support's squared error,
    the item tower is shared (arXiv:1703.03400).
    """
    return GradientLearner(
        name="two_tower",
        objective=objective,
        body=TwoTowerBody(sigmoid=True),
        adaptation=AdaptConfig(
            inner_steps=inner_steps,
            inner_lr=inner_lr,
            rates="per_step",
            adapts=("user_0", "relation", "offset"),
        ),
    )
