"""Bayesian linear regression on learned features; adapting is its posterior, in closed form."""

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
    regression_targets,
    score_of_mean,
    spread_of,
)


@dataclass(frozen=True, kw_only=True)
class RidgeLearner(Gaussian):
    """A Gaussian prior over a user's weights of learned item features, with the exact posterior.

    The prior mean (which depends on the profile), the features (and with them the prior covariance,
    which is the identity in feature space) and the noise are learned through the solution. Early
    events share an effect that later ones do not (a user's first ratings are not a representative
    sample of their level); it is a variance in the kernel of the support alone. Solved in the
    support's dimension, see `closed_form`.
    """

    name: str
    learns_mean: bool = True
    """Whether the prior mean is learned (ALPaCA) or zero (R2-D2)."""
    objective: Objective = "ranking"
    dim: int = setting(32, at_least=1)

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """Return an item tower, the noise, the variance of users' levels and of first sessions, and
        the regression targets of liked and disliked events.
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
        """Return the posterior mean (a user vector and a level), and the support and Cholesky
        factor for the variance.
        """
        v = embed_at(prior, items, support.items)
        user = (
            first_user(prior, support) if self.learns_mean else v.new_zeros(len(support), self.dim)
        )
        level = F.softplus(prior["level"])
        targets = regression_targets(prior, support, self.objective)
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
        """Return each item's posterior mean; for ranking, times a learned gain plus popularity."""
        mean = dot(params["user"], embed(prior, items)) + params["level"]
        return score_of_mean(prior, mean, items, self.objective)

    def product(self, prior: Prior, params: Params) -> tuple[Tensor, Tensor]:
        """[B, dim] vectors and [B, 1] levels: the product of a vector with an item's embedding,
        plus the level, is the ranking score before the item's popularity is added.
        """
        return prior["gain"] * params["user"], prior["gain"] * params["level"]

    def spread(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return the standard deviation of each score; for ratings, noise included."""
        v, level = embed(prior, items), F.softplus(prior["level"])
        cross = products(v, params["support"]) + level * params["is_real"].unsqueeze(1)
        latent = variance_left(v.square().sum(-1) + level, cross, params["factor"])
        return spread_of(prior, latent, self.objective)


def bayesian_ridge(*, objective: Objective = "ranking", dim: int = 32) -> RidgeLearner:
    """Return Bayesian regression with features, prior mean and noise learned on later events
    (Harrison et al. 2018, arXiv:1807.08912).
    """
    return RidgeLearner(name="bayesian_ridge", objective=objective, dim=dim)


def r2d2(*, objective: Objective = "ranking", dim: int = 32) -> RidgeLearner:
    """Return a differentiable ridge regression on learned features, with prior mean zero
    (Bertinetto et al. 2019, arXiv:1805.08136).
    """
    return RidgeLearner(name="r2d2", learns_mean=False, objective=objective, dim=dim)
