"""Profile model: a ridge regression from profile columns to everything a user liked after the
support pool; it works before the first event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.config import ModelConfig, setting


@dataclass(frozen=True, kw_only=True)
class ProfileConfig(ModelConfig):
    """Hyper-parameters of the profile ridge."""

    regularization: float = setting(100.0, above=0, search_range=(10, 1000))
    """L2 penalty, as a number of users, that shrinks predictions towards the average user (above
    0).
    """


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Evidence = expected share of users with this profile who will like each item, cut at zero; no
    evidence without a profile.
    """

    mean: np.ndarray
    """[N] float32 share of training users who liked each item after their support pool."""
    middle: np.ndarray
    """[P] float32 mean of the profile columns over the training users."""
    weights: np.ndarray
    """[P, N] float32 regression weights."""
    config: ProfileConfig = ProfileConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"profile"})

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: ProfileConfig | None = None
    ) -> Profile:
        """Solve one ridge regression over the training users who have events after their support
        pool.
        """
        config = config or cls.config
        users = np.flatnonzero(behavior.pools < behavior.histories.lengths)
        targets = behavior.targets.users(users).matrix(behavior.n_items)
        profiles = behavior.profiles[users]
        mean = behavior.mean_over(users, targets)
        middle = behavior.mean_over(users, profiles)
        centered = profiles - middle
        weighted = (
            centered if behavior.weights is None else behavior.weights_of(users)[:, None] * centered
        )
        eye = np.eye(profiles.shape[1], dtype=np.float32)
        gram = weighted.T @ centered + config.regularization * eye
        # Centered columns are orthogonal to a constant, so the targets need no centering of their
        # own.
        weights = np.linalg.solve(gram, np.asarray(targets.T @ weighted).T)
        return cls(
            mean=mean,
            middle=middle.astype(np.float32),
            weights=weights.astype(np.float32),
            config=config,
        )

    def evidence(
        self, users: UserBatch, out: Float[np.ndarray, "users items"] | None = None
    ) -> Float[np.ndarray, "users items"]:
        """[B, N] evidence for every item; zero for a user without a known profile column."""
        support, profiles = users.support, users.profiles
        out = np.empty((len(support), len(self.mean)), np.float32) if out is None else out
        is_known = profiles.any(axis=1)
        if not is_known.any():
            out[...] = 0.0
            return out
        np.matmul(profiles - self.middle, self.weights, out=out)
        out += self.mean
        np.maximum(out, 0.0, out=out)
        out[~is_known] = 0.0
        return out

    def evidence_of(
        self, users: UserBatch, items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] evidence for the given items."""
        evidence = np.zeros((len(users), len(items)), np.float32)
        rows = np.flatnonzero(users.profiles.any(axis=1))
        if len(rows):
            centered = users.profiles[rows] - self.middle
            evidence[rows] = np.maximum(centered @ self.weights[:, items] + self.mean[items], 0.0)
        return evidence

    def vectors_of(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some dim"]:
        """[I, P] regression weights of the given items."""
        return self.weights[:, items].T

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Profile:
        """Return the model for a larger catalog; new items have no evidence."""
        more = len(content) - len(self.mean)
        return replace(
            self,
            mean=np.pad(self.mean, (0, more)),
            weights=np.pad(self.weights, ((0, 0), (0, more))),
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Mean, center and weights."""
        return {"mean": self.mean, "middle": self.middle, "weights": self.weights}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: ProfileConfig | None = None
    ) -> Profile:
        """Restore the model from `arrays()`."""
        return cls(
            mean=arrays["mean"],
            middle=arrays["middle"],
            weights=arrays["weights"],
            config=config or cls.config,
        )
