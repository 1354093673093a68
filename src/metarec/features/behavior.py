"""What the scorers learn from: everyone's histories beside item content and profiles, cut into
tasks like a new user's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
"""Order carries meaning from this t statistic on: early against late popularity, paired over users.
"""


@dataclass(frozen=True, kw_only=True)
class Behavior:
    """Training users' pasts and what is known of items and users, all by index."""

    histories: Histories
    profiles: np.ndarray
    """[U, P] float32 profile columns of the training users."""
    content: np.ndarray
    """[N, C] float32 content columns of the whole catalog, cold items included."""
    relevant_from: float
    """The value from which an event counts as liked."""
    horizon: Horizon
    weights: np.ndarray | None = None
    """[U] how much each training user counts, mean 1; None: all the same."""
    told: Sequence[Mapping[str, Any]] | None = None
    """[U] attributes of the training users as they stated them; None: nobody stated any."""
    words: UsersInWords | None = None
    """How users are written as text; None where nothing reads them so."""
    whole: Histories = None  # type: ignore[assignment]  # filled in below, never None
    """Everything each training user accepted, each item once, acts after the cut included; the same
    as `histories` where nobody acted twice on an item.
    """
    refused: Histories = None  # type: ignore[assignment]  # filled in below, never None
    """What each training user refused."""
    repeats: Histories = None  # type: ignore[assignment]  # filled in below, never None
    """Targets after the cut on items of the pool."""
    acts: Events | None = None
    """Every act in order; None where nobody is known to have acted twice on an item."""
    cut: np.ndarray | None = None
    """[U] events of each user in the pool; None: by the length of the history."""

    text: np.ndarray | None = None
    """[N, E] what the text encoder made of the items; None where nothing was read."""
    taste: np.ndarray | None = None
    """[N, D] where a prior puts the items; None without one."""
    context: TrainingContext | None = None
    """Friends, places, circumstances and searches; None where there are none."""

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
        """The same world with only these training users."""
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
            told=None if self.told is None else self.told_of(indexes),
            context=None if self.context is None else self.context.users(indexes),
        )

    def rated(self) -> Behavior:
        """The same users with only the events that state a rating."""
        if self.histories.is_rated.all():
            return self
        keep, early = self.histories.is_rated, self.histories.first(self.pools)
        histories = self.histories.where(keep)
        cut = np.bincount(early.owners[early.is_rated], minlength=len(histories))
        return replace(self, histories=histories, whole=histories, cut=cut)

    def batch_of(self, users: np.ndarray, support: Histories) -> UserBatch:
        """These training users, known by `support`, as models are asked about them."""
        return UserBatch(
            support=support,
            profiles=self.profiles[users],
            attributes=self.told_of(users),
            context=None  # type: ignore[arg-type]  # filled in by the batch
            if self.context is None
            else self.context.of_users(
                users, support, self.asked_acts[users], self.pool.users(users)
            ),
        )

    def told_of(self, users: np.ndarray) -> list[Mapping[str, Any]]:
        """Attributes of these training users, as they stated them."""
        return [{} if self.told is None else self.told[user] for user in users]

    def weights_of(self, users: np.ndarray) -> np.ndarray:
        """[len(users)] float32 weight of these training users, 1 for everyone where none were
        given.
        """
        return (
            np.ones(len(users), np.float32)
            if self.weights is None
            else self.weights[users].astype(np.float32)
        )

    def is_liked(self, histories: Histories) -> np.ndarray:
        """[E] whether each event counts as liked."""
        return histories.values >= self.relevant_from

    def is_wanted(self, histories: Histories) -> np.ndarray:
        """[E] whether each event is liked and what recommendations are for."""
        return np.asarray(self.is_liked(histories) & histories.is_target)

    def mean_over(self, users: np.ndarray, rows: np.ndarray | sp.csr_matrix) -> np.ndarray:
        """[N] float32 mean of `rows` [len(users), N] over these training users, by their
        weights; 0 of nobody.
        """
        if not len(users):
            return np.zeros(rows.shape[1], np.float32)
        if self.weights is None:
            return np.asarray(rows.mean(0), np.float32).ravel()
        weights = self.weights_of(users)
        return np.asarray(rows.T @ (weights / weights.sum()), np.float32).ravel()

    @cached_property
    def pools(self) -> np.ndarray:
        """[U] events of each training user that play the support pool; half of a short history."""
        return pools_of(self.histories.lengths, self.horizon) if self.cut is None else self.cut

    @cached_property
    def pool(self) -> Histories:
        """What each training user accepted before the cut."""
        return self.histories.first(self.pools)

    @cached_property
    def asked_acts(self) -> np.ndarray:
        """[U] the act on a target whose circumstances each user's task tells; -1 for none."""
        assert self.context is not None
        return self.context.asked_acts(self.targets)

    @cached_property
    def targets(self) -> Histories:
        """What each training user liked after the pool: the query of their task."""
        asked = self.histories.after(self.pools)
        return asked.where(self.is_wanted(asked))

    @cached_property
    def is_ordered(self) -> bool:
        """Whether early and late events differ (popularity drifts along a history), so that order
        must be kept.

        Where it does not, any random part of a history is as good a support as its beginning.
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
    """[U] events of histories of these lengths that play the support pool."""
    return np.where(lengths < 1.5 * horizon.pool, lengths // 2, horizon.pool)


def cut_histories(
    events: Events, whole: Histories, horizon: Horizon, *, has_clock: bool
) -> dict[str, Any]:
    """Histories of training users as a new user's would be known at the end of their pool.

    An item viewed in the pool and bought after it counts as viewed in the pool, and what was bought
    again is told apart (`repeats`). Without a clock no act comes after another.
    """
    if not has_clock or len(whole.items) == len(events.items):
        return {"histories": whole, "whole": whole}
    early = events.cut(pools_of(whole.lengths, horizon))
    pool, _ = events.where(early).joined()
    later, _ = events.where(~early).joined()
    known = np.isin(_pairs(later), _pairs(pool))
    return {
        "histories": pool.then(later.where(~known)),
        "whole": whole,
        "repeats": later.where(known & later.is_target),
        "acts": events,
        "cut": pool.lengths,
    }


def _pairs(histories: Histories) -> np.ndarray:
    """[E] a number for each (user, item)."""
    return np.asarray(histories.owners * 2**32 + histories.items)
