"""Weights of the score components of a cold item: the learner's score, expected likes, and
similarity.
"""

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
    """A learner whose tasks are items; its loss is a softmax over the items of a batch for each
    user.
    """

    inner: Learner

    @property
    def name(self) -> str:
        """Name that includes the inner learner's."""
        return f"new items, {self.inner.name}"

    @property
    def objective(self) -> Objective:
        """The objective: new items are ranked."""
        return "ranking"

    def init(self, items: ItemFeatures, profile: int, draw: torch.Generator) -> Prior:
        """The inner learner's prior, and the weight of expected likes."""
        return self.inner.init(items, profile, draw) | {"trust": torch.tensor(0.5)}

    def adapt(self, prior: Prior, support: Support, items: ItemFeatures) -> Params:
        """The inner learner's parameters, and the expected likes of each item (the last column of
        its content).
        """
        assert support.profile is not None, "an item's content is its profile"
        return self.inner.adapt(prior, support, items) | {"expected": support.profile[:, -1:]}

    def score(self, prior: Prior, params: Params, items: ItemFeatures) -> Tensor:
        """The inner learner's score plus weighted expected likes."""
        return self.inner.score(prior, params, items) + prior["trust"] * params["expected"]

    def loss(
        self,
        prior: Prior,
        batch: TaskBatch,
        question: Question,
        items: ItemFeatures,
        draw: torch.Generator,
    ) -> Tensor:
        """Softmax loss over the items of the batch for each user."""
        scores = self.score(prior, self.adapt(prior, batch.support, items), question.items)
        return between_items_loss(scores, question.query)


LEARNER_ALONE = np.array([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]], np.float32)
"""[2, 4] weights that use the learner's score only."""


def weighed(
    parts: Sequence[Tensor], raters: Tensor, weights: Tensor, confident_at: float
) -> Tensor:
    """[items, users] weighted sum of four components, each [items, users] or [items, 1]. The
    weights move with the number of raters [items] of an item, half way at `confident_at` of them.
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
    """Items held out of all meta-batches, each with its support of raters, and some users who liked
    one.
    """

    support: Support
    query: Query
    users: ItemFeatures
    """Users described without these items."""
    test_users: Tensor
    """[J] rows of `users` for whom the items are ranked."""
    likeness: Tensor
    """[2, items, J] similarities, see `NewItems.likeness`."""
    config: ColdItemsConfig

    def loss(self, learner: Learner, prior: Prior) -> Tensor:
        """Outer loss of the learner alone, in nats."""
        return between_items_loss(self._parts(learner, prior)[0], self.query)

    def weigh(self, learner: Learner, prior: Prior) -> np.ndarray:
        """The weights of the components with the smallest loss on these items."""
        raters = self.support.is_real.sum(-1)
        return best_weights(self._parts(learner, prior), raters, self.query, self.config)

    def _parts(self, learner: Learner, prior: Prior) -> Tensor:
        """[4, items, J] score components of the held-out items."""
        with torch.no_grad():
            params = learner.adapt(prior, self.support, self.users)
            scores = learner.score(prior, params, self.users.take(self.test_users))
        return torch.cat(
            [torch.stack([scores, params["expected"].expand_as(scores)]), self.likeness]
        )


def best_weights(
    parts: Tensor, raters: Tensor, query: Query, config: ColdItemsConfig
) -> np.ndarray:
    """[2, 4] weights of components [4, items, users] with the smallest `between_items_loss`, which
    is convex in them, plus the L2 penalty `shrinkage`.
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
    """Softmax cross-entropy over the items of a batch for each user, averaged over all liked (item,
    user) pairs, in nats.

    Args:
        scores: [items, users].
        query: for each item, who liked it; a pair that is no candidate (a rater in the support) is
            left out.
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
