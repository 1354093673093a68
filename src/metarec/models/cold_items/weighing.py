"""What speaks for a cold item, weighed: the learner, expected likes, likeness."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from metarec.models.cold_items.config import ColdItemsConfig
from metarec.models.few_shot.functional import Params
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.learner import Learner, Objective, Prior, Question
from metarec.models.few_shot.tasks import Query, Support, TaskBatch
from metarec.runtime.device import in_memory, on_device


@dataclass(frozen=True, kw_only=True)
class ComparesItems:
    """A learner whose tasks are items: its loss is a softmax over the batch's items for each
    user.
    """

    inner: Learner

    @property
    def name(self) -> str:
        """Of the learner inside."""
        return f"new items, {self.inner.name}"

    @property
    def objective(self) -> Objective:
        """New items are ranked."""
        return "ranking"

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """With the trust in expected likes."""
        return self.inner.init(items, profile, draw) | {"trust": torch.tensor(0.5)}

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """With the expected likes of each item, the last column of its content."""
        assert support.profile is not None, "an item's content is its profile"
        return self.inner.adapt(prior, support, items) | {"expected": support.profile[:, -1:]}

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """With expected likes, by how far they are trusted."""
        return self.inner.score(prior, params, items) + prior["trust"] * params["expected"]

    def loss(
        self,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """Over the items of a batch, for each user."""
        scores = self.score(prior, self.adapt(prior, batch.support, items), question.items)
        return between_items_loss(scores, question.query)


LEARNER_ALONE = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)


def weighed(
    parts: Sequence[Tensor], raters: Tensor, weights: Tensor, confident_at: float
) -> Tensor:
    """[items, users] sum of four parts, each [items, users] or [items, 1], weighed by how many
    raters each item [items] has; `confident_at` of them move it half way.
    """
    weight_PI1 = weights[0, :, None, None]  # the same for all items
    if raters.any():
        confidence = (raters / (raters + confident_at)).to(weights.dtype)
        weight_PI1 = weight_PI1 + weights[1, :, None, None] * confidence[:, None]
    total = weight_PI1[0] * parts[0]
    for weight, part in zip(weight_PI1[1:], parts[1:], strict=True):
        total = torch.addcmul(total, weight, part)
    return total


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Items no meta-batch holds, each with the raters it shows, and some users who liked one."""

    support: Support
    query: Query
    users: ItemFeatures
    """Described without these items."""
    test_users: Tensor
    """[J] rows of `users`."""
    likeness: Tensor
    """[2, items, J]"""
    config: ColdItemsConfig

    def loss(self, learner: Learner, prior: Prior) -> Tensor:
        """The outer loss of the learner alone, in nats."""
        return between_items_loss(self._parts(learner, prior)[0], self.query)

    def weigh(self, learner: Learner, prior: Prior) -> np.ndarray:
        """The weights that lose least on these items."""
        raters = self.support.is_real.sum(-1)
        return best_weights(self._parts(learner, prior), raters, self.query, self.config)

    def _parts(self, learner: Learner, prior: Prior) -> Tensor:
        with torch.no_grad():
            params = learner.adapt(prior, self.support, self.users)
            scores = learner.score(prior, params, self.users.take(self.test_users))
        return torch.cat(
            [torch.stack([scores, params["expected"].expand_as(scores)]), self.likeness]
        )


def best_weights(
    parts: Tensor, raters: Tensor, query: Query, config: ColdItemsConfig
) -> np.ndarray:
    """[2, 4] weights of parts [4, items, users] that lose least by `between_items_loss`, which is
    convex in them.
    """
    scale = (
        (parts - parts.mean(1, keepdim=True))
        .square()
        .mean((1, 2), keepdim=True)
        .sqrt()
        .clamp(min=1e-6)
    )
    start = on_device(LEARNER_ALONE).to(parts.dtype) * scale[0, 0, 0]
    weights = start.clone().requires_grad_()
    search = torch.optim.LBFGS([weights], max_iter=50, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        lost = (
            between_items_loss(
                weighed([*(parts / scale)], raters, weights, config.confident_at), query
            )
            + config.shrinkage * (weights - start).square().sum()
        )
        lost.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return lost

    search.step(loss)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return in_memory(weights / scale.squeeze()).astype(np.float32)


def between_items_loss(scores: Tensor, query: Query) -> Tensor:
    """Softmax over the items of a batch for each user, a mean over all (item, user) pairs that
    were liked, in nats.

    Args:
        scores: [items, users].
        query: for each item, who liked it; a pair that is no candidate (a rater shown) takes no
            part.
    """
    shown = (
        scores
        if query.is_candidate is None
        else scores.masked_fill(~query.is_candidate, -torch.inf)
    )
    surprise = torch.logsumexp(shown, dim=0)[query.items] - scores.gather(1, query.items)
    return torch.where(
        query.is_real, surprise, torch.zeros_like(surprise)
    ).sum() / query.is_real.sum().clamp(min=1)
