"""metarec's own recommender, judged like any other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from metarec.data.newcomers import Horizon, Newcomer
from metarec.data.schema import Dataset, Vocabulary
from metarec.evaluation.baselines.tuned import fitted
from metarec.recommendation.slate import Request
from metarec.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from metarec.recommender import Recommender


@dataclass(kw_only=True)
class OwnRecommender:
    """`Recommender.fit` in the shape that evaluation judges."""

    name: str = "metarec"
    preset: str = "small"
    encoder: str = "auto"
    learner: str | None = None
    item_template: str | None = None
    person_template: str | None = None
    horizon: Horizon | None = None
    """Numbers of events to learn for; chosen from the training data where None."""
    progress: Progress = silent
    model: Recommender | None = field(default=None, init=False)

    # It sets newcomers of its own aside
    def fit(self, train: Dataset, validation: list[Newcomer], rng: np.random.Generator) -> None:  # noqa: ARG002
        """Learn from `train` alone: `Recommender.fit` chooses its settings by training people of
        its own.
        """
        from metarec.recommender import Recommender

        self.model = Recommender.fit(
            train,
            preset=self.preset,
            seed=int(rng.integers(2**31)),
            encoder=self.encoder,
            learner=self.learner,
            item_template=self.item_template,
            person_template=self.person_template,
            horizon=self.horizon,
            progress=self.progress,
        )

    @property
    def is_default(self) -> bool:
        """Whether this is what `fit` makes when it is told nothing."""
        from metarec.recommender import Settings

        ours = (self.preset, self.encoder, self.learner, self.item_template)
        return ours == (Settings.preset, Settings.encoder, Settings.learner, Settings.item_template)

    @property
    def settings(self) -> dict[str, Any]:
        """How it was fitted."""
        inputs = fitted(self.name, self.model).item_inputs
        return {
            "preset": self.preset,
            "encoder": inputs.encoder.name,
            "encoder_reason": inputs.reason,
        }

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.model).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, log-scores."""
        return fitted(self.name, self.model).score(requests)

    def rate(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predicted values on the data's scale."""
        return fitted(self.name, self.model).rate(requests, item_ids)

    def rate_spread(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predictive standard deviations."""
        return fitted(self.name, self.model).rate_spread(requests, item_ids)


@dataclass(kw_only=True)
class SavedRecommender(OwnRecommender):
    """A recommender fitted earlier, judged as it is; the training people given must be those it
    learned from.
    """

    model: Recommender | None

    def fit(self, train: Dataset, validation: list[Newcomer], rng: np.random.Generator) -> None:
        """Nothing: it has learned what it will."""
