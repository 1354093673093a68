"""What models of places share: where a user is known to be, where items stand, and by what a decay
with distance is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from metarec.data.places import is_placed
from metarec.features.behavior import Behavior
from metarec.features.distance import Decay, decayed_sums, on_sphere
from metarec.features.histories import Histories, offsets_of
from metarec.features.users import UserBatch

SHORT = 3
"""Events of a training user that are known where a decay is chosen."""


@dataclass(frozen=True, kw_only=True)
class KnownPlaces:
    """Places of B users: where they are, and where what they took stands."""

    histories: Histories
    """Ragged [E]: the item that was taken there, -1 for where a user is."""
    points: np.ndarray
    """[E, 3] of the unit sphere."""
    weights: np.ndarray
    """[E] float32."""

    @classmethod
    def of(cls, users: UserBatch, places: np.ndarray, location: float) -> KnownPlaces:
        """Of items that stand at `places` [N, 2] each counts once, the current place `location`
        times.
        """
        support, here = users.support, users.context.location
        taken, is_here = is_placed(places)[support.items], is_placed(here)
        owners = np.concatenate([np.flatnonzero(is_here), support.owners[taken]])
        degrees = np.concatenate([here[is_here], places[support.items[taken]]])
        items = np.concatenate([np.full(is_here.sum(), -1), support.items[taken]])
        weights = np.concatenate([np.full(is_here.sum(), location), np.ones(taken.sum())])
        order = np.argsort(owners, kind="stable")
        histories = Histories(
            offsets=offsets_of(np.bincount(owners, minlength=len(users))),
            items=items[order],
            values=np.ones(len(owners), np.float32),
        )
        points, weights = on_sphere(degrees[order]), weights[order].astype(np.float32)
        return cls(histories=histories, points=points, weights=weights)

    def decayed(self, columns: np.ndarray, decay: Decay) -> np.ndarray:
        """[B, N] float32: what is known of each user, decayed to the points of `columns` [3, N]."""
        return np.asarray(self._decayed(columns, [decay], self.histories.offsets)[0])

    def decayed_apart(self, columns: np.ndarray, decays: Sequence[Decay]) -> np.ndarray:
        """[D, B, 2, N] float32 under each decay: of where each user is, and of their history."""
        is_here = self.histories.items < 0
        here = np.bincount(self.histories.owners[is_here], minlength=len(self.histories))
        starts = self.histories.offsets[:-1]
        ends = np.stack([starts + here, self.histories.offsets[1:]], axis=1).ravel()
        found = self._decayed(columns, decays, np.concatenate([[0], ends]))
        return found.reshape(len(decays), -1, 2, columns.shape[1])

    def _decayed(
        self, columns: np.ndarray, decays: Sequence[Decay], offsets: np.ndarray
    ) -> np.ndarray:
        size = len(self.points)
        entries = self.weights, np.arange(size), offsets
        summing = sp.csr_matrix(entries, (len(offsets) - 1, size))
        return decayed_sums(summing, self.points, columns, decays)


def knows_places(users: UserBatch, places: np.ndarray) -> np.ndarray:
    """[B] whether it is known where each user is, or where anything stands that they took."""
    found = is_placed(users.context.location)
    found[users.support.owners[is_placed(places)[users.support.items]]] = True
    return found


def shortly_known(behavior: Behavior, users: np.ndarray) -> tuple[UserBatch, Histories]:
    """Training users of whom a few events are known, and what they took after their pool."""
    support = behavior.histories.users(users).first(np.minimum(SHORT, behavior.pools[users]))
    return behavior.batch_of(users, support), behavior.targets.users(users)


def log_likelihood(evidence: np.ndarray, asked: Histories) -> float:
    """Mean over users of the mean log-share that what they took has of their evidence [B, N]."""
    taken, totals = evidence[asked.owners, asked.items], evidence.sum(1)
    return float(log_likelihoods(taken[:, None], totals[:, None], asked).mean())


def log_likelihoods(taken: np.ndarray, totals: np.ndarray, asked: Histories) -> np.ndarray:
    """[B, P] mean log-share that what each user took has, under each of P settings.

    Args:
        taken: [E, P] evidence of what they took.
        totals: [B, P] evidence of all items.
    """
    shares = taken / np.maximum(totals, 1e-30)[asked.owners]
    sums = asked.sums(np.log(np.maximum(shares, 1e-9)))
    return np.asarray(sums / np.maximum(asked.lengths, 1)[:, None])
