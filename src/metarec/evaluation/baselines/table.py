"""The training events as sparse matrices, and requests as matrices over the same items: what every
baseline reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from metarec.data.schema import Dataset, Vocabulary, id_order
from metarec.features.events import EventReader
from metarec.features.histories import Histories
from metarec.recommendation.slate import Request


@dataclass(frozen=True, kw_only=True)
class Events:
    """(row, item, value) triples, each pair once; rows are users. Rows are sorted."""

    rows: np.ndarray
    items: np.ndarray
    values: np.ndarray
    """float64; 1 for an act without a value."""
    is_liked: np.ndarray
    """bool: the value is in the upper quarter of the scale, or there is no scale."""
    is_target: np.ndarray
    """bool: the act is what recommendations are for."""
    shape: tuple[int, int]
    """Users, items."""

    def matrix(self, values: np.ndarray | None = None, *, only_liked: bool = False) -> csr_matrix:
        """float32 `[users, N]` of `values`, 1 where not given; `only_liked` leaves out the
        rest.
        """
        data = np.ones(len(self.rows), np.float32) if values is None else values.astype(np.float32)
        keep = self.is_liked if only_liked else slice(None)
        return csr_matrix((data[keep], (self.rows[keep], self.items[keep])), shape=self.shape)

    @cached_property
    def liked(self) -> csr_matrix:
        """[users, N], 1 where liked."""
        return self.matrix(only_liked=True)

    @cached_property
    def seen(self) -> csr_matrix:
        """[users, N], 1 for every event."""
        return self.matrix()


@dataclass(frozen=True, kw_only=True)
class TrainingTable:
    """What a baseline learns from."""

    data: Dataset
    vocabulary: Vocabulary
    """The whole catalog: an item nobody has met has a column too."""
    user_ids: list[str]
    events: Events
    reader: EventReader
    """What acts and values mean."""
    later: np.ndarray
    """bool, one for each event: it came after the user's first `pool` ones."""

    @classmethod
    def of(cls, data: Dataset, pool: int) -> TrainingTable:
        """Read the training data; `pool` is how many first events of a new user are never asked
        about.
        """
        known = set(data.items.vocabulary.ids)
        met = data.interactions.frame.select("item_id").unique().sort(id_order("item_id"))
        extra = met["item_id"].to_list()
        vocabulary = Vocabulary([*data.items.vocabulary.ids, *(i for i in extra if i not in known)])
        reader = EventReader.of(data.interactions)
        acts, user_ids = reader.of_interactions(data.interactions, vocabulary)
        accepted = acts.joined()[0]
        events = _events(accepted, reader, len(vocabulary))
        return cls(
            data=data,
            vocabulary=vocabulary,
            user_ids=user_ids,
            events=events,
            reader=reader,
            later=accepted.positions >= pool,
        )

    def support(self, requests: Sequence[Request]) -> Events:
        """What users of requests accepted, as events over the same items; unknown items are left
        out.
        """
        accepted = self.reader.accepted([r.history for r in requests], self.vocabulary)
        return _events(accepted, self.reader, len(self.vocabulary))

    def count(self, chosen: np.ndarray) -> np.ndarray:
        """[N] how many of the chosen events each item has; `chosen` is bool, one for each event."""
        return np.bincount(self.events.items[chosen], minlength=len(self.vocabulary)).astype(
            np.float32
        )

    @property
    def knows_later(self) -> bool:
        """Whether events have an order, so that `later` means something."""
        return self.data.interactions.has_time and bool(self.later.any())

    @cached_property
    def priors(self) -> dict[str, np.ndarray]:
        """How popular each item is, `[N]` in [0, 1], counted in several ways; a fit chooses one on
        validation new users.

        `liked` counts every like. `liked later` counts only what came after each user's first
        events, which is what new users are asked about: many services show everyone the same things
        first, and those are then done with.
        """
        ways = {"liked": self.events.is_liked}
        if not self.events.is_target.all():
            ways["targets"] = self.events.is_liked & self.events.is_target
        if self.knows_later and (self.events.is_liked & self.later).any():
            ways["liked later"] = self.events.is_liked & self.later
        return {
            name: self.count(chosen) / max(self.count(chosen).max(), 1.0)
            for name, chosen in ways.items()
        }


def _events(accepted: Histories, reader: EventReader, n_items: int) -> Events:
    """Histories as triples, row by row."""
    return Events(
        rows=accepted.owners,
        items=accepted.items,
        values=accepted.values.astype(np.float64),
        is_liked=accepted.values >= reader.relevant_from,
        is_target=accepted.is_target,
        shape=(len(accepted), n_items),
    )
