"""Learners that take gradient steps on the support: one class, whose settings are the named methods
beside it.
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
    """Adapt a body's parameters by gradient steps on the support, from a start learned so that this
    works well.

    Where we differ from the papers: the inner loss is weighted by how many events there are, `n /
    (n + kappa)` with kappa learned, so that one event moves a new user less than twenty; item
    popularity is part of every ranking score.
    """

    name: str
    body: Body = field(default_factory=MLPBody)
    """What adapts."""
    adaptation: AdaptConfig = field(default_factory=AdaptConfig)
    """How it adapts."""
    outer: Literal["query", "reptile"] = "query"
    """What the prior learns from: the query after adapting, or where adapting on it went."""
    kappa: float = setting(1.0, above=0)
    """Where kappa starts; it stays there if the outer loop does not look through the inner one."""
    objective: Objective = "ranking"

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """The body's parameters, what the inner loss learns, and step sizes if they are learned."""
        prior = {"bias_scale": torch.ones(1)} | self.body.init(items, profile, draw)
        prior |= {"meta.strength": torch.tensor([0.5, 0.5]), "meta.kappa": torch.tensor(self.kappa)}
        return prior | new_rates(prior, self.adaptation)

    def with_steps(self, steps: int) -> GradientLearner:
        """The same learner with so many inner steps."""
        return replace(self, adaptation=replace(self.adaptation, inner_steps=steps))

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """Gradient steps on the support, all tasks at once."""
        params = adapt(
            lambda params: self.support_loss(params, support, items),
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
        """[B] what the inner loop lowers, under these parameters."""
        scores, anchor_scores = self.body.support_scores(params, support, items)
        confidence = support.counts / (support.counts + F.softplus(params["meta.kappa"]))
        if self.objective == "rating":
            return confidence * support_rating_loss(scores, support)
        known = prior_score(params, items.take(items.anchors), self.objective)
        scores = scores + prior_score(params, items.take(support.items), self.objective)
        strength = F.relu(params["meta.strength"][0] + params["meta.strength"][1] * support.values)
        return confidence * support_ranking_loss(
            scores, anchor_scores + known, items.anchor_weights, support, strength
        )


def maml(
    *, objective: Objective = "ranking", inner_steps: int = 3, inner_lr: float = 0.1
) -> GradientLearner:
    """Every weight adapts; the prior learns through the inner steps (Finn et al. 2017,
    arXiv:1703.03400).

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
    """MAML that treats the inner steps as constants (Finn et al. 2017, arXiv:1703.03400, section
    5.2): cheaper, and biased.
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
    """The user vector adapts, the item tower is shared (Raghu et al. 2020, arXiv:1909.09157): cheap
    to serve at any scale.
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
    """A context of `context` numbers joins every item's columns and adapts alone (Zintgraf et al.
    2019, arXiv:1810.03642).
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
    """A step size for each weight, learned with the prior; one inner step (Li et al. 2017,
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
    """The prior moves towards the mean of the adapted weights; no query, no second derivatives
    (Nichol et al. 2018, arXiv:1803.02999).

    The outer optimizer is AdamW on that direction, where the paper interpolates. As it asks no
    query it never learns that early events differ from later ones, so steps are short and a few
    events count little (`kappa`).
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
    """Content and profile through shared embeddings; the decision layers adapt to a user's
    ratings (Lee et al. 2019, arXiv:1908.00413).

    Second order, as the paper writes (its code cuts that path). Attributes are embedded together
    instead of one by one. The published step size, 5e-6, leaves the prior where it is; pass it to
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
    """The user vector and the relation `W_r` adapt to the support's squared error, the item tower
    is shared (arXiv:1703.03400).
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
