"""Tuning that is fair to simple methods: every setting is chosen on validation users, and
popularity is mixed in.

A neighbor or autoencoder score is uninformed at zero events and poor at one; without a popularity
prior it is a straw man. Each fit therefore tries its settings, each prior and several prior
weights, and keeps the best mean NDCG@10 over all numbers of events: one choice for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, TypeVar

import numpy as np

from metarec.data.cold_users import LONG, SHORT, ColdUser
from metarec.data.dataset import Dataset
from metarec.data.schema import Vocabulary
from metarec.evaluation import metrics
from metarec.evaluation.baselines.table import Events, TrainingTable
from metarec.evaluation.interface import requests_at
from metarec.recommendation.slate import Request

ScoreAll = Callable[[Events], np.ndarray]
"""Support events of B users -> scores (or predicted values) of the whole catalog, float32 `[B,
N]`.
"""

Part = TypeVar("Part")

MAX_ASKED = 300
"""Validation users used for tuning, at most; more would only cost time."""
MIN_ASKED = 100
"""Validation users used with a large catalog, at least (or all there are)."""
CELLS_ASKED = 8_000_000
"""Scores held at once while tuning: users times numbers of events times items."""
PRIOR_WEIGHTS = (1e-6, 0.02, 0.05, 0.2, 0.5, 1.0, 2.0)
"""Weights of the prior (its largest entry is 1) that are tried; the smallest only breaks ties, and
ranks users without any events.
"""


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One fitted setting of a baseline."""

    settings: dict[str, Any]
    score_all: ScoreAll


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What tuning kept."""

    settings: dict[str, Any]
    score_all: ScoreAll
    prior: np.ndarray
    """[N] weighted prior, added to every row of scores."""
    quality: float
    """NDCG@10 of validation users, mean over numbers of events; NaN without validation users."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Validation users to choose settings by, at every number of events, as one batch."""

    support: Events
    """Support events of all rows, one row for each user and number of events."""
    requests: list[Request]
    candidates: np.ndarray
    """bool [B, N]"""
    liked: np.ndarray
    """bool [B, N]"""
    asked_rows: np.ndarray
    asked_items: np.ndarray
    asked_values: np.ndarray
    """Query events of all rows, flat: row, item index and value."""

    @classmethod
    def of(
        cls, cold_users: Sequence[ColdUser], table: TrainingTable, rng: np.random.Generator
    ) -> Validation:
        """Sample as many users as time and memory allow, each repeated for every number of
        events.
        """
        sizes = support_sizes_of(cold_users)
        max_users = min(
            MAX_ASKED, max(MIN_ASKED, CELLS_ASKED // (len(sizes) * len(table.vocabulary)))
        )
        if len(cold_users) > max_users:
            cold_users = [
                cold_users[i] for i in sorted(rng.choice(len(cold_users), max_users, replace=False))
            ]
        requests = [r for k in sizes for r in requests_at(cold_users, k)]
        repeated = list(cold_users) * len(sizes)
        candidates = np.tile(table.events.seen.getnnz(axis=0) > 0, (len(repeated), 1))
        rows, items = _cells([[e[0] for e in n.pool] for n in repeated], table.vocabulary)
        candidates[rows, items] = False
        liked = np.zeros(candidates.shape, bool)
        liked[_cells([n.relevant for n in repeated], table.vocabulary)] = True
        item_ids = [[e[0] for e in n.rated] for n in repeated]
        values = np.array([e[1] for n in repeated for e in n.rated])
        rows, items = _cells(item_ids, table.vocabulary, keep_unknown=True)
        return cls(
            support=table.support(requests),
            requests=requests,
            candidates=candidates,
            liked=liked,
            asked_rows=rows[items >= 0],
            asked_items=items[items >= 0],
            asked_values=values[items >= 0],
        )

    def ndcg(self, scores: np.ndarray) -> float:
        """Return the mean NDCG@10 over all rows; equal scores are ordered by a fixed shuffle."""
        ranked = metrics.rank(scores, 10, np.random.default_rng(0), self.candidates)
        return float(
            metrics.ndcg(metrics.find_hits(ranked, self.liked), self.liked.sum(axis=1), 10).mean()
        )

    def mae(self, values: np.ndarray, value_range: tuple[float, float]) -> float:
        """Return the mean over rows of the absolute error on query events; `values` is `[B, N]`."""
        predicted = np.clip(values[self.asked_rows, self.asked_items], *value_range)
        return float(
            np.nanmean(
                metrics.mae(predicted, self.asked_values, self.asked_rows, len(self.requests))
            )
        )


def support_sizes_of(cold_users: Sequence[ColdUser]) -> tuple[int, ...]:
    """Return the numbers of events to tune at: those of the horizon that the users' support pools
    reach.
    """
    pool = max((n.n_items for n in cold_users), default=0)
    return tuple(k for k in (LONG if pool > SHORT.pool else SHORT).support_sizes if k <= pool)


def _cells(
    item_ids: list[list[str]], vocabulary: Vocabulary, *, keep_unknown: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    rows = np.repeat(np.arange(len(item_ids)), [len(row) for row in item_ids])
    items = vocabulary.indexes(i for row in item_ids for i in row)
    return (rows, items) if keep_unknown else (rows[items >= 0], items[items >= 0])


def choose_ranker(
    variants: Iterable[Variant],
    priors: dict[str, np.ndarray],
    validation: Validation | None,
    best: Chosen | None = None,
) -> Chosen:
    """Return the variant, prior and weight with the best NDCG@10; the default ones without
    validation users.

    Args:
        variants: fitted settings, the default first.
        priors: name -> `[N]` popularity to mix in; none if empty.
        validation: users to choose by.
        best: choice of an earlier round, kept unless beaten.
    """
    for variant in variants:
        mixes = list(_mixes(priors))
        if validation is None:
            settings, prior = mixes[len(PRIOR_WEIGHTS) // 2 if priors else 0]
            return Chosen(
                settings=variant.settings | settings,
                score_all=variant.score_all,
                prior=prior,
                quality=float("nan"),
            )
        scores = variant.score_all(validation.support)
        for settings, prior in mixes:
            quality = validation.ndcg(scores + prior)
            if best is None or quality > best.quality:
                best = Chosen(
                    settings=variant.settings | settings,
                    score_all=variant.score_all,
                    prior=prior,
                    quality=quality,
                )
    assert best is not None, "a baseline offers at least one variant"
    return best


def _mixes(priors: dict[str, np.ndarray]) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    if not priors:
        yield {}, np.zeros(1, np.float32)
    for (name, prior), weight in product(priors.items(), PRIOR_WEIGHTS):
        yield {"prior": name, "prior_weight": weight}, (weight * prior).astype(np.float32)


@dataclass(kw_only=True)
class Tuned:
    """Base of tuned baselines: settings and scores once `fit` has chosen."""

    name: str
    chosen: Chosen | None = field(default=None, init=False)
    table: TrainingTable | None = field(default=None, init=False)

    @property
    def settings(self) -> dict[str, Any]:
        """What tuning chose."""
        return fitted(self.name, self.chosen).settings

    @property
    def vocabulary(self) -> Vocabulary:
        """Item of each column."""
        return fitted(self.name, self.table).vocabulary

    def score(self, requests: Sequence[Request]) -> np.ndarray:
        """float32 `[B, N]`, higher is better."""
        chosen = fitted(self.name, self.chosen)
        return np.asarray(
            chosen.score_all(fitted(self.name, self.table).support(requests)) + chosen.prior,
            dtype=np.float32,
        )


@dataclass(kw_only=True)
class TunedRanker(Tuned):
    """A baseline that orders the catalog: its scores plus a weighted popularity prior."""

    variants: Callable[[TrainingTable], Iterator[Variant]]
    """Yields the fitted settings to choose from, the default first."""
    refine: Sequence[Callable[[TrainingTable, dict[str, Any]], Iterator[Variant]]] = ()
    """Further rounds of tuning, each around the best setting so far."""
    mixes_popularity: bool = True
    """False where popularity is already part of the scores."""

    def fit(self, train: Dataset, validation: list[ColdUser], rng: np.random.Generator) -> None:
        """Fit every setting on `train` and keep the best on `validation`."""
        self.table, held_out = prepare(train, validation, rng)
        priors = self.table.priors if self.mixes_popularity else {}
        self.chosen = choose_ranker(self.variants(self.table), priors, held_out)
        for refine in self.refine if held_out is not None else ():
            self.chosen = choose_ranker(
                refine(self.table, self.chosen.settings), priors, held_out, best=self.chosen
            )


def prepare(
    train: Dataset, validation: list[ColdUser], rng: np.random.Generator
) -> tuple[TrainingTable, Validation | None]:
    """Return the training table, and the validation users to choose settings by; None without
    any.
    """
    table = TrainingTable.of(train, pool=max((n.n_items for n in validation), default=LONG.pool))
    return table, Validation.of(validation, table, rng) if validation else None


def fitted(name: str, part: Part | None) -> Part:
    """Return `part`, or raise an error that says to fit first."""
    if part is None:
        raise RuntimeError(f"{name} is not fitted yet; call fit(train, validation, rng) first")
    return part
