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
from metarec.features.distance import decayed_sums, points_on_sphere
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import EventsConfig
from metarec.models.config import setting
from metarec.models.location.kept_rows import KeptRows
from metarec.models.location.known_places import PlaceModel, taken_by_some
from metarec.models.sparse_rows import sparse_arrays, sparse_from

ROWS_AT_ONCE = 64
"""Bound: users scored at a time."""
ENTRIES_AT_ONCE = 4_000_000
"""Bound: pairs of an item and an event compared at a time."""


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
        for rows, some in users.in_parts(ROWS_AT_ONCE):
            evidence[rows] = (self._columns @ self._weights(some).T).T
        return evidence

    def _weights(self, users: UserBatch) -> np.ndarray:
        """[B, V] float32 weight of each training user, at most 1; 0 for users without a known
        place.
        """
        support = users.support
        newest = support.where(
            np.arange(len(support.items))
            >= support.offsets[1:][support.owners] - self.config.max_events
        )
        logs, here = self._kept_logs.sums(newest, self._logs_of_items), self._apart(users, newest)
        logs[here] += self._logs(self._near_places(users.context.location[here]))
        n_events = newest.lengths + np.bincount(here, minlength=len(users))
        exponents = self.config.sharpness / np.maximum(n_events, 1) ** self.config.dependence
        logs *= exponents[:, None].astype(np.float32)
        logs -= logs.max(1, keepdims=True, initial=-np.inf)
        np.exp(logs, out=logs)
        logs[~self.knows(users)] = 0.0
        return logs

    def _apart(self, users: UserBatch, events: Histories) -> np.ndarray:
        """Indexes of the users whose current place says something: it counts as an event of its
        own, unless one of their `events` stands there.
        """
        here, owners = users.context.location, events.owners
        counts = is_placed(here)
        counts[owners[(self.places[events.items] == here[owners]).all(1)]] = False
        return np.flatnonzero(counts)

    @cached_property
    def _kept_logs(self) -> KeptRows:
        """`_logs_of_items` of items asked for lately."""
        return KeptRows(len(self.places), self.taken.shape[0])

    def _logs_of_items(self, items: np.ndarray) -> np.ndarray:
        """[S, V] for each s of `items` the log of `floor` plus P(s | v) / P(s) for each training
        user v.
        """
        rows = np.empty((len(items), self.taken.shape[0]), np.float32)
        at_once = max(1, ENTRIES_AT_ONCE // len(self.places))
        for start in range(0, len(items), at_once):
            some = slice(start, start + at_once)
            rows[some] = self._logs(self._ratios(items[some]))
        return rows

    def _logs(self, ratios: np.ndarray) -> np.ndarray:
        """[S, V] log of `floor` plus the mean of `ratios` [S, N] over each training user's
        items.
        """
        likelihoods = (self._profiles @ ratios.T).T
        likelihoods += np.float32(self.config.floor)
        return np.asarray(np.log(likelihoods, out=likelihoods))

    def _ratios(self, items: np.ndarray) -> np.ndarray:
        """[S, N] float32 P(s | i) / P(s) for each s of `items` and each item i of the catalog."""
        ratios, prior = self._near_places(self.places[items]), np.float32(self.config.prior)
        ratios *= prior
        ratios += self._together(items)
        ratios /= prior + self._counts
        return ratios

    def _near_places(self, places: np.ndarray) -> np.ndarray:
        """[S, N] float32 how many times as likely as anywhere users of each item take what stands
        at `places` [S, 2]; 1 where either place is unknown.
        """
        ratios = self._near(points_on_sphere(places))
        ratios /= self.around
        ratios[:, self._unplaced] = 1.0
        ratios[~is_placed(places)] = 1.0
        return ratios

    @cached_property
    def _unplaced(self) -> np.ndarray:
        """Indexes of the items without a place."""
        return np.flatnonzero(~self._is_placed)

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
