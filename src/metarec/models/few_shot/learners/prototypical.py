"""Prototypical networks: one prototype of liked and one of disliked items."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.models.config import setting
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import Episodic, Objective, Prior
from metarec.models.few_shot.tasks import Support
from metarec.models.few_shot.towers import (
    dot,
    embed,
    embed_at,
    first_user,
    new_trunk,
    prior_score,
    shrunk_mean,
)


@dataclass(frozen=True, kw_only=True)
class Prototypical(Episodic):
    """Score items by their weighted squared distance to the prototype of disliked items less that
    to the prototype of liked ones.

    Snell et al. 2017, arXiv:1703.05175. The two classes have uneven and perhaps empty support, so
    each prototype is shrunk towards a learned prior that counts for `kappa` events (for liked items
    it depends on the profile): without events it is the prior, with many the weighted mean.
    """

    name: str = "prototypical"
    objective: Objective = "ranking"
    dim: int = setting(32, at_least=1)

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """Return an item tower, the two prior prototypes, their counts and the gains of the
        distances.
        """
        return new_trunk(items, profile, self.dim, draw) | {
            "disliked_0": torch.zeros(self.dim),
            "kappa": torch.tensor([1.0, 1.0, 5.0]),
            "gain": torch.tensor([0.5, -1.0]),
        }

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """Return the two prototypes and the task's shrunk mean value."""
        v = embed_at(prior, items, support.items)
        kappa = F.softplus(prior["kappa"])

        def center(start: Tensor, weights: Tensor, counts_for: Tensor) -> Tensor:
            weights = weights * support.is_real
            return (counts_for * start + (weights.unsqueeze(-1) * v).sum(1)) / (
                counts_for + weights.sum(-1, keepdim=True)
            )

        return {
            "liked": center(first_user(prior, support), F.relu(support.values), kappa[0]),
            "disliked": center(prior["disliked_0"], F.relu(-support.values), kappa[1]),
            "level": shrunk_mean(support.values, support.is_real, prior["kappa"][2]),
        }

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return scores: distances with learned gains, plus the prior score."""
        v = embed(prior, items)
        gain = F.softplus(prior["gain"])

        def distance(center: Tensor) -> Tensor:
            return v.square().sum(-1) - 2 * dot(center, v) + center.square().sum(-1, keepdim=True)

        offset = (
            params["level"]
            if self.objective == "rating"
            else prior_score(prior, items, self.objective)
        )
        return gain[1] * distance(params["disliked"]) - gain[0] * distance(params["liked"]) + offset
