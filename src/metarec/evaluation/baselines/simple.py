"""Baselines that do not read a user's events: a random ranking, one ranking for all users, one
ranking for all users with the same profile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import Vocabulary
from metarec.evaluation.baselines.table import TrainingTable
from metarec.evaluation.baselines.tuned import TunedRanker, Validation, Variant, fitted, prepare
from metarec.recommendation.slate import Request

MAX_LEVELS = 100
"""Attributes with more distinct values than this (a zip code) are left out: each value has too few
users.
"""
AGE_BANDS = 6
"""Bands of equal size that a numeric attribute is cut into."""


@dataclass(kw_only=True)
class Random:
    """Chance: a fresh random ranking for every request. No honest recommender is worse."""

    name: str = "Random"
    table: TrainingTable | None = field(default=None, init=False)
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0), init=False)

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Read the catalog, and spawn a generator of its own."""
        self.table, self.rng = prepare(train, validation[:1], rng)[0], rng.spawn(1)[0]

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.table).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, uniform in [0, 1)."""
        return self.rng.random((len(requests), len(self.vocabulary)), dtype=np.float32)


def _same_for_all(scores: np.ndarray) -> Variant:
    return Variant(
        settings={},
        score_all=lambda support: np.tile(scores.astype(np.float32), (support.shape[0], 1)),
    )


@dataclass(kw_only=True)
class Popular:
    """Items by number of likes, the same ranking for every user."""

    name: str = "Popular"
    table: TrainingTable | None = field(default=None, init=False)

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Count likes."""
        self.table = prepare(train, validation[:1], rng)[0]

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.table).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, likes divided by those of the most liked item."""
        return np.tile(
            fitted(self.name, self.table).priors["liked"].astype(np.float32), (len(requests), 1)
        )


def rated_popular() -> TunedRanker:
    """Return the damped mean value plus weighted log popularity, the same ranking for every user.

    `(sum of values + damp * mean) / (count + damp) + mix * log(1 + count)`. Hard to beat in the
    first few events.
    """
    return TunedRanker(name="RatedPopular", variants=_rated_variants, mixes_popularity=False)


def _rated_variants(table: TrainingTable) -> Iterator[Variant]:
    events, everything = table.events, np.ones(len(table.events.rows), bool)
    mean = events.values.mean()
    excess = np.bincount(
        events.items, weights=events.values - mean, minlength=len(table.vocabulary)
    )
    for later, damp, mix in product(
        (False, True) if table.knows_later else (False,), (2.0, 5.0, 20.0), (0.3, 1.0, 2.0, 5.0)
    ):
        popularity = np.log1p(table.count(table.later if later else everything))
        variant = _same_for_all(mean + excess / (table.count(everything) + damp) + mix * popularity)
        yield Variant(
            settings={"damp": damp, "mix": mix, "counted": "later" if later else "all"},
            score_all=variant.score_all,
        )


@dataclass(kw_only=True)
class ProfilePopular:
    """Popularity among users with the same attributes: log popularity plus a smoothed log lift for
    each known attribute.

    `log p(item) + weight * sum_a log (p(item | a) / p(item))`, where `p(item | a)` is smoothed
    towards `p(item)` by `pull` pseudo-users. A missing attribute, or a value not seen in training,
    adds nothing.
    """

    name: str = "ProfilePopular"
    settings: dict[str, float | str] = field(default_factory=dict, init=False)
    """What to count, smoothing and weight, as chosen on validation users."""
    table: TrainingTable | None = field(default=None, init=False)
    log_popularity: np.ndarray | None = field(default=None, init=False)
    """[N] log of the smoothed share of users who like each item."""
    lifts: dict[str, tuple[dict[str, int], np.ndarray]] = field(default_factory=dict, init=False)
    """Attribute -> (value -> row, log lifts `[rows, N]`); row 0 is zero, for unknown values."""
    edges: dict[str, np.ndarray] = field(default_factory=dict, init=False)
    """Inner edges of the bands of each numeric attribute."""

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Count likes by attribute; choose the smoothing, the weight and which likes to count on
        `validation`.
        """
        table, held_out = prepare(train, validation, rng)
        self.table = table
        profiles = train.users.of_users(table.user_ids)
        self.edges = _band_edges(train.users.frame)
        levels = {a: self._levels(a, profiles) for a in train.users.attributes}
        levels = {
            a: column
            for a, column in levels.items()
            if 1 < len(set(column)) <= min(MAX_LEVELS, len(column) // 2)
        }
        best = -np.inf
        for counted, pull, weight in product(table.priors, (20.0, 100.0), (1.0, 0.5)):
            self._set(table, levels, counted, pull, weight)
            if held_out is None:
                return
            quality = self._quality(held_out)
            if quality > best:
                best, self.settings = quality, {"counted": counted, "pull": pull, "weight": weight}
        self._set(
            table,
            levels,
            str(self.settings["counted"]),
            float(self.settings["pull"]),
            float(self.settings["weight"]),
        )

    def _quality(self, held_out: Validation) -> float:
        return held_out.ndcg(self.score(held_out.requests))

    def _set(
        self,
        table: TrainingTable,
        levels: dict[str, list[str]],
        counted: str,
        pull: float,
        weight: float,
    ) -> None:
        """Compute log popularity and lifts for one setting."""
        events = table.events
        chosen = events.is_liked & table.later if counted == "liked later" else events.is_liked
        share = (table.count(chosen) + 0.5) / (len(table.user_ids) + 1.0)
        self.log_popularity = np.log(share).astype(np.float32)
        self.lifts = {
            a: _log_lifts(column, events.rows[chosen], events.items[chosen], share, pull, weight)
            for a, column in levels.items()
        }

    def _levels(self, attribute: str, profiles: Sequence[dict[str, object]]) -> list[str]:
        """Return each user's value as text: its band for a numeric attribute, empty where
        unknown.
        """
        values = [p.get(attribute) for p in profiles]
        if attribute not in self.edges:
            return ["" if v is None else str(v) for v in values]
        numbers = (
            pl.Series(values, strict=False)
            .cast(pl.Float64, strict=False)
            .fill_null(np.nan)
            .to_numpy()
        )
        bands = np.searchsorted(self.edges[attribute], numbers, side="right")
        return ["" if np.isnan(n) else str(b) for n, b in zip(numbers, bands, strict=True)]

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.table).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, log popularity among users with the same attributes."""
        scores = np.tile(fitted(self.name, self.log_popularity), (len(requests), 1))
        profiles = [r.profile for r in requests]
        for attribute, (row_of, lifts) in self.lifts.items():
            scores += lifts[[row_of.get(level, 0) for level in self._levels(attribute, profiles)]]
        return scores


def _band_edges(users: pl.DataFrame) -> dict[str, np.ndarray]:
    """Return the quantiles of each numeric attribute that has more distinct values than there are
    bands.
    """
    numeric = [
        c
        for c in users.columns
        if c != "user_id" and users[c].dtype.is_numeric() and users[c].n_unique() > AGE_BANDS
    ]
    cuts = np.arange(1, AGE_BANDS) / AGE_BANDS
    return {
        c: np.unique(np.nanquantile(users[c].drop_nulls().cast(pl.Float64).to_numpy(), cuts))
        for c in numeric
    }


def _log_lifts(
    levels: list[str],
    rows: np.ndarray,
    items: np.ndarray,
    share: np.ndarray,
    pull: float,
    weight: float,
) -> tuple[dict[str, int], np.ndarray]:
    """Return value -> row, and the weighted log lifts [rows, N] of one attribute; row 0 is zero."""
    names = sorted(set(levels) - {""})
    row_of = {name: n + 1 for n, name in enumerate(names)}
    level = np.array([row_of.get(name, 0) for name in levels])
    users = np.bincount(level, minlength=len(names) + 1)
    cells = np.bincount(
        level[rows] * len(share) + items, minlength=(len(names) + 1) * len(share)
    ).reshape(-1, len(share))
    within = (cells + pull * share) / (users[:, None] + pull)
    lifts = weight * np.log(within / share)
    lifts[0] = 0.0
    return row_of, lifts.astype(np.float32)
