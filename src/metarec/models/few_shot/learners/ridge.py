"""Bayesian linear regression on learned features: the posterior is the adaptation, in closed
form.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.models.config import setting
from metarec.models.few_shot.closed_form import solve, variance_left
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import Gaussian, Objective, Prior, noise_of
from metarec.models.few_shot.tasks import Support
from metarec.models.few_shot.towers import (
    dot,
    embed,
    embed_at,
    first_user,
    new_trunk,
    products,
    score_of_mean,
    spread_of,
    worth_of,
)


@dataclass(frozen=True, kw_only=True)
class RidgeLearner(Gaussian):
    """A Gaussian prior over a user's weights on learned item features, updated exactly by each
    event.

    The prior's mean (moved by the profile), the features (and with them the prior's covariance,
    which is the identity in feature space) and the noise are learned through the solution. Early
    events share a mood that later ones do not (a user's first ratings are no fair sample of their
    level); that is a variance of the support alone. Solved in the support's dimension, see
    `closed_form`.
    """

    name: str
    learns_mean: bool = True
    """Start from a learned mean (ALPaCA) or from zero (R2-D2)."""
    objective: Objective = "ranking"
    dim: int = setting(32, least=1)

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """A trunk, the noise, the variance of users' levels and of first sessions, and what a
        liked or disliked event is worth.
        """
        prior = new_trunk(items, profile, self.dim, draw) | {
            "noise": torch.tensor(0.5),
            "level": torch.tensor(0.0),
            "session": torch.tensor(-1.0),
            "worth": torch.tensor([0.5, 0.5]),
            "gain": torch.tensor(1.0),
        }
        if not self.learns_mean:
            prior = {
                name: value
                for name, value in prior.items()
                if name not in ("user_0", "profile.weight")
            }
        return prior

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """The posterior mean (a user vector and a level), and what its variance needs."""
        v = embed_at(prior, items, support.items)
        user = (
            first_user(prior, support) if self.learns_mean else v.new_zeros(len(support), self.dim)
        )
        level = F.softplus(prior["level"])
        targets = worth_of(prior, support, self.objective)
        kernel = v @ v.transpose(-1, -2) + level + F.softplus(prior["session"])
        ridge = solve(kernel, targets - dot(user, v), noise_of(prior), support.is_real)
        return {
            "user": user + (ridge.weights.unsqueeze(-1) * v).sum(1),
            "level": level * ridge.weights.sum(-1, keepdim=True),
            "support": v * support.is_real.unsqueeze(-1),
            "is_real": support.is_real,
            "factor": ridge.factor,
        }

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """The posterior mean of each item; a learned gain turns it into a log-score for ranking."""
        mean = dot(params["user"], embed(prior, items)) + params["level"]
        return score_of_mean(prior, mean, items, self.objective)

    def spread(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Standard deviation of each score; for ratings that of a new value, noise included."""
        v, level = embed(prior, items), F.softplus(prior["level"])
        cross = products(v, params["support"]) + level * params["is_real"].unsqueeze(1)
        latent = variance_left(v.square().sum(-1) + level, cross, params["factor"])
        return spread_of(prior, latent, self.objective)


def bayesian_ridge(*, objective: Objective = "ranking", dim: int = 32) -> RidgeLearner:
    """Features, prior mean and noise learned by the likelihood of later events (Harrison et al.
    2018, arXiv:1807.08912).
    """
    return RidgeLearner(name="bayesian_ridge", objective=objective, dim=dim)


def r2d2(*, objective: Objective = "ranking", dim: int = 32) -> RidgeLearner:
    """A differentiable ridge solution from zero on learned features (Bertinetto et al. 2019,
    arXiv:1805.08136).
    """
    return RidgeLearner(name="r2d2", learns_mean=False, objective=objective, dim=dim)
