"""A Gaussian process over learned features."""

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
class DeepKernel(Gaussian):
    """A Gaussian process with a kernel on embeddings: linear, plus Gaussian (RBF), plus a constant
    for the user's level.

    Patacchiola et al. 2020, arXiv:1910.05199 (deep kernel transfer). The kernel is learned by the
    query's likelihood, or its softmax loss, instead of the marginal likelihood of all events.
    """

    name: str = "deep_kernel"
    objective: Objective = "ranking"
    dim: int = setting(32, at_least=1)

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """Return an item tower, the kernel's variances and width, the noise, and the regression
        targets of liked and disliked events.
        """
        return new_trunk(items, profile, self.dim, draw) | {
            "variances": torch.tensor([0.5, 0.0, -1.0]),
            "width": torch.tensor(1.0),
            "noise": torch.tensor(0.5),
            "session": torch.tensor(-1.0),
            "worth": torch.tensor([0.5, 0.5]),
            "gain": torch.tensor(1.0),
        }

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """Return the support with its dual weights, and the Cholesky factor for the variance."""
        v = embed_at(prior, items, support.items)
        user = first_user(prior, support)
        targets = regression_targets(prior, support, self.objective)
        kernel = self._kernel(prior, v, v) + F.softplus(
            prior["session"]
        )  # variance that early events share and later ones do not
        ridge = solve(kernel, targets - dot(user, v), noise_of(prior), support.is_real)
        return {
            "user": user,
            "support": v,
            "weights": ridge.weights,
            "is_real": support.is_real,
            "factor": ridge.factor,
        }

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return each item's posterior mean; for ranking, times a learned gain plus popularity."""
        v = embed(prior, items)
        mean = dot(params["user"], v) + (
            self._kernel(prior, v, params["support"]) @ params["weights"].unsqueeze(-1)
        ).squeeze(-1)
        return score_of_mean(prior, mean, items, self.objective)

    def spread(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return the standard deviation of each score; for ratings, noise included."""
        v = embed(prior, items)
        linear, near, level = F.softplus(prior["variances"])
        cross = self._kernel(prior, v, params["support"]) * params["is_real"].unsqueeze(1)
        latent = variance_left(linear * v.square().sum(-1) + near + level, cross, params["factor"])
        return spread_of(prior, latent, self.objective)

    def _kernel(self, prior: Prior, v: Tensor, support_v: Tensor) -> Tensor:
        """Return covariances [B, N, S] of items with each task's support."""
        inner = products(v, support_v)
        apart = (
            v.square().sum(-1).unsqueeze(-1) - 2 * inner + support_v.square().sum(-1).unsqueeze(-2)
        )
        linear, near, level = F.softplus(prior["variances"])
        close = torch.exp(-apart.clamp(min=0.0) / F.softplus(prior["width"]))
        return torch.as_tensor(linear * inner + near * close + level)
