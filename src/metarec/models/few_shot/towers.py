"""Parts shared by the learners without gradient steps: an item tower and a prior score.

Before any event, the score of item j is `scale * bias_j + v_j . u_0`, where `u_0` is predicted from
the user's profile; learners add what they infer from the support.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from scipy.linalg import block_diag
from torch import Tensor
from torch.nn import functional as F

from metarec.models.few_shot.functional import Params, linear, new_linear, weight_of
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import Objective, noise_of
from metarec.models.few_shot.tasks import Support
from metarec.runtime.device import in_memory

TOWER = "item."
"""Prefix of the names of the item tower's weights."""


def new_trunk(items: ItemFeatures, profile: int, dim: int, draw: torch.Generator) -> Params:
    """Return untrained weights; the non-linear part starts at zero, so that an initial embedding is
    a linear projection.
    """
    params = new_linear("item.0", items.width, dim, draw, bias=False) | new_linear(
        "item.1", items.width, dim, draw
    )
    params |= {
        "item.2.weight": torch.zeros(dim, dim),
        "bias_scale": torch.ones(1),
        "user_0": torch.zeros(dim),
    }
    return params | ({"profile.weight": torch.zeros(profile, dim)} if profile else {})


def embed(prior: Params, items: ItemFeatures) -> Tensor:
    """Return embeddings [N, dim]: a projection of the columns plus one hidden layer.

    [B, N, dim] where tasks have items, or weights, of their own.
    """
    if items.embedded is not None:
        return items.embedded
    columns = by_task(items.columns)
    v = linear(prior, "item.0", columns) + linear(
        prior, "item.2", F.relu(linear(prior, "item.1", columns))
    )
    return v.squeeze(0) if items.columns.ndim == 2 and len(v) == 1 else v


def embed_at(prior: Params, items: ItemFeatures, rows: Tensor) -> Tensor:
    """Return embeddings [B, Q, dim] of the items at indexes `rows` [B, Q]."""
    return embed(prior, items.take(rows)) if items.embedded is None else items.embedded[rows]


@dataclass(frozen=True, kw_only=True)
class Trunks:
    """The item towers of L priors side by side, as NumPy arrays: for few rows, starting each layer
    costs more than computing it.
    """

    first: Float[np.ndarray, "columns outputs"]
    """[D, 2 L dim] weights of the projections, then of the hidden layers."""
    bias: Float[np.ndarray, "hidden"]
    """[L dim] bias of the hidden layers."""
    last: Float[np.ndarray, "hidden dims"]
    """[L dim, L dim] weights from the hidden layers to the embeddings."""

    @classmethod
    def of(cls, priors: Sequence[Params], shared: int) -> Self:
        """For inputs that hold each prior's own columns side by side, then once the last `shared`
        columns (1 or more), which all priors read.
        """

        def weights(name: str) -> list[np.ndarray]:
            return [in_memory(prior[name]) for prior in priors]

        def layer(name: str) -> np.ndarray:
            blocks = block_diag(*(weight[:-shared] for weight in weights(name)))
            return np.vstack([blocks, np.hstack([weight[-shared:] for weight in weights(name)])])

        return cls(
            first=np.hstack([layer("item.0.weight"), layer("item.1.weight")]),
            bias=np.hstack(weights("item.1.bias")),
            last=block_diag(*weights("item.2.weight")),
        )

    def embed(self, columns: Float[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows dims"]:
        """[B, L dim] embeddings under each prior, side by side, as `embed` computes them."""
        projected, hidden = np.split(columns @ self.first, 2, axis=1)
        return np.asarray(projected + np.maximum(hidden + self.bias, 0.0) @ self.last)


def by_task(columns: Tensor) -> Tensor:
    """Return columns [B, N, D] unchanged, and [N, D] as [1, N, D]: rows that all tasks share."""
    return columns if columns.ndim == 3 else columns.unsqueeze(0)


def first_user(prior: Params, support: Support) -> Tensor:
    """Return each task's user vector [B, dim] before any event."""
    user = prior["user_0"].expand(len(support), -1)
    if support.profile is not None and weight_of(prior, "profile") is not None:
        user = user + linear(prior, "profile", support.profile.to(user.dtype).unsqueeze(1)).squeeze(
            1
        )
    return user


def dot(user: Tensor, v: Tensor) -> Tensor:
    """Return dot products [B, N] of `user` [B, dim] with items that all tasks share, [N, dim], or
    with each task's own, [B, Q, dim].
    """
    return user @ v.T if v.ndim == 2 else (v @ user.unsqueeze(-1)).squeeze(-1)


def prior_score(prior: Params, items: ItemFeatures, objective: Objective) -> Tensor | float:
    """Return the score [N] or [B, N] of items before the user is known: scaled log popularity for
    ranking; 0 for ratings, whose item mean is subtracted already.
    """
    return prior["bias_scale"] * items.bias if objective == "ranking" else 0.0


def score_of_mean(prior: Params, mean: Tensor, items: ItemFeatures, objective: Objective) -> Tensor:
    """Return scores [B, N] from a posterior mean: for ratings the mean; for ranking a log-score,
    the mean times a learned gain plus the prior score.
    """
    if objective == "rating":
        return mean
    return prior["gain"] * mean + prior_score(prior, items, objective)


def spread_of(prior: Params, variance: Tensor, objective: Objective) -> Tensor:
    """Return the standard deviation [B, N] of `score_of_mean`, from the posterior variance; for
    ratings that of a new value, noise included.
    """
    if objective == "rating":
        return (variance + noise_of(prior)).sqrt()
    return prior["gain"].abs() * variance.sqrt()


def products(v: Tensor, support_v: Tensor) -> Tensor:
    """Return dot products [B, N, S] of items, [N, dim] or [B, Q, dim], with each task's support,
    [B, S, dim].
    """
    if v.ndim == 3:
        return v @ support_v.transpose(-1, -2)
    return (v @ support_v.flatten(0, 1).T).view(len(v), *support_v.shape[:2]).transpose(0, 1)


def shrunk_mean(values: Tensor, is_real: Tensor, kappa: Tensor) -> Tensor:
    """Return the shrunk mean [B, 1] of each task's values: their sum over their number plus
    `softplus(kappa)`, which is 0 without events.
    """
    return ((values * is_real).sum(-1) / (is_real.sum(-1) + F.softplus(kappa))).unsqueeze(-1)


def level_of(support: Support, kappa: Tensor, objective: Objective) -> Tensor:
    """Return the shrunk mean value [B, 1] of each task for ratings; 0 for ranking."""
    if objective == "ranking":
        return support.values.new_zeros(len(support), 1)
    return shrunk_mean(support.values, support.is_real, kappa)


def regression_targets(prior: Params, support: Support, objective: Objective) -> Tensor:
    """Return the regression targets [B, S]: values for ratings, and for ranking a learned linear
    function of liking.
    """
    if objective == "rating":
        return support.values
    return prior["worth"][0] + prior["worth"][1] * support.values
