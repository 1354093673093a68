"""What models of places share: where a user is known to be, where items stand, and by what a decay
with distance is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.data.places import is_placed
from metarec.features.behavior import Behavior
from metarec.features.distance import decayed_sums, on_sphere
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

    def decayed(self, columns: np.ndarray, scale: float, power: float) -> np.ndarray:
        """[B, N] float32: what is known of each user, decayed to the points of `columns` [3, N]."""
        return decayed_sums(self.histories, self.weights, self.points, columns, scale, power)


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
    totals = np.maximum(evidence.sum(1), 1e-30)
    shares = evidence[asked.owners, asked.items] / totals[asked.owners]
    sums = np.bincount(asked.owners, np.log(np.maximum(shares, 1e-9)), len(asked))
    return float((sums / np.maximum(asked.lengths, 1)).mean())
