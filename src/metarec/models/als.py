"""Implicit ALS (matrix factorization); the factors of a new user are one small ridge solve.

Hu, Koren and Volinsky 2008, "Collaborative filtering for implicit feedback datasets". Items without
events take the factors that a ridge regression predicts from their content, so a new item can be
scored at once.
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

    dim: int = setting(64, at_least=1, search_range=(16, 128))
    """Number of factors of each user and item (1 or more)."""
    regularization: float = setting(10.0, above=0, search_range=(1, 100))
    """L2 penalty of the factors (above 0)."""
    confidence: float = setting(10.0, above=0, search_range=(1, 60))
    """An event weighs 1 + this (above 0), a missing event 1."""
    start: float = setting(0.1, above=0)
    """Standard deviation of the initial item factors (above 0)."""
    sweeps: int = setting(6, at_least=1)
    """Number of alternations, each of which solves all users and then all items (1 or more)."""
    content_regularization: float = setting(10.0, above=0)
    """L2 penalty of the linear map from content to factors (above 0), which gives new items their
    factors.
    """


@dataclass(frozen=True, kw_only=True)
class Als:
    """Evidence = max(0, u . v), with the user factors u solved from the support."""

    items: np.ndarray
    """[N, D] float32 item factors."""
    gram: np.ndarray
    """[D, D] float32: sum of the outer products of the factors of items with events, plus the ridge
    penalty.
    """
    from_content: np.ndarray
    """[C, D] float32 linear map from content to factors."""
    relevant_from: float
    """Value from which an event counts as liked."""
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
        model = cls.of_factors(items, behavior.relevant_from, config)
        from_content = ridge(
            behavior.content[has_events], items[has_events], config.content_regularization
        ).astype(np.float32)
        items[~has_events] = behavior.content[~has_events] @ from_content
        return replace(model, items=items, from_content=from_content)

    @classmethod
    def of_factors(cls, items: np.ndarray, relevant_from: float, config: AlsConfig) -> Als:
        """Return a model of fixed item factors [N, D], which folds users in."""
        return cls(
            items=items,
            gram=_gram(items, config.regularization),
            from_content=np.zeros((0, items.shape[1]), np.float32),
            relevant_from=relevant_from,
            config=config,
        )

    def fold_in(self, support: Histories) -> np.ndarray:
        """[B, D] factors of users, solved from their support alone; zeros without events."""
        if not len(support.items):
            return np.zeros((len(support), self.items.shape[1]), np.float32)
        weights = self.config.confidence * event_weights(support, self.relevant_from, self.config)
        if support.lengths.max(initial=0) < len(self.gram) // 2:
            if len(self.items) >= LARGE:
                distinct, place = np.unique(support.items, return_inverse=True)
                compact, factors = replace(support, items=place), self.items[distinct]
                return ridge_of_few(
                    compact, weights, 1.0 + weights, factors, through_gram(factors, self.gram)
                )
            return ridge_of_few(support, weights, 1.0 + weights, self.items, self._through_gram)
        return ridge_rows(support, weights, 1.0 + weights, self.items, self.gram)

    def evidence(
        self, users: UserBatch, out: Float[np.ndarray, "users items"] | None = None
    ) -> Float[np.ndarray, "users items"]:
        """[B, N] evidence for every item."""
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
        """[B, I] evidence for the given items."""
        scores = products_of(self.fold_in(users.support), self.items, items)
        return np.asarray(np.maximum(scores, 0.0))

    def vectors_of(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some dim"]:
        """[I, D] factors of the given items."""
        return np.asarray(self.items[items])

    @cached_property
    def _through_gram(self) -> np.ndarray:
        """[N, D] item factors times the inverse of their Gram matrix."""
        return through_gram(self.items, self.gram)

    @cached_property
    def _columns(self) -> np.ndarray:
        """[D, N] item factors, transposed by `by_columns`."""
        return by_columns(self.items)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Als:
        """Return the model with new items appended, whose factors are predicted from content."""
        return replace(
            self, items=np.concatenate([self.items, content[len(self.items) :] @ self.from_content])
        )

    def with_rows(
        self,
        content: Float[np.ndarray, "items columns"],
        popularity: Float[np.ndarray, "items"],
        rows: Int[np.ndarray, "changed"],
    ) -> Als:
        """Return the model with new items appended; changed rows of other items are ignored."""
        new = rows[rows >= len(self.items)]
        return replace(
            self, items=with_rows(self.items, new, content[new] @ self.from_content, len(content))
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Factors, their Gram matrix, the map from content, and the threshold of liked values."""
        return {
            "items": self.items,
            "gram": self.gram,
            "from_content": self.from_content,
            "relevant_from": np.array([self.relevant_from], np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], config: AlsConfig | None = None) -> Als:
        """Restore the model from `arrays()`."""
        return cls(
            items=arrays["items"],
            gram=arrays["gram"],
            from_content=arrays["from_content"],
            relevant_from=float(arrays["relevant_from"][0]),
            config=config or cls.config,
        )


def _gram(factors: np.ndarray, ridge: float, weights: np.ndarray | None = None) -> np.ndarray:
    """[D, D] Gram matrix of the (weighted) factors, plus the ridge penalty."""
    weighted = factors if weights is None else factors * weights[:, None]
    return np.asarray(weighted.T @ factors + ridge * np.eye(factors.shape[1], dtype=np.float32))


def _confident(
    rows: Histories,
    weights: np.ndarray,
    factors: np.ndarray,
    gram: np.ndarray,
    user_weights: np.ndarray | None = None,
) -> np.ndarray:
    """Ridge solutions [B, D] with target value 1 for every event. An event of weight w (confidence
    included) counts 1 + w times the weight of its user.
    """
    counts = np.ones(len(weights), np.float32) if user_weights is None else user_weights
    return ridge_rows(rows, counts * weights, counts * (1.0 + weights), factors, gram)
