"""Content-based scoring: items similar to those a user liked. It also reaches items without any
event.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.base import by_columns
from metarec.models.config import ModelConfig, setting
from metarec.runtime.rows import products_of, rows_of, with_rows
from metarec.runtime.scratch import column_pieces


@dataclass(frozen=True, kw_only=True)
class ContentConfig(ModelConfig):
    """Hyper-parameters of content."""

    sharpness: float = setting(6.0, at_least=0, search_range=(1, 20))
    """Evidence grows as exp(sharpness x cosine); 0 or more."""
    disliked: float = setting(-0.5, at_least=-1, at_most=1)
    """Weight of a disliked event beside 1 for a liked one, in [-1, 1]: below 0, items similar to
    disliked ones score lower.
    """


@dataclass(frozen=True, kw_only=True)
class Content:
    """Evidence = popularity x exp(sharpness x cosine to the signed mean of the support)."""

    directions: np.ndarray
    """[N, C] float32 content vectors of unit length (0 where nothing is known)."""
    popularity: np.ndarray
    """[N] float32 share of all liked events, smoothed."""
    relevant_from: float
    """Value from which an event counts as liked."""
    config: ContentConfig = ContentConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"item", "rating", "strength"})

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: ContentConfig | None = None
    ) -> Content:
        """Normalize the content and count popularity; nothing else is learned."""
        liked = behavior.histories.where(behavior.is_liked(behavior.histories))
        counts = np.bincount(liked.items, behavior.weights_of(liked.owners), behavior.n_items) + 0.5
        return cls(
            directions=directions_of(behavior.content),
            popularity=(counts / counts.sum()).astype(np.float32),
            relevant_from=behavior.relevant_from,
            config=config or cls.config,
        )

    def evidence(
        self, users: UserBatch, out: Float[np.ndarray, "users items"] | None = None
    ) -> Float[np.ndarray, "users items"]:
        """[B, N] evidence for every item; zero for a user without support."""
        taste, norms = self._taste(users)
        scaled_taste = self.config.sharpness * taste / np.maximum(norms, 1e-6)
        out = np.empty((len(users), len(self.directions)), np.float32) if out is None else out
        for piece in column_pieces(*out.shape):
            evidence = np.matmul(scaled_taste, self._columns[:, piece], out=out[:, piece])
            np.exp(evidence, out=evidence)
            evidence *= self.popularity[piece]
        out[norms[:, 0] <= 1e-6] = 0.0
        return out

    def evidence_of(
        self, users: UserBatch, items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] evidence for the given items."""
        taste, norms = self._taste(users)
        scaled_taste = self.config.sharpness * taste / np.maximum(norms, 1e-6)
        evidence = np.exp(products_of(scaled_taste, self.directions, items)) * rows_of(
            self.popularity, items
        )
        evidence[norms[:, 0] <= 1e-6] = 0.0
        return np.asarray(evidence, np.float32)

    def vectors_of(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some dim"]:
        """[I, C] unit content vectors of the given items."""
        return np.asarray(self.directions[items])

    def fit_of(self, users: UserBatch, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """[B, I] how well the given items fit each user, on the scale of log-scores and independent
        of popularity; and [B] whether the fit is known, which takes a support.
        """
        taste, norms = self._taste(users)
        scaled_taste = self.config.sharpness * taste / np.maximum(norms, 1e-6)
        return products_of(scaled_taste, self._columns.T, items), norms[:, 0] > 1e-6

    def _taste(self, users: UserBatch) -> tuple[np.ndarray, np.ndarray]:
        """[B, C] signed sum of the content vectors of the support, and its norm [B, 1]."""
        support = users.support
        sign = np.where(support.values >= self.relevant_from, 1.0, self.config.disliked)
        weight = (sign * support.strengths).astype(np.float32)
        taste = support.sums(weight[:, None] * self.directions[support.items])
        norms = np.linalg.norm(taste, axis=1, keepdims=True)
        return taste, norms

    @cached_property
    def _columns(self) -> np.ndarray:
        """[C, N] content vectors, transposed by `by_columns`."""
        return by_columns(self.directions)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Content:
        """Return the model for a catalog of `content` and `popularity`; changed items are updated
        too.
        """
        return replace(self, directions=directions_of(content), popularity=popularity)

    def with_rows(
        self,
        content: Float[np.ndarray, "items columns"],
        popularity: Float[np.ndarray, "items"],
        rows: Int[np.ndarray, "changed"],
    ) -> Content:
        """Same as `with_content`, where only these `rows` changed."""
        changed = directions_of(content[rows])
        directions = with_rows(self.directions, rows, changed, len(content))
        return replace(self, directions=directions, popularity=popularity)

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Content vectors, popularity and the threshold of liked values."""
        return {
            "directions": self.directions,
            "popularity": self.popularity,
            "relevant_from": np.array([self.relevant_from], np.float32),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: ContentConfig | None = None
    ) -> Content:
        """Restore the model from `arrays()`."""
        return cls(
            directions=arrays["directions"],
            popularity=arrays["popularity"],
            relevant_from=float(arrays["relevant_from"][0]),
            config=config or cls.config,
        )


def directions_of(content: np.ndarray) -> np.ndarray:
    """[N, C] float32 content rows scaled to unit length; 0 where nothing is known."""
    return np.asarray(
        content / np.maximum(np.linalg.norm(content, axis=1, keepdims=True), 1e-6), np.float32
    )
