"""Matching networks: attention from the item to similar support events."""

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
    level_of,
    new_trunk,
    prior_score,
    products,
)


@dataclass(frozen=True, kw_only=True)
class Matching(Episodic):
    """Score an item by the support's values, weighted by attention to similar events.

    Vinyals et al. 2016, arXiv:1606.04080, without full-context embeddings. Attention also has an
    empty slot of value 0 and a learned logit, so that the result is 0 without events and grows with
    the number of similar ones.
    """

    name: str = "matching"
    objective: Objective = "ranking"
    dim: int = setting(32, at_least=1)

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """Return an item tower, the sharpness of attention, the logit of the empty slot, and the
        gain and smoothing of the result.
        """
        return new_trunk(items, profile, self.dim, draw) | {
            "sharpness": torch.tensor(2.0),
            "empty": torch.tensor(3.0),
            "gain": torch.tensor(1.0),
            "kappa": torch.tensor(5.0),
        }

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """Return the support as keys (unit vectors) and centered values, and the user vector."""
        level = level_of(support, prior["kappa"], self.objective)
        return {
            "user": first_user(prior, support),
            "keys": F.normalize(embed_at(prior, items, support.items), dim=-1),
            "values": support.values - level,
            "is_real": support.is_real,
            "level": level,
        }

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """Return scores: attention over the support and the empty slot, plus the prior score."""
        v = embed(prior, items)
        pull = F.softplus(prior["sharpness"]) * products(F.normalize(v, dim=-1), params["keys"])
        pull = pull.masked_fill(~params["is_real"].unsqueeze(1), -torch.inf)
        total = torch.logaddexp(torch.logsumexp(pull, dim=-1), prior["empty"])
        scores = (torch.exp(pull - total.unsqueeze(-1)) * params["values"].unsqueeze(1)).sum(-1)
        return (
            F.softplus(prior["gain"]) * scores
            + dot(params["user"], v)
            + params["level"]
            + prior_score(prior, items, self.objective)
        )
