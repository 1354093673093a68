"""People written as text as an expert of the gate: `u* = encoder(u)` from profile and recent
history in words.

Trained like a newcomer is served: training people are written down at several lengths of history,
the empty one included, and a ridge maps what the encoder reads to what they liked after their pool
(`backbone.user_text`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from metarec.backbone.user_text import NobodyToRead, UserTextTower
from metarec.data.schema import BadInput
from metarec.features.behaviour import Behaviour
from metarec.features.histories import Histories
from metarec.features.people import PeopleInWords

MOST_PEOPLE = 1000
"""Training people written as text, at most; each is read at up to three lengths of history."""
FEW_EVENTS = 3
"""The length between no event and the whole pool."""


@dataclass(frozen=True, kw_only=True)
class PeopleAsText:
    """Evidence = expected share of people described like this who will like each item."""

    tower: UserTextTower
    people: tuple[int, int]
    """Training people written as text, and all there were to write."""
    words: PeopleInWords | None = None
    """Who writes and reads; not saved with the scorer, as the item encoder is the model's
    (`with_words`).
    """

    @classmethod
    def fit(cls, behaviour: Behaviour, rng: np.random.Generator) -> PeopleAsText:
        """Read training people at up to three lengths of history, and learn what they liked after
        their pool.

        Raises:
            BadInput: if no encoder reads them.
        """
        words = behaviour.words
        if words is None or not words.encoder.dim:
            reader = "none" if words is None else words.encoder.name
            raise BadInput(
                f"people cannot be written as text with encoder {reader!r}, which reads nothing; "
                f"name one, such as minilm or "
                "tfidf"
            )
        able = np.flatnonzero(behaviour.targets.lengths > 0)
        rows = np.sort(rng.choice(able, min(MOST_PEOPLE, len(able)), replace=False))
        people, pools = behaviour.histories.users(rows), behaviour.pools[rows]
        targets, told = (
            behaviour.targets.users(rows).matrix(behaviour.n_items),
            behaviour.told_of(rows),
        )
        lengths = sorted({0, min(FEW_EVENTS, behaviour.horizon.pool), behaviour.horizon.pool})
        supports = [people.first(np.minimum(length, pools)) for length in lengths]
        vectors = words.read(Histories.joined(supports), told * len(lengths))
        weights = (
            None if behaviour.weights is None else np.tile(behaviour.weights_of(rows), len(lengths))
        )
        try:
            tower = UserTextTower.fit(
                vectors,
                sp.vstack([targets] * len(lengths)).tocsr(),
                weights=weights,
                seed=int(rng.integers(2**31)),
            )
        except NobodyToRead:  # in a fold of a handful of people; the gate sees what that is worth
            tower = UserTextTower.blank(words.encoder.dim, behaviour.n_items)
        return cls(tower=tower, people=(len(rows), len(able)), words=words)

    def evidence(
        self, support: Histories, profiles: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        """[B, N] from histories alone, for people who stated nothing."""
        return self.text_evidence(support, [{}] * len(support), out)

    def text_evidence(
        self, support: Histories, told: Sequence[Mapping[str, Any]], out: np.ndarray | None = None
    ) -> np.ndarray:
        """[B, N] from histories and what people stated of themselves.

        Raises:
            BadInput: if the encoder is not there: it lies outside a model's folder.
        """
        assert self.words is not None, "a scorer from arrays is given its words before it is asked"
        return self.tower.evidence(self.words.read(support, told), out)

    def with_words(self, words: PeopleInWords) -> PeopleAsText:
        """The same scorer with this writer and reader."""
        return replace(self, words=words)

    # Who goes on to an item comes from events alone
    def with_content(self, content: np.ndarray, popularity: np.ndarray) -> PeopleAsText:
        """New items are known to nobody yet; what to call them in a history comes with the next
        `with_words`.
        """
        return replace(self, tower=self.tower.with_more_items(len(content) - len(self.tower.mean)))

    @property
    def note(self) -> str:
        """How many people it was learned from."""
        written, able = self.people
        return f"people written as text: {written:,} of {able:,}"

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return {**self.tower.arrays(), "people": np.array(self.people)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> PeopleAsText:
        """From `arrays()`; `with_words` before it is asked."""
        written, able = arrays["people"].tolist()
        return cls(tower=UserTextTower.from_arrays(arrays), people=(written, able))
