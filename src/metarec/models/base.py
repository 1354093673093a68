"""The protocol of all models: each gives every item non-negative evidence from one source of
information, and zero where that source says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float, Int

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.features.users_in_words import UsersInWords
from metarec.models.config import ModelConfig, setting

LARGE = 200_000
"""Number of items from which a catalog counts as large: models then keep no second copy of their
item tables, and slates are ranked among candidates (docs/experiments, 2026-11-28).
"""

Evidence: TypeAlias = np.ndarray | sp.csr_matrix
"""[B, N], at least 0. Models that score few items at a time return a sparse matrix, with each item
at most once in a row.
"""

READABLE = frozenset(
    {
        "item",
        "order",
        "rating",
        "strength",
        "kind",
        "time",
        "count",
        "profile",
        "location",
        "friends",
        "searches",
        "context",
        "text",
    }
)
"""What a model may read of a request. Of each event: its item, position (`order`), rating, kind,
strength of the kind, time, and number of repeats (`count`). Of the user: the rest; `text` is all of
it written in words.
"""
EVENTS = frozenset({"item", "rating", "strength", "count"})
"""What `event_weights` reads."""


@dataclass(frozen=True, kw_only=True)
class EventsConfig(ModelConfig):
    """Hyper-parameters of the weight of each event, shared by all models that sum over events."""

    disliked_weight: float = setting(0.3, at_least=0)
    """Weight of an event with a low rating beside 1 for a liked one (0 or more): a disliked item
    still shows what the user comes across.
    """
    repeat_weight: float = setting(0.25, at_least=0)
    """What e times as many events on an item add to its weight, relative to one event (0 or more).
    """


@runtime_checkable
class Model(Protocol):
    """One model that the gate blends.

    `evidence` is [B, N], at least 0. The gate normalizes each row to sum 1 and weighs it against
    popularity, so only the proportions within a row matter. A model reads the events that a user
    accepted; the gate asks it again about the refused events and subtracts that evidence.
    """

    @property
    def reads(self) -> frozenset[str]:
        """What the model reads of a request, a subset of `READABLE`; nothing else changes its
        evidence.
        """
        ...

    @property
    def config(self) -> ModelConfig:
        """Its hyper-parameters; on the class, the defaults."""
        ...

    @classmethod
    def fit(cls, behavior: Behavior, rng: np.random.Generator, config: Any = None) -> Self:
        """Learn from the training users, with the default config or the given one."""
        ...

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> Evidence:
        """[B, N] evidence for every item of the catalog, for B users at once; a dense result is
        written into `out` where given.
        """
        ...

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Self:
        """Return the model for a larger catalog of `content` [N', C] and `popularity` [N']: old
        items first, new ones appended.
        """
        ...

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned, as named arrays."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], config: Any = None) -> Self:
        """Restore the model from `arrays()`, with the `config` it was fitted with."""
        ...


@runtime_checkable
class ReadsWords(Model, Protocol):
    """A model that reads users written as `text`, and is given the writer and encoder of these
    texts.
    """

    def with_words(self, words: UsersInWords) -> Model:
        """Return the model with `words` as the writer and encoder of users."""
        ...


@runtime_checkable
class TakesInnerSteps(Model, Protocol):
    """A model that adapts its parameters to a user by gradient steps at inference time."""

    @property
    def inner_steps(self) -> int:
        """Number of gradient steps; 0 serves the meta-learned prior to every user."""
        ...

    def after_steps(self, steps: int) -> Self:
        """Return the model with only `steps` inner steps, at most `inner_steps`."""
        ...

    def support_losses(self, users: UserBatch) -> Float[np.ndarray, "users"]:
        """[B] loss of the inner loop on each user's support after the last step."""
        ...

    def adapted(self, users: UserBatch) -> dict[str, np.ndarray]:
        """Adapted parameters, each [B, ...], after the last step for each user."""
        ...


def takes_inner_steps(model: type[Model]) -> bool:
    """Whether models of this class take inner steps."""
    return hasattr(model, "after_steps")


@runtime_checkable
class KnowsSome(Model, Protocol):
    """A model that has evidence for some users only, and can tell for which at less cost than
    computing the evidence.
    """

    def knows(self, users: UserBatch) -> np.ndarray:
        """[B] whether the model has any evidence for each user."""
        ...


@runtime_checkable
class GrowsByRows(Model, Protocol):
    """A model that can be updated from the changed rows of a catalog alone."""

    def with_rows(
        self,
        content: Float[np.ndarray, "items columns"],
        popularity: Float[np.ndarray, "items"],
        rows: Int[np.ndarray, "changed"],
    ) -> Self:
        """Same as `with_content`, where only these `rows` are new or have changed content."""
        ...


@runtime_checkable
class ScoresSubset(Model, Protocol):
    """A model that can score a subset of the catalog without scoring all of it."""

    def evidence_of(
        self, users: UserBatch, items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] the columns `items` of `evidence`, up to a factor per user that is the same in
        every call.
        """
        ...

    def vectors_of(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some dim"]:
        """[I, D] item vectors whose product with a user vector determines the evidence: items with
        similar vectors have similar evidence for every user.
        """
        ...


def knows(model: Model, users: UserBatch) -> np.ndarray:
    """[B] whether a model has evidence for each user. The evidence itself is computed only where
    the model is no `KnowsSome`.
    """
    if isinstance(model, KnowsSome):
        return model.knows(users)
    evidence = model.evidence(users)
    return np.asarray(
        np.diff(evidence.indptr) > 0
        if isinstance(evidence, sp.csr_matrix)
        else evidence.any(axis=1)
    )


def grown(
    model: Model, content: np.ndarray, popularity: np.ndarray, touched: np.ndarray | None
) -> Model:
    """Return the model for a larger catalog. Of a large catalog only the `touched` rows are
    updated, if the model supports that.
    """
    if touched is not None and len(content) >= LARGE and isinstance(model, GrowsByRows):
        return model.with_rows(content, popularity, touched)
    return model.with_content(content, popularity)


def dense(evidence: Evidence) -> np.ndarray:
    """[B, N] float32."""
    return evidence if isinstance(evidence, np.ndarray) else np.asarray(evidence.toarray())


def training_weights(behavior: Behavior, config: EventsConfig) -> np.ndarray:
    """[E] float32 weight of each event of `behavior.whole`: `event_weights` times the weight of its
    user.
    """
    events = event_weights(behavior.whole, behavior.relevant_from, config)
    if behavior.weights is None:
        return events
    return np.asarray(events * behavior.weights_of(behavior.whole.owners))


def root_weights(behavior: Behavior, config: EventsConfig) -> np.ndarray:
    """[E] float32 `event_weights` times the square root of the user's weight, for models that
    multiply events of the same user with each other.
    """
    events = event_weights(behavior.whole, behavior.relevant_from, config)
    if behavior.weights is None:
        return events
    return np.asarray(events * np.sqrt(behavior.weights_of(behavior.whole.owners)))


def by_columns(table: Float[np.ndarray, "items dim"]) -> Float[np.ndarray, "dim items"]:
    """The transpose of an item table, contiguous in memory, which makes products for few users much
    faster. Of a large catalog it is a view, since worker processes share the memory of the table.
    """
    return table.T if len(table) >= LARGE else np.ascontiguousarray(table.T)


def event_weights(histories: Histories, relevant_from: float, config: EventsConfig) -> np.ndarray:
    """[E] float32 weight of each event: the strength of its kind, times `disliked_weight` for a low
    rating, times 1 + `repeat_weight` x log of the number of repeats.
    """
    liked = np.where(histories.values >= relevant_from, 1.0, config.disliked_weight)
    often = 1.0 + config.repeat_weight * np.log(histories.counts)
    return np.asarray(liked * often * histories.strengths, np.float32)
