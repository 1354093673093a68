"""Nearby items: evidence that decays with the distance from the current place of a user and from
the items the user took.

The probability of an item decays with a power of distance (Ye et al. 2011, "Exploiting geographical
influence for collaborative point-of-interest recommendation") or exponentially; the form and the
scale with the highest likelihood of what training users took later are chosen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from jaxtyping import Float

from metarec.data.places import km_between
from metarec.features.behavior import Behavior
from metarec.features.distance import Decay
from metarec.features.users import UserBatch
from metarec.models.config import ModelConfig, setting
from metarec.models.location.known_places import (
    KnownPlaces,
    PlaceModel,
    log_likelihoods,
    users_of_short_support,
)

ROWS_AT_ONCE = 64
"""Bound: users scored at a time."""
SUMS_AT_ONCE = 8_000_000
"""Bound: sums held at a time, over all decays that are tried: 32 MB."""


@dataclass(frozen=True, kw_only=True)
class LocationConfig(ModelConfig):
    """Hyper-parameters of places. From each list the value is chosen with the highest likelihood of
    what training users took later; the second of `scales`, `locations` and `exponents`, and the
    first of `powers`, if no other is better.
    """

    scales: tuple[float, ...] = setting((0.5, 2.0, 8.0, 25.0, 80.0), above=0)
    """Scales of the decay in kilometers that are tried (each above 0)."""
    powers: tuple[float, ...] = setting((1.0, 2.0, 0.0), at_least=0)
    """Exponents of 1 + km / scale that are tried (each 0 or more); 0 stands for exp(-km / scale).
    """
    locations: tuple[float, ...] = setting((1.0, 4.0, 16.0, 64.0), at_least=0)
    """Weights of the current place beside 1 for each place of the history that are tried (each 0 or
    more).
    """
    exponents: tuple[float, ...] = setting((1.0, 0.5, 0.0), at_least=0)
    """Exponents of popularity that are tried (each 0 or more); 0 suits items that are popular only
    with users nearby.
    """
    floor: float = setting(1e-4, at_least=0)
    """Share of a user's largest kernel sum that is added to every item, however far away (0 or
    more).
    """
    max_users: int = setting(200, at_least=1)
    """Training users by whose likelihood values are chosen, at most (1 or more)."""


@dataclass(frozen=True, kw_only=True)
class Location(PlaceModel):
    """Evidence = popularity times the sum of kernels over known places."""

    popularity: np.ndarray
    """[N] float32 share of each item in all events, smoothed."""
    exponent: float
    """Exponent of popularity in the evidence."""
    config: LocationConfig = LocationConfig()

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: LocationConfig | None = None
    ) -> Location:
        """Choose the decay with the highest likelihood of what training users liked after their
        support pool.
        """
        assert behavior.context is not None, "fitted only where items have places"
        config = config or cls.config
        counts = np.bincount(behavior.whole.items, minlength=behavior.n_items) + 0.5
        popularity = (counts / counts.sum()).astype(np.float32)
        able = np.flatnonzero(behavior.targets.lengths > 0)
        users = np.sort(rng.permutation(able)[: config.max_users])
        start = cls(
            places=behavior.context.places,
            popularity=popularity,
            scale=_second(config.scales),
            power=config.powers[0],
            location=_second(config.locations),
            exponent=_second(config.exponents),
            config=config,
        )
        return _likeliest(start, behavior, users) if len(users) else start

    @classmethod
    def chosen_config(
        cls, behavior: Behavior, rng: np.random.Generator, config: LocationConfig | None = None
    ) -> LocationConfig:
        """Return the config with only the chosen values, so that fits on parts of the same data
        choose nothing.
        """
        model = cls.fit(behavior, rng, config)
        return replace(
            model.config,
            scales=(model.scale,),
            powers=(model.power,),
            locations=(model.location,),
            exponents=(model.exponent,),
        )

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N] float32 evidence for every item; nothing for users without a known place."""
        evidence = np.zeros((len(users), len(self.places)), np.float32) if out is None else out
        for rows, some in users.in_parts(ROWS_AT_ONCE):
            evidence[rows] = self._evidence_by_distance(some)
        return evidence

    def _evidence_by_distance(self, users: UserBatch) -> np.ndarray:
        """[B, N] evidence for every item."""
        here_weights = np.full(len(users), self.location, np.float32)
        weights = np.ones(len(users.support.items), np.float32)
        sums = self._floored(self.near(users, weights, here_weights))
        sums *= self._attraction
        return sums

    @cached_property
    def _attraction(self) -> np.ndarray:
        """[N] float32 popularity in the evidence; 0 where an item has no place."""
        return np.asarray(self.popularity ** np.float32(self.exponent) * self._is_placed)

    def _floored(self, sums: np.ndarray) -> np.ndarray:
        """Add `floor` times the largest of each row to `sums` [B, N], in place."""
        sums += np.float32(self.config.floor) * sums.max(1, keepdims=True)
        return sums

    @property
    def settings(self) -> tuple[float, float, float, float]:
        """Scale, power, weight of the current place and exponent of popularity."""
        return self.scale, self.power, self.location, self.exponent

    def km_to(self, location: np.ndarray, item: int) -> float:
        """Kilometers from a location [2] to an item; NaN where either is unknown."""
        return float(km_between(location[None], self.places[item][None])[0])

    def with_content(
        self, content: Float[np.ndarray, "items columns"], popularity: Float[np.ndarray, "items"]
    ) -> Location:
        """Return the model for a larger catalog; new items have no place until `with_places`."""
        grown = np.full((len(content), 2), np.nan)
        grown[: len(self.places)] = self.places
        return replace(self, places=grown, popularity=popularity.astype(np.float32))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Places, popularity and the decay."""
        decay = np.array(self.settings)
        return {"places": self.places, "popularity": self.popularity, "decay": decay}

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: LocationConfig | None = None
    ) -> Location:
        """Restore the model from `arrays()`."""
        scale, power, location, exponent = (float(value) for value in arrays["decay"])
        return cls(
            places=arrays["places"],
            popularity=arrays["popularity"],
            scale=scale,
            power=power,
            location=location,
            exponent=exponent,
            config=config or cls.config,
        )


def _likeliest(start: Location, behavior: Behavior, users: np.ndarray) -> Location:
    """Return the model with the settings of highest likelihood of what users took after a short
    support; `start` unless another is better.
    """
    tries = start.config
    decays = list(product(tries.scales, tries.powers))
    if len(decays) * len(tries.locations) * len(tries.exponents) == 1:
        return start
    at_once = max(1, SUMS_AT_ONCE // (2 * behavior.n_items * len(decays)))
    log_likelihoods = np.sum(
        [
            _log_likelihoods(start, behavior, users[first : first + at_once], decays)
            for first in range(0, len(users), at_once)
        ],
        axis=0,
    )
    settings = list(product(decays, tries.locations, tries.exponents))
    before = settings.index(((start.scale, start.power), start.location, start.exponent))
    best = int(log_likelihoods.argmax())
    if log_likelihoods.flat[best] <= log_likelihoods.flat[before]:
        return start
    (scale, power), location, exponent = settings[best]
    return replace(start, scale=scale, power=power, location=location, exponent=exponent)


def _log_likelihoods(
    start: Location, behavior: Behavior, users: np.ndarray, decays: list[Decay]
) -> np.ndarray:
    """[D, L, P] sums over the given users of the mean log-likelihood of what they took, for each
    decay, weight of the current place, and exponent of popularity. The sums over distances are
    computed once for each decay.
    """
    tries, (batch, query) = start.config, users_of_short_support(behavior, users)
    known = KnownPlaces.of(batch, start.places)
    weights = start.popularity[:, None] ** np.array(tries.exponents, np.float32)
    weights *= start._is_placed[:, None]
    totals = np.zeros((len(decays), len(tries.locations), len(tries.exponents)))
    for decay, apart in enumerate(known.decayed_apart(start._columns_of_points, decays)):
        for row, location in enumerate(tries.locations):
            sums = start._floored(np.float32(location) * apart[:, 0] + apart[:, 1])
            taken = sums[query.owners, query.items, None] * weights[query.items]
            totals[decay, row] = log_likelihoods(taken, sums @ weights, query).sum(0)
    return totals


def _second(values: tuple[float, ...]) -> float:
    """The second value of a list, or its only one."""
    return values[min(1, len(values) - 1)]
