"""What every scorer is: evidence for each item from one kind of knowledge, never negative, zero
where it knows nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.features.people import PeopleInWords

DISLIKED_WEIGHT = 0.3
"""A disliked event still says what a person comes across: it counts this much beside a liked one.
"""


class Scorer(Protocol):
    """One expert of the evidence gate.

    `evidence` is a share of attention, `[B, N]`, at least 0; the gate brings each row to sum 1 and
    weighs it against popularity, so only its proportions matter.
    """

    @classmethod
    def fit(cls, behaviour: Behaviour, rng: np.random.Generator) -> Self:
        """Learn from the training users."""
        ...

    def evidence(
        self,
        support: Histories,
        profiles: Float[np.ndarray, "people columns"],
        out: Float[np.ndarray, "people items"] | None = None,
    ) -> Float[np.ndarray, "people items"]:
        """[B, N] evidence for every item of the catalog, for B people at once; written into `out`
        where it is given.
        """
        ...

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Self:
        """The same scorer for a catalog of `content` [N', C] and `popularity` [N']: old items
        first, new ones appended.
        """
        ...

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned, as named arrays."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """The scorer that `arrays` described."""
        ...


@runtime_checkable
class SparseScorer(Protocol):
    """A scorer that knows something of few items at a time."""

    def sparse_evidence(self, support: Histories) -> sp.csr_matrix:
        """[B, N] the same evidence, without most of its zeros; each item once in a row."""
        ...


@runtime_checkable
class TextScorer(Protocol):
    """A scorer that reads people as text: beside `evidence` it is asked with what people stated of
    themselves.
    """

    def text_evidence(
        self, support: Histories, told: Sequence[Mapping[str, Any]], out: np.ndarray | None = None
    ) -> np.ndarray:
        """[B, N] evidence, from histories and attributes as they were stated."""
        ...

    def with_words(self, words: PeopleInWords) -> Scorer:
        """The same scorer, writing and reading people by `words`."""
        ...


def dense(evidence: sp.csr_matrix, out: np.ndarray | None) -> np.ndarray:
    """[B, N] float32 of sparse evidence, written into `out` where it is given."""
    return np.asarray(evidence.toarray(out=out), np.float32)


def training_weights(behaviour: Behaviour) -> np.ndarray:
    """[E] float32 weight of each training event: `event_weights` times that of its user."""
    events = event_weights(behaviour.histories, behaviour.relevant_from)
    return (
        events
        if behaviour.weights is None
        else events * behaviour.weights_of(behaviour.histories.owners)
    )


def root_weights(behaviour: Behaviour) -> np.ndarray:
    """[E] float32: the same with the root of the user's weight, for scorers that multiply a user's
    events with each other.
    """
    events = event_weights(behaviour.histories, behaviour.relevant_from)
    return (
        events
        if behaviour.weights is None
        else events * np.sqrt(behaviour.weights_of(behaviour.histories.owners))
    )


def event_weights(histories: Histories, relevant_from: float) -> np.ndarray:
    """[E] float32: 1 for liked events, `DISLIKED_WEIGHT` for the others."""
    return np.where(histories.values >= relevant_from, 1.0, DISLIKED_WEIGHT).astype(np.float32)
