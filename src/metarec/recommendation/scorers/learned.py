"""Any meta-learner as an expert of the gate: the softmax of its log-scores is the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.metalearning.fitted import FittedLearner
from metarec.metalearning.tasks import NobodyToAsk


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Evidence = chance of each item to be liked next, as one meta-learner has it after the
    support.
    """

    method: ClassVar[str]
    """Name of the meta-learner, set by `learned`."""
    learner: FittedLearner

    @classmethod
    def fit(cls, behaviour: Behaviour, rng: np.random.Generator) -> Learned:
        """Meta-train it to rank, on the training users as newcomers."""
        try:
            return cls(learner=FittedLearner.fit(behaviour, rng, name=cls.method))
        except NobodyToAsk:  # in a fold of a handful of people; the gate sees what that is worth
            return cls(learner=FittedLearner.untrained(behaviour, rng, name=cls.method))

    def evidence(
        self, support: Histories, profiles: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        """[B, N]."""
        return self.learner.evidence(support, profiles, out)

    # It predicts popularity itself
    def with_content(self, content: np.ndarray, popularity: np.ndarray) -> Learned:
        """New items are their content, and the factors and popularity that such content
        predicts.
        """
        return replace(self, learner=self.learner.with_items(content))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return self.learner.arrays()

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Learned:
        """From `arrays()`."""
        return cls(learner=FittedLearner.from_arrays(arrays))


def learned(name: str) -> type[Learned]:
    """The scorer that meta-trains the learner called `name`."""
    return type(f"Learned[{name}]", (Learned,), {"method": name})
