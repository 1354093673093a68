"""Siamese networks: a learned similarity of two items."""

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
    by_task,
    dot,
    embed,
    embed_at,
    first_user,
    level_of,
    new_trunk,
    prior_score,
)


@dataclass(frozen=True, kw_only=True)
class Siamese(Episodic):
    """Score an item by the values of the support events, each weighted by the item's similarity to
    the event's item: a sigmoid of a weighted L1 distance of embeddings by one tower.

    Koch et al. 2015, "Siamese neural networks for one-shot image recognition". Trained on the
    task's own loss instead of on pairs; the sum over events is divided by their number plus a
    learned constant.
    """

    name: str = "siamese"
    objective: Objective = "ranking"
    dim: int = setting(16, at_least=1)

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """Return an item tower, weights of the dimensions, a similarity threshold, and the gain and
        smoothing of the result.
        """
        return new_trunk(items, profile, self.dim, draw) | {
            "weights": torch.ones(self.dim),
            "threshold": torch.tensor(1.0),
            "gain": torch.tensor(1.0),
            "kappa": torch.tensor([1.0, 5.0]),
        }

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """Return the support's embeddings and the weight of each event: its centered value over the
        smoothed number of events.
        """
        level = level_of(support, prior["kappa"][1], self.objective)
        share = (
            (support.values - level)
            * support.is_real
            / (support.counts + F.softplus(prior["kappa"][0])).unsqueeze(-1)
        )
        return {
            "user": first_user(prior, support),
            "support": embed_at(prior, items, support.items),
            "shares": share,
            "level": level,
        }

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return scores: the sum of similarity times event weight, plus the prior score."""
        v = embed(prior, items)
        weights = F.softplus(prior["weights"])
        distance = torch.cdist(by_task(v) * weights, params["support"] * weights, p=1.0)
        scores = (
            torch.sigmoid(prior["threshold"] - distance) @ params["shares"].unsqueeze(-1)
        ).squeeze(-1)
        return (
            4 * F.softplus(prior["gain"]) * scores
            + dot(params["user"], v)
            + params["level"]
            + prior_score(prior, items, self.objective)
        )
