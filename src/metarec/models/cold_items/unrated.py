"""New items without raters, scored by several learners at once, for many requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from metarec.features.histories import Histories
from metarec.models.cold_items.model import AdaptedItems, NewItems
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.runtime.device import in_memory, on_device


@dataclass(frozen=True, kw_only=True)
class UnratedItems:
    """New items adapted once by each learner for all users. What is the same for all users, or for
    all learners (which share one value scale and the same texts), is computed once.
    """

    learners: Sequence[NewItems]
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
        likeness, (signs, extra) = first.likeness(self.items[0].texts, users), first.met(users)
        means = users.sums_of(self._factors, signs)
        total, width = self._fixed, first.factors.shape[1]
        with torch.no_grad():
            for place, (learner, own) in enumerate(zip(self.learners, self.items, strict=True)):
                mean = means[:, place * width : (place + 1) * width]
                asked = ItemFeatures.asked(on_device(np.concatenate([mean, extra], axis=1)))
                said = learner.inner.score(learner.prior, own.params, asked)
                total = torch.add(total, said, alpha=self._weights[place, 0])
        found = np.ascontiguousarray(in_memory(total).T)
        for cosines, weight in zip(likeness, self._weights[:, 2:].sum(axis=0), strict=True):
            found += weight * cosines.T
        return found

    @cached_property
    def _weights(self) -> np.ndarray:
        """[L, 4] weights of each learner for items without raters."""
        return np.stack([learner.weights[0] for learner in self.learners])

    @cached_property
    def _factors(self) -> np.ndarray:
        """[N, L x F] factors by which the learners describe users, side by side."""
        return np.concatenate([learner.factors for learner in self.learners], axis=1)

    @cached_property
    def _fixed(self) -> torch.Tensor:
        """[items, 1] contribution of expected likes to the sum, directly and through the learners'
        own scores.
        """
        parts = [
            float(weight[1] + weight[0] * in_memory(learner.prior["trust"]))
            * own.params["expected"]
            for weight, learner, own in zip(self._weights, self.learners, self.items, strict=True)
        ]
        return torch.stack(parts).sum(dim=0)
