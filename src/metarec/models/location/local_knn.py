"""User k-NN by place: items taken by users who go to the same places as this user.

The agreement of two users is a sum over the pairs of their events of a kernel of the distance
between them, so users who took nothing in common but go to the same quarter agree; events in a
crowded area weigh less. Without the decay (a kernel of 1 at 0 km and 0 elsewhere) this is user
k-NN. The more is known of the user, the more the most similar users dominate.

With few events this is better than distance or co-occurrence alone: on Foursquare .192 after one
check-in, where popularity times distance has .173 and EASE .135 (docs/experiments).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
import scipy.sparse as sp
from jaxtyping import Float
from scipy.spatial import cKDTree

from metarec.data.places import is_placed
from metarec.features.behavior import Behavior
from metarec.features.distance import (
    Decay,
    decay,
    decayed_sums,
    km_pairs,
    on_sphere,
)
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import EventsConfig
from metarec.models.config import setting
from metarec.models.location.known_places import (
    PlaceModel,
    log_likelihood,
    taken_by_some,
    users_of_short_support,
)
from metarec.models.sparse_rows import sparse_arrays, sparse_from

ROWS_AT_ONCE = 64
"""Bound: users scored at a time."""
USERS_AT_ONCE = 2_000
"""Bound: training users whose norms are computed at a time."""


@dataclass(frozen=True, kw_only=True)
class LocalKnnConfig(EventsConfig):
    """Hyper-parameters of k-NN by place. From each list the value is chosen with the highest
    likelihood of what training users took later.
    """

    scales: tuple[float, ...] = setting((0.5, 2.0, 8.0, 32.0), above=0)
    """Scales of the decay in kilometers that are tried (each above 0)."""
    powers: tuple[float, ...] = setting((2.0, 1.0), at_least=0)
    """Exponents of 1 + km / scale that are tried (each 0 or more); 0 stands for exp(-km / scale).
    """
    locations: tuple[float, ...] = setting((1.0, 4.0), at_least=0)
    """Weights of the current place beside 1 for each event that are tried (each 0 or more)."""
    sharpness: float = setting(0.85, above=0)
    """Exponent of the agreement between users after one event (above 0): the higher, the more the
    most similar users dominate.
    """
    growth: float = setting(0.25, at_least=0)
    """Growth of that exponent: it is multiplied by this power of the number of events (0 or more),
    up to `max_sharpness`.
    """
    max_sharpness: float = setting(2.0, above=0)
    """Largest exponent (above 0)."""
    crowding: float = setting(0.5, at_least=0)
    """Exponent of the number of events around an item by which the weight of an event there is
    divided (0 or more).
    """
    sampled: int = setting(1_000, at_least=1)
    """Training events sampled to count the events around each item, at most (1 or more)."""
    compared: int = setting(30, at_least=1)
    """Events of a training user whose pairs are compared for the norm, at most (1 or more)."""
    max_users: int = setting(20_000, at_least=1)
    """Training users that are kept, drawn at random, at most (1 or more)."""
    max_choosing: int = setting(120, at_least=1)
    """Training users by whose likelihood values are chosen, at most (1 or more)."""


@dataclass(frozen=True, kw_only=True)
class LocalKnn(PlaceModel):
    """Evidence = what training users took, weighted by their agreement with the user."""

    taken: sp.csr_matrix
    """[V, N] event weights of each kept training user."""
    norms: np.ndarray
    """[V] float32 square root of each training user's agreement with themselves."""
    rarity: np.ndarray
    """[N] float32 weight of an event on each item, lower in crowded areas; 0 where an item has no
    place.
    """
    config: LocalKnnConfig = LocalKnnConfig()

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: LocalKnnConfig | None = None
    ) -> LocalKnn:
        """Choose the decay with the highest likelihood of what training users liked after their
        support pool.
        """
        assert behavior.context is not None, "fitted only where items have places"
        config = config or cls.config
        places = behavior.context.places
        kept, taken = taken_by_some(behavior, config.max_users, rng, config)
        start = cls(
            places=places,
            taken=taken,
            norms=np.ones(len(kept), np.float32),
            rarity=is_placed(places).astype(np.float32),
            scale=config.scales[0],
            power=config.powers[0],
            location=config.locations[0],
            config=config,
        )
        sample = _sample(behavior.whole, start._is_placed, config.sampled, rng)
        return _likeliest(start, behavior, kept, sample, rng)

    @classmethod
    def chosen_config(
        cls, behavior: Behavior, rng: np.random.Generator, config: LocalKnnConfig | None = None
    ) -> LocalKnnConfig:
        """Return the config with only the chosen values, so that fits on parts of the same data
        choose nothing.
        """
        model = cls.fit(behavior, rng, config)
        return replace(
            model.config,
            scales=(model.scale,),
            powers=(model.power,),
            locations=(model.location,),
        )

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] float32 evidence for every item; nothing for users without a known place."""
        return self._evidence(users, out, np.full(len(users), -1))

    def _evidence(
        self, users: UserBatch, out: np.ndarray | None, themselves: np.ndarray
    ) -> np.ndarray:
        """[B, N] evidence without the events of `themselves` [B], indexes of kept training users or
        -1.
        """
        evidence = np.empty((len(users), len(self.places)), np.float32) if out is None else out
        for rows, some in users.in_parts(ROWS_AT_ONCE):
            agreement = self._agreement(some)
            rows_kept = np.flatnonzero(themselves[rows] >= 0)
            agreement[rows_kept, themselves[rows][rows_kept]] = 0.0
            evidence[rows] = (self._columns @ agreement.T).T
        return evidence

    def _agreement(self, users: UserBatch) -> np.ndarray:
        """[B, V] agreement of the training users with each user, scaled to at most 1 and raised to
        the exponent of `_sharpness`.
        """
        here_weights = np.float32(self.location) * self._rarity_at(users.context.location)
        near = self.near(users, self.rarity[users.support.items], here_weights)
        agreement = np.asarray((self._profiles @ near.T).T, np.float32)
        agreement /= np.maximum(agreement.max(1, keepdims=True), np.float32(1e-30))
        return np.asarray(agreement ** self._sharpness(users)[:, None])

    def _rarity_at(self, places: np.ndarray) -> np.ndarray:
        """[B] float32 weight of an event at `places` [B, 2]: the rarity of the nearest item; 0
        where a place is unknown.
        """
        says, known = np.zeros(len(places), np.float32), np.flatnonzero(is_placed(places))
        tree, placed = self._placed
        if len(known) and len(placed):
            _, nearest = tree.query(on_sphere(places[known]))
            says[known] = self.rarity[placed[nearest]]
        return says

    @cached_property
    def _placed(self) -> tuple[cKDTree, np.ndarray]:
        """A search tree of the items with a place, and their indexes."""
        placed = np.flatnonzero(self._is_placed)
        return cKDTree(self._points[placed]), placed

    def _sharpness(self, users: UserBatch) -> np.ndarray:
        """[B] float32 exponent of the agreement, by the number of events."""
        n_events = np.maximum(users.support.lengths, 1).astype(np.float32)
        power = np.float32(self.config.sharpness) * n_events ** np.float32(self.config.growth)
        return np.asarray(np.minimum(power, np.float32(self.config.max_sharpness)))

    @cached_property
    def _profiles(self) -> sp.csr_matrix:
        """[V, N] normalized weight of each training user's event on each item."""
        return sp.csr_matrix(sp.diags(1.0 / self.norms) @ self.taken @ sp.diags(self.rarity))

    @cached_property
    def _columns(self) -> sp.csr_matrix:
        """[N, V] `taken`, transposed for products."""
        return self.taken.T.tocsr()

    @property
    def settings(self) -> tuple[float, float, float]:
        """Scale, power and weight of the current place."""
        return self.scale, self.power, self.location

    def with_decays(self, decays: Sequence[Decay], sample: np.ndarray) -> list[LocalKnn]:
        """Return the model under each of the `decays`; crowding is counted on `sample`, the items
        of sampled events.
        """
        says = self._crowds(decays, sample) ** np.float32(-self.config.crowding)
        rarity = np.where(self._is_placed, says, np.float32(0.0))
        by_decay = zip(decays, rarity, self._own_agreement(decays, rarity), strict=True)
        return [
            replace(self, scale=scale, power=power, rarity=says, norms=norms)
            for (scale, power), says, norms in by_decay
        ]

    def _crowds(self, decays: Sequence[Decay], sample: np.ndarray) -> np.ndarray:
        """[D, N] decayed number of events around each item, its own included; at least 1."""
        counts = np.asarray(self.taken.sum(0), np.float32).ravel()
        share = np.full((1, len(sample)), counts.sum() / max(len(sample), 1), np.float32)
        near = self._points[sample], self._columns_of_points
        around = decayed_sums(sp.csr_matrix(share), *near, decays)[:, 0]
        return np.asarray(np.maximum(counts, 1.0) + around)

    def _own_agreement(self, decays: Sequence[Decay], rarity: np.ndarray) -> np.ndarray:
        """[D, V] square root of each training user's agreement with themselves: each event with
        itself, and pairs of some of the user's events scaled up to all pairs.

        Args:
            rarity: [D, N] weight of an event on each item under each decay.
        """
        lengths = np.diff(self.taken.indptr)
        some = np.minimum(lengths, self.config.compared)
        stand_for = lengths * (lengths - 1) / np.maximum(some * (some - 1), 1)
        agreement = np.empty((len(decays), len(lengths)), np.float32)
        for start in range(0, len(lengths), USERS_AT_ONCE):
            block = slice(start, start + USERS_AT_ONCE)
            taken = self.taken[block]
            left, right = _pairs(np.diff(taken.indptr), self.config.compared)
            km = km_pairs(self._points[taken.indices[left]], self._points[taken.indices[right]])
            owners = np.repeat(np.arange(taken.shape[0]), np.diff(taken.indptr))
            for of_decay, decayed, says in zip(agreement, decays, rarity, strict=True):
                weights = taken.data * says[taken.indices]
                agree = weights[left] * weights[right] * decay(km, *decayed)
                pairs = 2.0 * np.bincount(owners[left], agree, taken.shape[0])
                themselves = np.bincount(owners, weights * weights, taken.shape[0])
                of_decay[block] = np.sqrt(np.maximum(themselves + pairs * stand_for[block], 1e-12))
        return agreement

    def likelihood(self, batch: UserBatch, query: Histories, themselves: np.ndarray) -> float:
        """Mean over users of the mean log-likelihood of what they took."""
        return log_likelihood(self._evidence(batch, None, themselves), query)

    def with_places(self, places: np.ndarray) -> LocalKnn:
        """Return the model for a catalog with items at `places` [N', 2]."""
        placed = is_placed(places)
        known_rarity = self.rarity[self.rarity > 0]
        usual = np.float32(known_rarity.mean() if len(known_rarity) else 1.0)
        rarity = np.where(placed, np.where(self.rarity > 0, self.rarity, usual), 0.0)
        return replace(self, places=places, rarity=rarity.astype(np.float32))

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> LocalKnn:
        """Return the model for a larger catalog; no user took a new item yet, and new items have no
        place until `with_places`.
        """
        more = len(content) - len(self.places)
        taken = self.taken.copy()
        taken.resize((taken.shape[0], len(content)))
        return replace(
            self,
            places=np.pad(self.places, ((0, more), (0, 0)), constant_values=np.nan),
            rarity=np.pad(self.rarity, (0, more)),
            taken=taken,
        )

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Places, event weights and the decay."""
        return {
            "places": self.places,
            "norms": self.norms,
            "rarity": self.rarity,
            "decay": np.array(self.settings),
            **sparse_arrays(self.taken, "taken_"),
        }

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: LocalKnnConfig | None = None
    ) -> LocalKnn:
        """Restore the model from `arrays()`."""
        scale, power, location = (float(value) for value in arrays["decay"])
        return cls(
            places=arrays["places"],
            taken=sparse_from(arrays, "taken_"),
            norms=arrays["norms"],
            rarity=arrays["rarity"],
            scale=scale,
            power=power,
            location=location,
            config=config or cls.config,
        )


def _sample(
    histories: Histories, is_placed: np.ndarray, max_events: int, rng: np.random.Generator
) -> np.ndarray:
    """Items of randomly sampled events on items with a place."""
    items = histories.items[is_placed[histories.items]]
    return np.asarray(rng.permutation(items)[:max_events])


def _pairs(lengths: np.ndarray, max_events: int) -> tuple[np.ndarray, np.ndarray]:
    """Indexes of both events of each pair of events among the first `max_events` of each user."""
    starts, kept = np.cumsum(lengths) - lengths, np.minimum(lengths, max_events)
    position = np.arange(kept.sum()) - np.repeat(np.cumsum(kept) - kept, kept)
    others = np.repeat(kept, kept) - 1 - position
    left = np.repeat(np.repeat(starts, kept) + position, others)
    right = left + 1 + np.arange(len(left)) - np.repeat(np.cumsum(others) - others, others)
    return left, right


def _likeliest(
    start: LocalKnn,
    behavior: Behavior,
    kept: np.ndarray,
    sample: np.ndarray,
    rng: np.random.Generator,
) -> LocalKnn:
    """Return the model with the decay, and then the weight of the current place, with the highest
    likelihood of what users took after a short support.
    """
    config = start.config
    asked_of = rng.permutation(np.flatnonzero(behavior.targets.lengths > 0))
    users = np.sort(asked_of[: config.max_choosing])
    batch, query = users_of_short_support(behavior, users)
    place = np.full(len(behavior.histories), -1)
    place[kept] = np.arange(len(kept))

    def likelihood(model: LocalKnn) -> float:
        return model.likelihood(batch, query, place[users]) if len(users) else 0.0

    decays = list(product(config.scales, config.powers))
    near = _best(start.with_decays(decays, sample), likelihood)
    return _best([replace(near, location=weight) for weight in config.locations], likelihood)


def _best(models: Sequence[LocalKnn], likelihood: Callable[[LocalKnn], float]) -> LocalKnn:
    """Return the model of highest likelihood, which is not computed for a single one."""
    return models[0] if len(models) == 1 else max(models, key=likelihood)
