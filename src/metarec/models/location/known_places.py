"""Shared parts of the models of places: the known places of users, the places of items, and the
likelihood by which a decay with distance is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import scipy.sparse as sp

from metarec.data.places import is_placed
from metarec.features.behavior import Behavior
from metarec.features.distance import (
    Decay,
    decayed_rows,
    decayed_sums,
    on_sphere,
    points_on_sphere,
)
from metarec.features.histories import Histories, offsets_of
from metarec.features.users import UserBatch
from metarec.models.base import EventsConfig, training_weights
from metarec.models.location.kept_rows import MAX_KEPT, KeptRows

SHORT = 3
"""Number of events shown of a training user when a decay is chosen."""


@dataclass(frozen=True, kw_only=True)
class KnownPlaces:
    """Known places of B users: their current place, and the places of the items they took."""

    histories: Histories
    """Ragged [E]: the item that was taken at each place, -1 for the user's current place."""
    points: np.ndarray
    """[E, 3] points of the unit sphere."""

    @classmethod
    def of(cls, users: UserBatch, places: np.ndarray) -> KnownPlaces:
        """Collect the places of users: the current one, and those of the items of the support that
        stand at one of `places` [N, 2].
        """
        support, here = users.support, users.context.location
        taken, is_here = is_placed(places[support.items]), is_placed(here)
        owners = np.concatenate([np.flatnonzero(is_here), support.owners[taken]])
        degrees = np.concatenate([here[is_here], places[support.items[taken]]])
        items = np.concatenate([np.full(is_here.sum(), -1), support.items[taken]])
        order = np.argsort(owners, kind="stable")
        histories = Histories(
            offsets=offsets_of(np.bincount(owners, minlength=len(users))),
            items=items[order],
            values=np.ones(len(owners), np.float32),
        )
        return cls(histories=histories, points=on_sphere(degrees[order]))

    def decayed_apart(self, columns: np.ndarray, decays: Sequence[Decay]) -> np.ndarray:
        """[D, B, 2, N] float32 sums of the decays of the distances to the points of `columns`
        [3, N], separately for the current place and for the history.
        """
        is_here, size = self.histories.items < 0, len(self.points)
        here = np.bincount(self.histories.owners[is_here], minlength=len(self.histories))
        starts = self.histories.offsets[:-1]
        ends = np.stack([starts + here, self.histories.offsets[1:]], axis=1).ravel()
        entries = np.ones(size, np.float32), np.arange(size), np.concatenate([[0], ends])
        summing = sp.csr_matrix(entries, (len(ends), size))
        sums = decayed_sums(summing, self.points, columns, decays)
        return sums.reshape(len(decays), -1, 2, columns.shape[1])


@dataclass(frozen=True, kw_only=True)
class PlaceModel:
    """What the models of places share: the places of items, and a decay with distance."""

    places: np.ndarray
    """[N, 2] float64 degrees; NaN where unknown."""
    scale: float
    """Scale of the decay in kilometers."""
    power: float
    """Exponent of the decay; 0: exponential."""
    location: float
    """Weight of the current place beside 1 for each place of the history."""
    reads: ClassVar[frozenset[str]] = frozenset({"location", "item"})

    def knows(self, users: UserBatch) -> np.ndarray:
        """[B] whether the current place of a user, or that of an item of the support, is known."""
        is_known = is_placed(users.context.location)
        is_known[users.support.owners[self._is_placed[users.support.items]]] = True
        return is_known

    def with_places(self, places: np.ndarray) -> Self:
        """Return the model for a catalog with items at `places` [N', 2]."""
        return replace(self, places=places)

    def near(self, users: UserBatch, weights: np.ndarray, here_weights: np.ndarray) -> np.ndarray:
        """[B, N] float32 sum of the decays of the distances from each user's places to the items.

        Args:
            users: B users whose supports have E events.
            weights: [E] float32 weight of the place of each event.
            here_weights: [B] float32 weight of the current place, where it is known.
        """
        support, location = users.support, users.context.location
        weights = weights * self._is_placed[support.items]
        if len(support.items) * len(self.places) > MAX_KEPT:
            entries = weights, np.arange(len(weights)), support.offsets
            summing = sp.csr_matrix(entries, (len(support), len(weights)))
            points, decays = self._points[support.items], [(self.scale, self.power)]
            sums = decayed_sums(summing, points, self._columns_of_points, decays)[0]
        else:
            sums = self._near_items.sums(support, self._rows_near, weights)
        known = is_placed(location)
        here = slice(None) if known.all() else np.flatnonzero(known)
        near = self._near(on_sphere(location[here]))
        near *= here_weights[here, None]
        sums[here] += near
        return np.asarray(sums)

    def _near(self, points: np.ndarray) -> np.ndarray:
        """[E, N] decays of the distances from `points` [E, 3] to the items."""
        return decayed_rows(points, self._columns_of_points, self.scale, self.power)

    def _rows_near(self, items: np.ndarray) -> np.ndarray:
        """[S, N] decays of the distances from `items` [S] to all items."""
        return self._near(self._points[items])

    @cached_property
    def _near_items(self) -> KeptRows:
        """`_rows_near` of items asked for lately."""
        return KeptRows(len(self.places), len(self.places))

    @cached_property
    def _is_placed(self) -> np.ndarray:
        """[N] whether the place of each item is known."""
        return is_placed(self.places)

    @cached_property
    def _points(self) -> np.ndarray:
        """[N, 3] places of the items on the unit sphere."""
        return points_on_sphere(self.places)

    @cached_property
    def _columns_of_points(self) -> np.ndarray:
        """[3, N] places of the items on the unit sphere."""
        return np.ascontiguousarray(self._points.T)


def taken_by_some(
    behavior: Behavior, max_users: int, rng: np.random.Generator, config: EventsConfig
) -> tuple[np.ndarray, sp.csr_matrix]:
    """Return indexes [V] of at most `max_users` training users, drawn at random and sorted, and the
    weights of their events [V, N].
    """
    kept = np.sort(rng.permutation(len(behavior.whole))[:max_users])
    weights = training_weights(behavior, config)
    return kept, behavior.whole.matrix(behavior.n_items, weights)[kept]


def users_of_short_support(behavior: Behavior, users: np.ndarray) -> tuple[UserBatch, Histories]:
    """Training users with a support of at most `SHORT` events, and what they liked after their
    support pool.
    """
    support = behavior.histories.users(users).first(np.minimum(SHORT, behavior.pools[users]))
    return behavior.batch_of(users, support), behavior.targets.users(users)


def log_likelihood(evidence: np.ndarray, query: Histories) -> float:
    """Mean over users of the mean log share of evidence [B, N] that falls on what they took."""
    taken, totals = evidence[query.owners, query.items], evidence.sum(1)
    return float(log_likelihoods(taken[:, None], totals[:, None], query).mean())


def log_likelihoods(taken: np.ndarray, totals: np.ndarray, query: Histories) -> np.ndarray:
    """[B, P] mean log share of the evidence that falls on what each user took, under each of P
    settings.

    Args:
        taken: [E, P] evidence of the items that users took.
        totals: [B, P] sum of the evidence over all items.
        query: what each user took.
    """
    shares = taken / np.maximum(totals, 1e-30)[query.owners]
    sums = query.sums(np.log(np.maximum(shares, 1e-9)))
    return np.asarray(sums / np.maximum(query.lengths, 1)[:, None])
