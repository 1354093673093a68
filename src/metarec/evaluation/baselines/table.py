"""Training events and requests over the same items: the input of every baseline.

A baseline that is a model of `metarec.models` learns from `TrainingTable.behavior`, in which every
liked event counts 1, as in its paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.sparse import csr_matrix

from metarec.data.cold_users import Horizon
from metarec.data.dataset import Dataset
from metarec.data.frames import id_order
from metarec.data.schema import Vocabulary
from metarec.features.behavior import Behavior
from metarec.features.events import EventReader
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.recommendation.slate import Request

LIKED = 0.5
"""Threshold of a liked value in `Events.plain`, where every event counts 1 and so is liked."""


@dataclass(frozen=True, kw_only=True)
class Events:
    """Accepted (not refused) items of users, each item of a user once."""

    accepted: Histories
    is_liked: np.ndarray
    """[E] bool: the value is in the upper quarter of the scale, or there is no scale."""
    n_items: int

    @property
    def rows(self) -> np.ndarray:
        """[E] row of the user of each event, ascending."""
        return self.accepted.owners

    @property
    def items(self) -> np.ndarray:
        """[E] item index of each event."""
        return self.accepted.items

    @cached_property
    def values(self) -> np.ndarray:
        """[E] float64 value; 1 for an event without one."""
        return self.accepted.values.astype(np.float64)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of users and number of items."""
        return len(self.accepted), self.n_items

    def plain(self, *, only_liked: bool = True) -> Histories:
        """Return the events with value 1 and nothing else: the liked ones, or all accepted ones."""
        kept = self.accepted.where(self.is_liked) if only_liked else self.accepted
        ones = np.ones(len(kept.items), np.float32)
        return Histories(offsets=kept.offsets, items=kept.items, values=ones)

    def users(self, *, only_liked: bool = True) -> UserBatch:
        """Return the users as a batch for models, each event counting 1, without profiles."""
        nothing = np.zeros((len(self.accepted), 0), np.float32)
        return UserBatch(support=self.plain(only_liked=only_liked), profiles=nothing)

    def matrix(self, values: np.ndarray | None = None, *, only_liked: bool = False) -> csr_matrix:
        """Return float32 `[users, N]` of `values`, 1 where not given; `only_liked` keeps only liked
        events.
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
    """The whole catalog; cold items have a column too."""
    user_ids: list[str]
    events: Events
    reader: EventReader
    """Reads kinds and values of events."""
    later: np.ndarray
    """[E] bool: the event came after the user's first `pool` ones."""

    @classmethod
    def of(cls, data: Dataset, pool: int) -> TrainingTable:
        """Read the training data; `pool` is the number of first events of a new user that are
        support only, never in the query set.
        """
        catalog_ids = set(data.items.vocabulary.ids)
        with_events = data.interactions.frame.select("item_id").unique().sort(id_order("item_id"))
        extra = with_events["item_id"].to_list()
        vocabulary = Vocabulary(
            [*data.items.vocabulary.ids, *(i for i in extra if i not in catalog_ids)]
        )
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
        """Return the accepted events of requests over the same items; unknown items are left
        out.
        """
        accepted = self.reader.accepted([r.history for r in requests], self.vocabulary)
        return _events(accepted, self.reader, len(self.vocabulary))

    @cached_property
    def behavior(self) -> Behavior:
        """Liked events, each counting 1, and nothing else: no content, no profiles."""
        return self.behavior_of(only_liked=True)

    def behavior_of(self, *, only_liked: bool) -> Behavior:
        """Return liked events, or all accepted ones, each counting 1."""
        histories = self.events.plain(only_liked=only_liked)
        return Behavior(
            histories=histories,
            profiles=np.zeros((len(histories), 0), np.float32),
            content=np.zeros((len(self.vocabulary), 1), np.float32),
            relevant_from=LIKED,
            horizon=Horizon(support_sizes=(0, 1), pool=1, min_events=2),
        )

    def count(self, chosen: np.ndarray) -> np.ndarray:
        """Return [N] the number of chosen events of each item; `chosen` is bool, one for each
        event.
        """
        return np.bincount(self.events.items[chosen], minlength=len(self.vocabulary)).astype(
            np.float32
        )

    @property
    def knows_later(self) -> bool:
        """Whether events have times, so that `later` means something."""
        return self.data.interactions.has_time and bool(self.later.any())

    @cached_property
    def priors(self) -> dict[str, np.ndarray]:
        """Popularity of each item, `[N]` in [0, 1], counted in several ways; a fit chooses one on
        validation users.

        `liked` counts every like, `targets` only likes by a target kind. `liked later` counts only
        likes after each user's first events, which is what new users are asked about: many services
        show every user the same items first, and those are then used up.
        """
        ways = {"liked": self.events.is_liked}
        is_target = self.events.accepted.is_target
        if not is_target.all():
            ways["targets"] = self.events.is_liked & is_target
        if self.knows_later and (self.events.is_liked & self.later).any():
            ways["liked later"] = self.events.is_liked & self.later
        return {
            name: self.count(chosen) / max(self.count(chosen).max(), 1.0)
            for name, chosen in ways.items()
        }


def _events(accepted: Histories, reader: EventReader, n_items: int) -> Events:
    is_liked = accepted.values >= reader.relevant_from
    return Events(accepted=accepted, is_liked=is_liked, n_items=n_items)
