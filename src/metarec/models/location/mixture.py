"""Users as a mixture: items taken by training users who were likely to take what this user took.

How likely a training user v takes item s is the mean over v's items i of P(s | i): the share of
those who took i that took s too, shrunk towards popularity that decays with the distance from i.
Given a user's events, each training user has the posterior weight

    product over events s of (P(s | v) / P(s) + floor) ** sharpness

and the evidence is what training users took, by these weights. So users who took items that go
together with those of the user, or stand near them, count although nothing is common, and a
training user must explain all events, where `local_knn` sums over them (docs/experiments).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float

from metarec.data.places import is_placed
from metarec.features.behavior import Behavior
from metarec.features.distance import decay, decayed_sums, km_table, on_sphere, points_on_sphere
from metarec.features.users import UserBatch
from metarec.models.base import EventsConfig
from metarec.models.config import setting
from metarec.models.location.known_places import PlaceModel, taken_by_some
from metarec.models.sparse_rows import sparse_arrays, sparse_from

ROWS_AT_ONCE = 64
"""Bound: users scored at a time."""
ENTRIES_AT_ONCE = 4_000_000
"""Bound: pairs of an item and an event compared at a time."""
MAX_KEPT = 8_000_000
"""Bound: likelihoods kept for further requests, or those of a single one."""


@dataclass(frozen=True, kw_only=True)
class LocalMixtureConfig(EventsConfig):
    """Hyper-parameters of the mixture of users."""

    scale: float = setting(1.0, above=0)
    """Scale of the decay with distance in kilometers (above 0)."""
    power: float = setting(2.0, at_least=0)
    """Exponent of 1 + km / scale (0 or more); 0 stands for exp(-km / scale)."""
    prior: float = setting(10.0, above=0)
    """Number of users of an item that what stands near it counts as (above 0)."""
    floor: float = setting(0.1, above=0)
    """Ratio to popularity that is added to each event's likelihood (above 0): no event excludes a
    training user.
    """
    sharpness: float = setting(0.9, above=0)
    """Exponent of the likelihood of one event (above 0): the higher, the more the likeliest users
    dominate.
    """
    dependence: float = setting(0.6, at_least=0)
    """Power of the number of events by which that exponent is divided (0 or more): events of a user
    resemble each other, so each further one says less; 0: all are independent.
    """
    max_events: int = setting(10, at_least=1)
    """Newest events of a user that are read, at most (1 or more)."""
    sampled: int = setting(10_000, at_least=1)
    """Training events sampled to weigh what stands around each item, at most (1 or more)."""
    max_users: int = setting(10_000, at_least=1)
    """Training users that are kept, drawn at random, at most (1 or more)."""


@dataclass(frozen=True, kw_only=True)
class LocalMixture(PlaceModel):
    """Evidence = what training users took, weighted by the likelihood of the user's events."""

    taken: sp.csr_matrix
    """[V, N] event weights of each kept training user."""
    around: np.ndarray
    """[N] float32 mean decay of the distance from each item to the sampled events."""
    config: LocalMixtureConfig = LocalMixtureConfig()

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: LocalMixtureConfig | None = None
    ) -> LocalMixture:
        """Store what training users took, and how much stands around each item."""
        assert behavior.context is not None, "fitted only where items have places"
        config, places = config or cls.config, behavior.context.places
        _, taken = taken_by_some(behavior, config.max_users, rng, config)
        items = behavior.whole.items
        events = items[is_placed(places)[items]]
        sample = rng.permutation(events)[: config.sampled]
        return cls(
            places=places,
            scale=config.scale,
            power=config.power,
            location=1.0,
            taken=taken,
            around=_around(places, sample, config),
            config=config,
        )

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] float32 evidence for every item; nothing for users without a known place."""
        evidence = np.empty((len(users), len(self.places)), np.float32) if out is None else out
        for start in range(0, len(users), ROWS_AT_ONCE):
            rows = np.arange(start, min(start + ROWS_AT_ONCE, len(users)))
            evidence[rows] = (self._columns @ self._weights(users.rows(rows)).T).T
        return evidence

    def _weights(self, users: UserBatch) -> np.ndarray:
        """[B, V] float32 weight of each training user, at most 1; 0 for users without a known
        place.
        """
        owners, items, degrees = self._events(users)
        keys = np.concatenate([items[:, None], np.nan_to_num(degrees)], axis=1)
        _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        n_events = np.bincount(owners, minlength=len(users))
        entries = np.ones(len(owners), np.float32), (owners, which.ravel())
        summing = sp.csr_matrix(entries, (len(users), len(first)))
        logs = summing @ self._log_likelihoods(items[first], degrees[first])
        exponents = self.config.sharpness / np.maximum(n_events, 1) ** self.config.dependence
        logs = logs * exponents[:, None].astype(np.float32)
        weights = np.exp(logs - logs.max(1, keepdims=True, initial=-np.inf))
        weights[~self.knows(users)] = 0.0
        return np.asarray(weights, np.float32)

    def _events(self, users: UserBatch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Owner [E], item [E] and place [E, 2] of what is known of users: the newest events, and
        their current place as an event on no item (-1), unless an event stands there.
        """
        support, here = users.support, users.context.location
        ends = support.offsets[1:][support.owners]
        newest = np.arange(len(support.items)) >= ends - self.config.max_events
        owners, items = support.owners[newest], support.items[newest]
        stands_there = np.zeros(len(users), bool)
        stands_there[owners[(self.places[items] == here[owners]).all(1)]] = True
        apart = np.flatnonzero(is_placed(here) & ~stands_there)
        return (
            np.concatenate([owners, apart]),
            np.concatenate([items, np.full(len(apart), -1)]),
            np.concatenate([self.places[items], here[apart]]),
        )

    def _log_likelihoods(self, items: np.ndarray, degrees: np.ndarray) -> np.ndarray:
        """[S, V] float32 log of `floor` plus how many times as likely as popularity says each
        training user takes the `items` [S] at `degrees` [S, 2]; -1 for a place alone.
        """
        likelihoods = np.empty((len(items), self.taken.shape[0]), np.float32)
        kept = [self._kept.get(item) for item in items.tolist()]
        for row, likely in enumerate(kept):
            if likely is not None:
                likelihoods[row] = likely
        asked = np.array([row for row, likely in enumerate(kept) if likely is None], np.int64)
        at_once = max(1, ENTRIES_AT_ONCE // len(self.places))
        for start in range(0, len(asked), at_once):
            some = asked[start : start + at_once]
            likelihoods[some] = (self._profiles @ self._ratios(items[some], degrees[some]).T).T
            self._keep(items[some], likelihoods[some])
        return np.asarray(np.log(likelihoods + np.float32(self.config.floor)))

    def _keep(self, items: np.ndarray, likelihoods: np.ndarray) -> None:
        """Keep the likelihoods of `items` for further requests: they depend on nothing else, and a
        few items are in most of them. Those of places alone are not kept.
        """
        if likelihoods.size + len(self._kept) * likelihoods.shape[1] > MAX_KEPT:
            self._kept.clear()
        pairs = zip(items.tolist(), likelihoods, strict=True)
        self._kept.update({item: likely.copy() for item, likely in pairs if item >= 0})

    @cached_property
    def _kept(self) -> dict[int, np.ndarray]:
        """Item -> [V] likelihood of each training user, of items asked for lately."""
        return {}

    def _ratios(self, items: np.ndarray, degrees: np.ndarray) -> np.ndarray:
        """[S, N] float32 P(s | i) / P(s) for each s of `items` and each item i of the catalog."""
        there = on_sphere(np.nan_to_num(degrees))
        ratios = decay(km_table(there, self._points), self.scale, self.power)
        ratios /= self.around
        ratios[:, ~self._is_placed] = 1.0
        ratios[~is_placed(degrees)] = 1.0
        is_item, prior = items >= 0, np.float32(self.config.prior)
        counted = prior * ratios[is_item] + self._together(items[is_item])
        ratios[is_item] = counted / (prior + self._counts)
        return ratios

    def _together(self, items: np.ndarray) -> np.ndarray:
        """[S, N] float32 how often users who took each other item took one of `items` too, over how
        popular that is.
        """
        took = self._columns[items]
        popularity = np.maximum(self._counts[items], 1e-12) / self._counts.sum()
        others = np.maximum(self._lengths[took.indices] - 1.0, 1.0)
        took.data /= others * np.repeat(popularity, np.diff(took.indptr))
        together = (took @ self.taken).toarray()
        together[np.arange(len(items)), items] = 0.0
        return np.asarray(together, np.float32)

    @cached_property
    def _lengths(self) -> np.ndarray:
        """[V] float32 sum of the event weights of each training user."""
        return np.asarray(self.taken.sum(1), np.float32).ravel()

    @cached_property
    def _counts(self) -> np.ndarray:
        """[N] float32 sum of the event weights on each item."""
        return np.asarray(self.taken.sum(0), np.float32).ravel()

    @cached_property
    def _profiles(self) -> sp.csr_matrix:
        """[V, N] share of each item in a training user's events."""
        shares = sp.diags(1.0 / np.maximum(self._lengths, np.float32(1e-12))) @ self.taken
        return sp.csr_matrix(shares)

    @cached_property
    def _columns(self) -> sp.csr_matrix:
        """[N, V] `taken` by items, to read who took each and to sum what users took."""
        return self.taken.T.tocsr()

    @cached_property
    def _points(self) -> np.ndarray:
        """[N, 3] places of the items on the unit sphere."""
        return points_on_sphere(self.places)

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> LocalMixture:
        """Return the model for a larger catalog; no user took a new item yet, and new items have no
        place until `with_places`.
        """
        more = len(content) - len(self.places)
        taken = self.taken.copy()
        taken.resize((taken.shape[0], len(content)))
        return replace(
            self,
            places=np.pad(self.places, ((0, more), (0, 0)), constant_values=np.nan),
            around=np.pad(self.around, (0, more), constant_values=1.0),
            taken=taken,
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Places, how much stands around each item, and event weights."""
        arrays = {"places": self.places, "around": self.around}
        return {**arrays, **sparse_arrays(self.taken, "taken_")}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: LocalMixtureConfig | None = None
    ) -> LocalMixture:
        """Restore the model from `arrays()`."""
        config = config or cls.config
        return cls(
            places=arrays["places"],
            scale=config.scale,
            power=config.power,
            location=1.0,
            taken=sparse_from(arrays, "taken_"),
            around=arrays["around"],
            config=config,
        )


def _around(places: np.ndarray, sample: np.ndarray, config: LocalMixtureConfig) -> np.ndarray:
    """[N] float32 mean decay of the distance from each place to the places of the `sample` of
    items, which is never 0.
    """
    points, size = points_on_sphere(places), len(sample)
    mean = sp.csr_matrix(np.full((1, size), 1.0 / max(size, 1), np.float32))
    columns = np.ascontiguousarray(points.T)
    sums = decayed_sums(mean, points[sample], columns, [(config.scale, config.power)])
    return np.asarray(np.maximum(sums[0, 0], np.float32(1e-9)))
