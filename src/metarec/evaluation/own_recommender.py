"""metarec's `Recommender` in the interface of evaluation, fitted anew or saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from metarec.data.cold_users import ColdUser, Horizon
from metarec.data.dataset import Dataset
from metarec.data.schema import Vocabulary
from metarec.evaluation.baselines.tuned import fitted
from metarec.recommendation.slate import Request
from metarec.runtime.progress import Progress, silent

if TYPE_CHECKING:
    from metarec.recommender import Recommender


@dataclass(kw_only=True)
class OwnRecommender:
    """`Recommender.fit` in the interface of evaluation."""

    name: str = "metarec"
    preset: str = "small"
    encoder: str = "auto"
    learner: str | None = None
    item_template: str | None = None
    user_template: str | None = None
    horizon: Horizon | None = None
    """Numbers of events to learn for; chosen from the training data where None."""
    prior: Recommender | None = None
    """A model fitted on other data that this one starts from."""
    progress: Progress = silent
    model: Recommender | None = field(default=None, init=False)

    def fit(
        self,
        train: Dataset,
        validation: list[ColdUser],  # noqa: ARG002  # unused: fit holds out its own users
        rng: np.random.Generator,
    ) -> None:
        """Learn from `train` alone: `Recommender.fit` chooses its settings on its own holdout of
        training users.
        """
        from metarec.recommender import Recommender

        self.model = Recommender.fit(
            train,
            preset=self.preset,
            seed=int(rng.integers(2**31)),
            encoder=self.encoder,
            learner=self.learner,
            item_template=self.item_template,
            user_template=self.user_template,
            horizon=self.horizon,
            prior=self.prior,
            progress=self.progress,
        )

    @property
    def is_default(self) -> bool:
        """Whether it fits as `metarec fit` does by default; what it learns for follows the
        protocol.
        """
        plain = OwnRecommender(name=self.name, horizon=self.horizon, progress=self.progress)
        return replace(self) == plain

    @property
    def settings(self) -> dict[str, Any]:
        """Preset, encoder and the reason for the encoder."""
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

    def rate_std(
        self, requests: Sequence[Request], item_ids: Sequence[Sequence[str]]
    ) -> list[np.ndarray]:
        """Predictive standard deviations."""
        return fitted(self.name, self.model).rate_std(requests, item_ids)


@dataclass(kw_only=True)
class SavedRecommender(OwnRecommender):
    """A recommender fitted earlier and evaluated without fitting; the training users given must be
    those it was fitted on.
    """

    model: Recommender | None

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Do nothing: the model is already fitted."""
