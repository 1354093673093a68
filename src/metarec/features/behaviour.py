"""What the scorers learn from: everyone's histories beside item content and profiles, cut into
tasks like a newcomer's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from metarec.data.newcomers import Horizon
from metarec.features.histories import Histories
from metarec.features.people import PeopleInWords

ORDER_T = 4.0
"""Order carries meaning from this t statistic on: early against late popularity, paired over users.
"""


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """Training users' pasts and what is known of items and people, all by index."""

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
    words: PeopleInWords | None = None
    """How people are written as text; None where nothing reads them so."""

    @property
    def n_items(self) -> int:
        """N, the size of the catalog."""
        return len(self.content)

    def users(self, indexes: np.ndarray) -> Behaviour:
        """The same world with only these training users."""
        return Behaviour(
            histories=self.histories.users(indexes),
            profiles=self.profiles[indexes],
            content=self.content,
            relevant_from=self.relevant_from,
            horizon=self.horizon,
            weights=None if self.weights is None else self.weights[indexes],
            told=None if self.told is None else self.told_of(indexes),
            words=self.words,
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

    def mean_over(self, users: np.ndarray, rows: np.ndarray | sp.csr_matrix) -> np.ndarray:
        """[N] float32 mean of `rows` [len(users), N] over these training users, by their
        weights.
        """
        if self.weights is None:
            return np.asarray(rows.mean(0), np.float32).ravel()
        weights = self.weights_of(users)
        return np.asarray(rows.T @ (weights / weights.sum()), np.float32).ravel()

    @cached_property
    def pools(self) -> np.ndarray:
        """[U] events of each training user that play the support pool; half of a short history."""
        lengths = self.histories.lengths
        return np.where(lengths < 1.5 * self.horizon.pool, lengths // 2, self.horizon.pool)

    @cached_property
    def targets(self) -> Histories:
        """What each training user liked after the pool: the query of their task."""
        asked = self.histories.after(self.pools)
        return asked.where(self.is_liked(asked))

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
