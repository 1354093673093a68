"""What every model is: evidence for each item from one kind of knowledge, never negative, zero
where it knows nothing.
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
"""Items from which on a catalog is large: models keep no second copy of what they know of each
item, and slates are ranked among candidates (docs/experiments, 2026-11-28).
"""

Evidence: TypeAlias = np.ndarray | sp.csr_matrix
"""[B, N] at least 0; sparse, each item once in a row, from a model that knows few items at a time.
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
"""What a model may read of a request: of each event its item, place in order, rating, kind,
strength of the kind, time and number of acts; of the user the rest, `text` being all of that in
words.
"""
EVENTS = frozenset({"item", "rating", "strength", "count"})
"""What `event_weights` reads."""


@dataclass(frozen=True, kw_only=True)
class EventsConfig(ModelConfig):
    """Hyper-parameters of how much each event counts, of every model that sums over events."""

    disliked_weight: float = setting(0.3, least=0)
    """A low rating still says what a user comes across: it counts this much beside a liked event (0
    or more).
    """
    repeat_weight: float = setting(0.25, least=0)
    """What e times as many acts on an item add to its weight (0 or more)."""


@runtime_checkable
class Model(Protocol):
    """One model behind the gate.

    `evidence` is a share of attention, `[B, N]`, at least 0; the gate brings each row to sum 1 and
    weighs it against popularity, so only its proportions matter. A model reads what users accepted;
    the gate asks it again about what they refused, and takes that away.
    """

    @property
    def reads(self) -> frozenset[str]:
        """What it reads of a request, of `READABLE`; nothing else changes its evidence."""
        ...

    @property
    def config(self) -> ModelConfig:
        """Its hyper-parameters; of the class, the defaults."""
        ...

    @classmethod
    def fit(cls, behavior: Behavior, rng: np.random.Generator, config: Any = None) -> Self:
        """Learn from the training users, with the default config or another one."""
        ...

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> Evidence:
        """[B, N] evidence for every item of the catalog, for B users at once; a dense answer is
        written into `out` where it is given.
        """
        ...

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Self:
        """The same model for a catalog of `content` [N', C] and `popularity` [N']: old items first,
        new ones appended.
        """
        ...

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned, as named arrays."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], config: Any = None) -> Self:
        """The model that `arrays` described, fitted with `config`."""
        ...


@runtime_checkable
class ReadsWords(Model, Protocol):
    """A model that reads `text`: users in words; it is handed who writes and reads them."""

    def with_words(self, words: UsersInWords) -> Model:
        """The same model, writing and reading users by `words`."""
        ...


@runtime_checkable
class TakesInnerSteps(Model, Protocol):
    """A model whose parameters take gradient steps on a user's events when it is asked."""

    @property
    def inner_steps(self) -> int:
        """How many steps it takes; 0 serves what meta-training learned to everyone."""
        ...

    def after_steps(self, steps: int) -> Self:
        """The same model when it takes so many steps, at most `inner_steps`."""
        ...

    def support_losses(self, users: UserBatch) -> Float[np.ndarray, "users"]:
        """What the inner loop lowers, for each user, where its steps end."""
        ...

    def adapted(self, users: UserBatch) -> dict[str, np.ndarray]:
        """Parameters that moved, each [B, ...], where the steps of each user end."""
        ...


def takes_inner_steps(model: type[Model]) -> bool:
    """Whether models of this class take inner steps."""
    return hasattr(model, "after_steps")


@runtime_checkable
class KnowsSome(Model, Protocol):
    """A model of what only some users tell: it says of whom it knows something, which costs less
    than its evidence.
    """

    def knows(self, users: UserBatch) -> np.ndarray:
        """[B] whether it has any evidence for each user."""
        ...


@runtime_checkable
class GrowsByRows(Model, Protocol):
    """A model that looks only at what changed of a catalog."""

    def with_rows(
        self,
        content: Float[np.ndarray, "items columns"],
        popularity: Float[np.ndarray, "items"],
        rows: Int[np.ndarray, "changed"],
    ) -> Self:
        """`with_content` where only these `rows` are new or have other content than before."""
        ...


@runtime_checkable
class ScoresSome(Model, Protocol):
    """A model that can be asked about some items without being asked about all of them."""

    def evidence_of(
        self, users: UserBatch, items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] the columns `items` of `evidence`, up to a factor of each user's own, which is the
        same at every call.
        """
        ...

    def vectors_of(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some dim"]:
        """[I, D] what evidence is a product with: items alike here are alike to every user."""
        ...


def knows(model: Model, users: UserBatch) -> np.ndarray:
    """[B] whether a model knows something of each user; asked for its evidence only where it cannot
    say so without.
    """
    if isinstance(model, KnowsSome):
        return model.knows(users)
    found = model.evidence(users)
    return np.asarray(
        np.diff(found.indptr) > 0 if isinstance(found, sp.csr_matrix) else found.any(axis=1)
    )


def grown(
    model: Model, content: np.ndarray, popularity: np.ndarray, touched: np.ndarray | None
) -> Model:
    """A model of a larger catalog; of a large one only the rows that changed are looked at, where
    the model can.
    """
    if touched is not None and len(content) >= LARGE and isinstance(model, GrowsByRows):
        return model.with_rows(content, popularity, touched)
    return model.with_content(content, popularity)


def dense(evidence: Evidence) -> np.ndarray:
    """[B, N] float32."""
    return evidence if isinstance(evidence, np.ndarray) else np.asarray(evidence.toarray())


def training_weights(behavior: Behavior, config: EventsConfig) -> np.ndarray:
    """[E] float32 weight of each event of `behavior.whole`: `event_weights` times that of its
    user.
    """
    events = event_weights(behavior.whole, behavior.relevant_from, config)
    if behavior.weights is None:
        return events
    return np.asarray(events * behavior.weights_of(behavior.whole.owners))


def root_weights(behavior: Behavior, config: EventsConfig) -> np.ndarray:
    """[E] float32: the same with the root of the user's weight, for models that multiply a user's
    events with each other.
    """
    events = event_weights(behavior.whole, behavior.relevant_from, config)
    if behavior.weights is None:
        return events
    return np.asarray(events * np.sqrt(behavior.weights_of(behavior.whole.owners)))


def by_columns(table: Float[np.ndarray, "items dim"]) -> Float[np.ndarray, "dim items"]:
    """A table of items laid out by its columns, over which products for few users at once are much
    faster; of a large catalog the table itself, whose memory workers share.
    """
    return table.T if len(table) >= LARGE else np.ascontiguousarray(table.T)


def event_weights(histories: Histories, relevant_from: float, config: EventsConfig) -> np.ndarray:
    """[E] float32: the strength of liked events, more for repeated acts; less for low ratings."""
    liked = np.where(histories.values >= relevant_from, 1.0, config.disliked_weight)
    often = 1.0 + config.repeat_weight * np.log(histories.counts)
    return np.asarray(liked * often * histories.strengths, np.float32)
