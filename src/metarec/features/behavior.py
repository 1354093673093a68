"""Training data of the models: histories of all training users, item content and profiles, split
into support and targets like the task of a new user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from metarec.data.cold_users import Horizon
from metarec.features.events import Events
from metarec.features.histories import Histories
from metarec.features.training_context import TrainingContext
from metarec.features.users import UserBatch
from metarec.features.users_in_words import UsersInWords

ORDER_T = 4.0
"""Minimum paired t statistic of the popularity of early against late events, over users, for their
order to count as informative.
"""


@dataclass(frozen=True, kw_only=True)
class Behavior:
    """Histories of U training users, and features of items and users, all by index.

    The events of a user before the cut are the pool that support sets are taken from; the liked
    target events after it are the targets.
    """

    histories: Histories
    """Accepted items of each user, each once: those before the cut as they were known then, then
    later new ones (see `cut_histories`).
    """
    profiles: np.ndarray
    """[U, P] float32 profile columns of the training users."""
    content: np.ndarray
    """[N, C] float32 content columns of the whole catalog, cold items included."""
    relevant_from: float
    """The value from which an event counts as liked."""
    horizon: Horizon
    """Support sizes, and the number of events before the cut."""
    weights: np.ndarray | None = None
    """[U] weight of each training user, mean 1; None: all equal."""
    attributes: Sequence[Mapping[str, Any]] | None = None
    """[U] attributes of the training users as they stated them; None: nobody stated any."""
    words: UsersInWords | None = None
    """Encoder of users as text; None where no model uses it."""
    whole: Histories = None  # type: ignore[assignment]  # filled in below, never None
    """All accepted events of each training user, joined so that each item occurs once; the same as
    `histories` where no user has two events on an item.
    """
    refused: Histories = None  # type: ignore[assignment]  # filled in below, never None
    """Items that each training user refused."""
    repeats: Histories = None  # type: ignore[assignment]  # filled in below, never None
    """Target events after the cut on items that the user already had before it."""
    acts: Events | None = None
    """All events in order; None where no user is known to have two events on an item."""
    cut: np.ndarray | None = None
    """[U] number of events before the cut; None: by the length of the history (`pools_of`)."""

    text: np.ndarray | None = None
    """[N, E] text embeddings of the items; None without text."""
    taste: np.ndarray | None = None
    """[N, D] item embeddings of a prior model; None without one."""
    context: TrainingContext | None = None
    """Friends, locations, circumstances and searches; None where there are none."""
    of_catalog: dict[str, Any] = field(default_factory=dict, repr=False)
    """What models computed from the catalog alone, by name; `users` passes it on, so that a fit
    computes it once for all folds.
    """

    def __post_init__(self) -> None:
        nothing = Histories.of_indexes([np.zeros(0, np.int64)] * len(self.histories))
        for name, default in (
            ("whole", self.histories),
            ("refused", nothing),
            ("repeats", nothing),
        ):
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)

    @property
    def n_items(self) -> int:
        """N, the size of the catalog."""
        return len(self.content)

    def users(self, indexes: np.ndarray) -> Behavior:
        """Return the data of these training users only."""
        same = self.whole is self.histories
        histories = self.histories.users(indexes)
        return replace(
            self,
            histories=histories,
            whole=histories if same else self.whole.users(indexes),
            refused=self.refused.users(indexes),
            repeats=self.repeats.users(indexes),
            acts=None if self.acts is None else self.acts.users(indexes),
            cut=None if self.cut is None else self.cut[indexes],
            profiles=self.profiles[indexes],
            weights=None if self.weights is None else self.weights[indexes],
            attributes=None if self.attributes is None else self.attributes_of(indexes),
            context=None if self.context is None else self.context.users(indexes),
        )

    def rated(self) -> Behavior:
        """Return the same users with only the events that state a rating."""
        if self.histories.is_rated.all():
            return self
        keep, early = self.histories.is_rated, self.histories.first(self.pools)
        histories = self.histories.where(keep)
        cut = np.bincount(early.owners[early.is_rated], minlength=len(histories))
        return replace(self, histories=histories, whole=histories, cut=cut)

    def batch_of(self, users: np.ndarray, support: Histories) -> UserBatch:
        """Return these training users with this support, as a batch for the models."""
        return UserBatch(
            support=support,
            profiles=self.profiles[users],
            attributes=self.attributes_of(users),
            context=None  # type: ignore[arg-type]  # filled in by the batch
            if self.context is None
            else self.context.of_users(
                users, support, self.context_events[users], self.pool.users(users)
            ),
        )

    def attributes_of(self, users: np.ndarray) -> list[Mapping[str, Any]]:
        """Return the attributes of these training users, as they stated them."""
        return [{} if self.attributes is None else self.attributes[user] for user in users]

    def weights_of(self, users: np.ndarray) -> np.ndarray:
        """Return float32 weights [len(users)] of these training users, 1 where none are given."""
        return (
            np.ones(len(users), np.float32)
            if self.weights is None
            else self.weights[users].astype(np.float32)
        )

    def is_liked(self, histories: Histories) -> np.ndarray:
        """Return a mask [E] of the liked events."""
        return histories.values >= self.relevant_from

    def is_wanted(self, histories: Histories) -> np.ndarray:
        """Return a mask [E] of the events that are liked and of a target kind."""
        return np.asarray(self.is_liked(histories) & histories.is_target)

    def mean_over(self, users: np.ndarray, rows: np.ndarray | sp.csr_matrix) -> np.ndarray:
        """Return the float32 mean [N] of `rows` [len(users), N] over these training users, by their
        weights; 0 without users.
        """
        if not len(users):
            return np.zeros(rows.shape[1], np.float32)
        if self.weights is None:
            return np.asarray(rows.mean(0), np.float32).ravel()
        weights = self.weights_of(users)
        return np.asarray(rows.T @ (weights / weights.sum()), np.float32).ravel()

    @cached_property
    def pools(self) -> np.ndarray:
        """[U] number of events before the cut, from which support sets are taken; half of a short
        history.
        """
        return pools_of(self.histories.lengths, self.horizon) if self.cut is None else self.cut

    @cached_property
    def pool(self) -> Histories:
        """Accepted events of each training user before the cut."""
        return self.histories.first(self.pools)

    @cached_property
    def acts_on_targets(self) -> np.ndarray:
        """Indexes of the events of context that are on target items, ascending."""
        assert self.context is not None
        return self.context.acts_on(self.targets)

    @cached_property
    def context_events(self) -> np.ndarray:
        """[U] index of the event on a target item that gives each user's task its circumstances; -1
        for none.
        """
        assert self.context is not None
        return self.context.context_events(self.acts_on_targets)

    @cached_property
    def targets(self) -> Histories:
        """Liked target events of each training user after the cut: the query of their task."""
        later = self.histories.after(self.pools)
        return later.where(self.is_wanted(later))

    @cached_property
    def is_ordered(self) -> bool:
        """Whether early and late events differ in popularity, so that their order must be kept.

        Where they do not, a random part of a history is as good a support as its beginning.
        """
        histories = self.histories
        popularity = np.log1p(np.bincount(histories.items, minlength=self.n_items))[histories.items]
        late = histories.positions >= np.repeat(histories.lengths // 2, histories.lengths)
        rows = histories.lengths >= 4
        half = [
            np.bincount(histories.owners[part], popularity[part], len(histories))[rows]
            / np.maximum(np.bincount(histories.owners[part], minlength=len(histories))[rows], 1)
            for part in (late, ~late)
        ]
        difference = half[0] - half[1]
        if len(difference) < 2:
            return True
        return bool(
            abs(difference.mean())
            > ORDER_T * difference.std(ddof=1) / np.sqrt(len(difference)) + 1e-9
        )


def pools_of(lengths: np.ndarray, horizon: Horizon) -> np.ndarray:
    """Return the number of events [U] before the cut, for histories of these lengths."""
    return np.where(lengths < 1.5 * horizon.pool, lengths // 2, horizon.pool)


def cut_histories(
    events: Events, histories: Histories, horizon: Horizon, *, has_clock: bool
) -> dict[str, Any]:
    """Return the fields of `Behavior` that hold histories, split at the cut as they would be known
    of a new user then.

    An item viewed before the cut and bought after it counts as viewed, and target events on items
    known before it are kept apart (`repeats`). Without times the histories are not split, as no
    event is known to come after another.
    """
    if not has_clock or len(histories.items) == len(events.items):
        return {"histories": histories, "whole": histories}
    early = events.cut(pools_of(histories.lengths, horizon))
    pool, _ = events.where(early).joined()
    later, _ = events.where(~early).joined()
    is_known = np.isin(_pairs(later), _pairs(pool))
    return {
        "histories": pool.then(later.where(~is_known)),
        "whole": histories,
        "repeats": later.where(is_known & later.is_target),
        "acts": events,
        "cut": pool.lengths,
    }


def _pairs(histories: Histories) -> np.ndarray:
    """Return [E] one number for each pair (user, item)."""
    return np.asarray(histories.owners * 2**32 + histories.items)
