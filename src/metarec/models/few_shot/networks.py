"""Bodies: the models that gradient-based learners adapt, as plain functions of parameters that may
be stacked by task.

Each scores the support and the anchors (for the inner loss), keeps what later scoring needs of the
support, and scores items.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional as F

from metarec.models.config import setting
from metarec.models.few_shot.functional import Params, linear, new_linear, row, weight_of
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.tasks import Support
from metarec.models.few_shot.towers import by_task, dot, embed, first_user, new_trunk


@runtime_checkable
class Body(Protocol):
    """A model that scores items for one task."""

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Params:
        """Return untrained parameters."""
        ...

    def support_scores(
        self, params: Params, support: Support, items: ItemFeatures
    ) -> tuple[Tensor, Tensor]:
        """Return scores of the support [B, S] and of the anchors [B, M]."""
        ...

    def keep(self, params: Params, support: Support, items: ItemFeatures) -> Params:
        """Return what `score` needs beside adapted parameters, from the support; leading axis B."""
        ...

    def score(self, params: Params, items: ItemFeatures) -> Tensor:
        """Return scores [B, N], without item popularity."""
        ...


def _both_scores(
    body: Body, params: Params, support: Support, items: ItemFeatures
) -> tuple[Tensor, Tensor]:
    """Return the scores of the support and of the anchors by the body's own `keep` and `score`."""
    merged = params | body.keep(params, support, items)
    rows = items.take(support.items), items.take(items.anchors)
    scores, anchors = (body.score(merged, some) for some in rows)
    return scores, anchors


@dataclass(frozen=True, kw_only=True)
class MLPBody:
    """Item columns and user profile, concatenated, through ReLU layers to a score (MeLU,
    arXiv:1908.00413).
    """

    hidden: tuple[int, ...] = (64, 64)
    context: int = setting(0, at_least=0)
    """Width of a context vector that starts at zero and may be all that adapts (CAVIA)."""
    embed: int = 0
    """Width of linear embeddings of columns and profile, as of MeLU's attributes; 0 for none."""

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Params:
        """Return weights of the embeddings and layers, and a context of zero."""
        width, profile_width = (
            (self.embed, self.embed if profile else 0) if self.embed else (items.width, profile)
        )
        params = MLPHead(
            width=width, hidden=self.hidden, context=profile_width + self.context
        ).init(draw)
        if self.embed:
            params |= new_linear("embed", items.width, self.embed, draw, bias=False)
            params |= (
                new_linear("embed_profile", profile, self.embed, draw, bias=False)
                if profile
                else {}
            )
        return params | ({"context": torch.zeros(self.context)} if self.context else {})

    def support_scores(
        self, params: Params, support: Support, items: ItemFeatures
    ) -> tuple[Tensor, Tensor]:
        """One pass over each task's support, one over the anchors."""
        return _both_scores(self, params, support, items)

    def keep(self, params: Params, support: Support, items: ItemFeatures) -> Params:
        """Return the profile, embedded where embeddings are used; an unknown one is all zeros."""
        reader = weight_of(params, "embed_profile" if self.embed else "context_in")
        width = 0 if reader is None else reader.shape[-2] - (0 if self.embed else self.context)
        if not width:
            return {}
        profile = (
            items.columns.new_zeros(len(support), width)
            if support.profile is None
            else support.profile.to(items.columns.dtype)
        )
        return {
            "profile": linear(params, "embed_profile", profile.unsqueeze(1)).squeeze(1)
            if self.embed
            else profile
        }

    def score(self, params: Params, items: ItemFeatures) -> Tensor:
        """Return the output of the layers for each item."""
        columns = by_task(items.columns)
        columns = linear(params, "embed", columns) if self.embed else columns
        head = MLPHead(width=columns.shape[-1], hidden=self.hidden)
        parts = [params[name] for name in ("profile", "context") if name in params]
        if not parts:
            return head(params, columns)
        tasks = max(len(part) for part in parts if part.ndim == 2)
        return head(
            params,
            columns,
            torch.cat([part.expand(tasks, part.shape[-1]) for part in parts], dim=-1),
        )


@dataclass(frozen=True, kw_only=True)
class TwoTowerBody:
    """User vector and item tower: the score is `W_r [u * v_j]`, a product weighted by dimension."""

    dim: int = 32
    sigmoid: bool = False
    """Pass scores through a sigmoid, for values in [0, 1]."""

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Params:
        """Return an item tower, an initial user vector, and equal weights of its dimensions."""
        return new_trunk(items, profile, self.dim, draw) | {
            "relation": torch.ones(self.dim),
            "offset": torch.zeros(1),
        }

    def support_scores(
        self, params: Params, support: Support, items: ItemFeatures
    ) -> tuple[Tensor, Tensor]:
        """One pass over each task's support, one over the anchors."""
        return _both_scores(self, params, support, items)

    # The protocol's signature
    def keep(self, params: Params, support: Support, items: ItemFeatures) -> Params:
        """Return the user vector: the adapted vector plus a linear map of the profile."""
        return {"user": first_user(params, support)}

    def score(self, params: Params, items: ItemFeatures) -> Tensor:
        """Return the weighted products plus the task's offset."""
        score = dot(params["user"] * params["relation"], embed(params, items)) + params["offset"]
        return torch.sigmoid(score) if self.sigmoid else score


@dataclass(frozen=True, kw_only=True)
class MLPHead:
    """ReLU layers from a row to one number, as the decision layers of MeLU (arXiv:1908.00413).

    A `context` of the task (its profile, or a vector that adapts) enters the first layer, which is
    equivalent to concatenating it to every row.
    """

    width: int
    hidden: tuple[int, ...] = (64, 64)
    context: int = 0

    def init(self, draw: torch.Generator) -> Params:
        """Return new weights."""
        widths = (self.width, *self.hidden)
        params: Params = {}
        for place in range(len(self.hidden)):
            params |= new_linear(f"mlp.{place}", widths[place], widths[place + 1], draw)
        if self.context:
            params |= new_linear("context_in", self.context, widths[1], draw, bias=False)
        return params | new_linear("out", widths[-1], 1, draw)

    def __call__(self, params: Params, x_BTD: Tensor, context_BC: Tensor | None = None) -> Tensor:
        """Return scores [B, T]; x may have a leading 1 for rows that all tasks share."""
        for place in range(len(self.hidden)):
            x_BTD = linear(params, f"mlp.{place}", x_BTD)
            if place == 0 and context_BC is not None:
                x_BTD = x_BTD + linear(params, "context_in", row(context_BC))
            x_BTD = F.relu(x_BTD)
        return linear(params, "out", x_BTD).squeeze(-1)
