"""New items without raters, scored by several learners at once, for many requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metarec.features.histories import Histories
from metarec.models.cold_items.model import AdaptedItems, NewItems
from metarec.models.few_shot.learners.ridge import RidgeLearner
from metarec.models.few_shot.towers import Trunks
from metarec.runtime.device import in_memory


@dataclass(frozen=True, kw_only=True)
class UnratedItems:
    """New items adapted once by each learner for all users. What is the same for all users, or for
    all learners (which share one value scale and the same texts), is computed once. Without raters
    a ridge's score is a product of two vectors, so one product serves all learners.
    """

    learners: Sequence[NewItems]
    """Ridge learners."""
    items: Sequence[AdaptedItems]
    """The adapted items of each learner."""

    @classmethod
    def of(
        cls, learners: Sequence[NewItems], content: np.ndarray, texts: np.ndarray | None = None
    ) -> UnratedItems:
        """Adapt each learner to items of `content` [items, C] and `texts` [items, E]."""
        return cls(learners=learners, items=[one.unrated(content, texts) for one in learners])

    def scores(self, users: Histories) -> np.ndarray:
        """[users, items] float32 sum over the learners of their weighted log-scores."""
        first = self.learners[0]
        likeness, (signs, extra) = (
            first.likeness(self.items[0].texts, users),
            first.event_weights(users),
        )
        described = np.concatenate([users.sums_of(self._factors, signs), extra], axis=1)
        vectors, fixed = self._products
        scores = self._trunks.embed(described) @ vectors
        scores += fixed
        for cosines, weight in zip(likeness, self._weights[:, 2:].sum(axis=0), strict=True):
            scores += weight * cosines.T
        return np.asarray(scores)

    @cached_property
    def _weights(self) -> np.ndarray:
        """[L, 4] weights of each learner for items without raters."""
        return np.stack([learner.weights[0] for learner in self.learners])

    @cached_property
    def _factors(self) -> np.ndarray:
        """[N, L x F] factors by which the learners describe users, side by side."""
        return np.concatenate([learner.factors for learner in self.learners], axis=1)

    @cached_property
    def _trunks(self) -> Trunks:
        """The learners' towers over descriptions, which end in two columns shared by all."""
        return Trunks.of([learner.prior for learner in self.learners], shared=2)

    @cached_property
    def _products(self) -> tuple[np.ndarray, np.ndarray]:
        """[L x dim, items] whose product with users' embeddings is the weighted sum of the
        learners' scores, and [items] the part that is the same for all users: levels, and expected
        likes directly and through the learners' own scores.
        """
        vectors, fixed = [], []
        for weight, learner, adapted in zip(self._weights, self.learners, self.items, strict=True):
            ridge = learner.inner
            assert isinstance(ridge, RidgeLearner), "others do not answer with a product"
            vector, level = map(in_memory, ridge.product(learner.prior, adapted.params))
            share = weight[1] + weight[0] * in_memory(learner.prior["trust"])
            vectors.append(weight[0] * vector.T)
            fixed.append(weight[0] * level + share * in_memory(adapted.params["expected"]))
        return np.concatenate(vectors), np.sum(fixed, axis=0)[:, 0]
