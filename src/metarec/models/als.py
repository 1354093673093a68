"""Low-rank factors of everyone's choices; a new user's factors are one small ridge solve.

Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets". Items without
events take the factors that their content predicts (a ridge from content to factors), so that a new
item has a place at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import EVENTS, LARGE, EventsConfig, by_columns, event_weights
from metarec.models.config import setting
from metarec.models.ridge import ridge
from metarec.models.ridge_rows import ridge_of_few, ridge_rows, through_gram
from metarec.runtime.rows import products_of, with_rows
from metarec.runtime.scratch import column_pieces, cut_at_zero


@dataclass(frozen=True, kw_only=True)
class AlsConfig(EventsConfig):
    """Hyper-parameters of ALS."""

    dim: int = setting(64, least=1, tried=(16, 128))
    """Factors of each user and item (1 or more)."""
    regularization: float = setting(10.0, above=0, tried=(1, 100))
    """Pull of factors towards zero (above 0)."""
    confidence: float = setting(10.0, above=0, tried=(1, 60))
    """An event weighs 1 + this (above 0), an absent event 1."""
    start: float = setting(0.1, above=0)
    """Standard deviation of item factors before the first sweep (above 0)."""
    sweeps: int = setting(6, least=1)
    """Times that users and items are solved in turn (1 or more)."""
    content_regularization: float = setting(10.0, above=0)
    """Pull towards zero of the map from content to factors (above 0), by which new items are
    placed.
    """


@dataclass(frozen=True, kw_only=True)
class Als:
    """Evidence = u . v, cut at zero, with u solved from the support."""

    items: np.ndarray
    """[N, D] float32 item factors."""
    gram: np.ndarray
    """[D, D] float32: sum of outer products over items with events, plus the ridge."""
    from_content: np.ndarray
    """[C, D] float32: what content predicts of the factors."""
    relevant_from: float
    config: AlsConfig = AlsConfig()
    reads: ClassVar[frozenset[str]] = EVENTS

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: AlsConfig | None = None
    ) -> Als:
        """Alternate ridge solves of users and items."""
        config = config or cls.config
        by_user, pull, confidence = behavior.whole, config.regularization, config.confidence
        weights = event_weights(by_user, behavior.relevant_from, config)
        by_item, order = by_user.transposed(behavior.n_items)
        has_events = by_item.lengths > 0
        user_weights = (
            None if behavior.weights is None else behavior.weights_of(np.arange(len(by_user)))
        )
        items = (
            rng.normal(0.0, config.start, (behavior.n_items, config.dim)) * has_events[:, None]
        ).astype(np.float32)
        for _ in range(config.sweeps):
            users = _confident(by_user, confidence * weights, items, _gram(items, pull))
            items = _confident(
                by_item,
                confidence * weights[order],
                users,
                _gram(users, pull, user_weights),
                None if user_weights is None else user_weights[by_item.items],
            )
        found = cls.of_factors(items, behavior.relevant_from, config)
        from_content = ridge(
            behavior.content[has_events], items[has_events], config.content_regularization
        ).astype(np.float32)
        items[~has_events] = behavior.content[~has_events] @ from_content
        return replace(found, items=items, from_content=from_content)

    @classmethod
    def of_factors(cls, items: np.ndarray, relevant_from: float, config: AlsConfig) -> Als:
        """Fixed item factors [N, D], into which users are folded in."""
        return cls(
            items=items,
            gram=_gram(items, config.regularization),
            from_content=np.zeros((0, items.shape[1]), np.float32),
            relevant_from=relevant_from,
            config=config,
        )

    def fold_in(self, support: Histories) -> np.ndarray:
        """[B, D] factors of users from their support alone."""
        if not len(support.items):
            return np.zeros((len(support), self.items.shape[1]), np.float32)
        weights = self.config.confidence * event_weights(support, self.relevant_from, self.config)
        if support.lengths.max(initial=0) < len(self.gram) // 2:
            if len(self.items) >= LARGE:
                met, place = np.unique(support.items, return_inverse=True)
                some, own = replace(support, items=place), self.items[met]
                return ridge_of_few(some, weights, 1.0 + weights, own, through_gram(own, self.gram))
            return ridge_of_few(support, weights, 1.0 + weights, self.items, self._through_gram)
        return ridge_rows(support, weights, 1.0 + weights, self.items, self.gram)

    def evidence(
        self, users: UserBatch, out: Float[np.ndarray, "users items"] | None = None
    ) -> Float[np.ndarray, "users items"]:
        """[B, N]."""
        support = users.support
        out = np.empty((len(support), len(self.items)), np.float32) if out is None else out
        factors = self.fold_in(support)
        for piece in column_pieces(*out.shape):
            np.matmul(factors, self._columns[:, piece], out=out[:, piece])
            cut_at_zero(out[:, piece])
        return out

    def evidence_of(
        self, users: UserBatch, items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] of some items."""
        found = products_of(self.fold_in(users.support), self.items, items)
        return np.asarray(np.maximum(found, 0.0))

    def vectors_of(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some dim"]:
        """[I, D] factors."""
        return np.asarray(self.items[items])

    @cached_property
    def _through_gram(self) -> np.ndarray:
        """[N, D] factors times the inverse of their Gram matrix."""
        return through_gram(self.items, self.gram)

    @cached_property
    def _columns(self) -> np.ndarray:
        """[D, N]."""
        return by_columns(self.items)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Als:
        """New items take the factors that their content predicts."""
        return replace(
            self, items=np.concatenate([self.items, content[len(self.items) :] @ self.from_content])
        )

    def with_rows(
        self,
        content: Float[np.ndarray, "items columns"],
        popularity: Float[np.ndarray, "items"],
        rows: Int[np.ndarray, "changed"],
    ) -> Als:
        """Only new items are looked at."""
        new = rows[rows >= len(self.items)]
        return replace(
            self, items=with_rows(self.items, new, content[new] @ self.from_content, len(content))
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Factors, their Gram matrix, the way from content, the liking threshold."""
        return {
            "items": self.items,
            "gram": self.gram,
            "from_content": self.from_content,
            "relevant_from": np.array([self.relevant_from], np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], config: AlsConfig | None = None) -> Als:
        """From `arrays()`."""
        return cls(
            items=arrays["items"],
            gram=arrays["gram"],
            from_content=arrays["from_content"],
            relevant_from=float(arrays["relevant_from"][0]),
            config=config or cls.config,
        )


def _gram(factors: np.ndarray, ridge: float, weights: np.ndarray | None = None) -> np.ndarray:
    weighted = factors if weights is None else factors * weights[:, None]
    return np.asarray(weighted.T @ factors + ridge * np.eye(factors.shape[1], dtype=np.float32))


def _confident(
    rows: Histories,
    weights: np.ndarray,
    factors: np.ndarray,
    gram: np.ndarray,
    user_weights: np.ndarray | None = None,
) -> np.ndarray:
    """Ridge solutions where an event of weight w (confidence included) counts 1 + w, times the
    weight of its user, and wants the value 1.
    """
    counts = np.ones(len(weights), np.float32) if user_weights is None else user_weights
    return ridge_rows(rows, counts * weights, counts * (1.0 + weights), factors, gram)
