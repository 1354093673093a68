"""Fitting of the prior means of the Gaussian process of `models/rating/head.py`: from a user's
profile, and from which items a user rated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from metarec.features.behavior import Behavior
from metarec.models.rating.choice import CLEAR, ChoicePrior, moments_of, vectors_of
from metarec.models.rating.kernel import RatingConfig
from metarec.models.rating.profile import ProfileEquations, ProfilePrior


@dataclass(frozen=True, kw_only=True)
class Pulls:
    """Ridge penalties of the profile prior and of the choice prior; None: it is not used."""

    profile: float | None
    choices: float | None


@dataclass(frozen=True, kw_only=True)
class PriorTraining:
    """Training users of the priors, with what both fits share, computed once."""

    behavior: Behavior
    equations: ProfileEquations
    """Equations from the users' profiles to their weights."""
    item_bias: np.ndarray
    """[N] float32 item offsets, in steps."""
    config: RatingConfig

    def best_pulls(self) -> Pulls:
        """Choose the ridge penalties by cross-fitting between halves of the users; None where
        nothing is clearly gained, or where nobody has a profile.
        """
        pull = None
        if self.behavior.profiles.any():
            pull = self.equations.best_pull(self.config.profile_regularization)
        choices = self._of_choices(self._profile(pull))
        return Pulls(
            profile=pull, choices=choices.best_pull(self.config.choice_regularization, CLEAR)
        )

    def fitted(self, pulls: Pulls) -> tuple[ProfilePrior, ChoicePrior]:
        """Return the profile prior and the choice prior of these users."""
        profile = self._profile(pulls.profile)
        if pulls.choices is None:
            return profile, ChoicePrior.nothing()
        choices = ChoicePrior.fit(
            self._of_choices(profile),
            self._vectors,
            self.behavior.histories,
            self.behavior.horizon.support_sizes,
            pulls.choices,
        )
        return profile, choices

    def _profile(self, pull: float | None) -> ProfilePrior:
        return ProfilePrior.nothing() if pull is None else ProfilePrior.fit(self.equations, pull)

    def _of_choices(self, profile: ProfilePrior) -> ProfileEquations:
        """Return the equations from the users' choices to what the profile prior leaves."""
        start = profile.of(self.behavior.profiles, len(self.behavior.histories))
        return self.equations.beside(start).along(self._moments)

    @cached_property
    def _vectors(self) -> np.ndarray:
        rng = np.random.default_rng(0)  # the decomposition converges, whatever the seed
        dim = self.config.choice_directions
        return vectors_of(self.behavior.histories, self.item_bias, dim, rng)

    @cached_property
    def _moments(self) -> list[np.ndarray]:
        return moments_of(self._vectors, self.behavior)
