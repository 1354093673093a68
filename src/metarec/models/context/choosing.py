"""Which columns are read and how their lifts are shrunk: chosen by the likelihood of the events of
held-out users.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np

from metarec.features.training_context import Acts, TrainingContext
from metarec.models.context.config import ContextConfig
from metarec.models.context.lifts import (
    Way,
    lifts_of,
    popularity_of,
    ratios_towards,
    shrunk,
    tables_of,
    users_and_items,
)

MAX_CELLS = 20_000_000
"""Bound: number of codes times items up to which axes and content are tried; several tables of that
size are held in memory.
"""
MAX_SCORES = 4_000_000
"""Bound: number of scores computed to choose the weight of all columns."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How columns are read."""

    ways: list[Way | None]
    """How the lifts of each column are shrunk; None where it is not read."""
    weight: float
    """Weight of the sum of log lifts."""


def chosen_for(
    context: TrainingContext, content: np.ndarray, rng: np.random.Generator, config: ContextConfig
) -> Choice:
    """The choice of highest likelihood on a held-out third of the users, by lifts counted over the
    other two.
    """
    acts, held = context.acts, rng.random(len(context.members)) < 1 / 3
    kept, query = acts.where(~held[acts.owners]), acts.where(held[acts.owners])
    query = _one_of_each(query.where(rng.permutation(len(query.items))))
    query = query.where(rng.permutation(len(query.items))[: config.max_acts])
    return likeliest(kept, query, context.columns.sizes, content, config)


def likeliest(
    kept: Acts, query: Acts, sizes: np.ndarray, content: np.ndarray, config: ContextConfig
) -> Choice:
    """The shrinkage of each column and the weight of all that have the highest likelihood of the
    events `query`, by lifts counted over the events `kept`.
    """
    if not len(query.items) or not len(kept.items):
        return Choice(ways=[None] * len(sizes), weight=config.weights[-1])
    shares = popularity_of(kept, len(content))
    tables, best = tables_of(kept, sizes, len(content)), list[_Tried]()
    for prior, alike in groupby(config.tried, key=lambda way: way.prior):
        if not _is_possible(prior, tables, content):
            continue
        _, ratios = ratios_towards(prior, tables, content, config.min_ratio)
        columns = list(zip(tables, ratios, query.codes.T, strict=True))
        for way in alike:
            results = [
                _Tried(way=way, gain=_gain(shrunk(table, ratio, way.damping), codes, query, shares))
                for table, ratio, codes in columns
            ]
            best = [max(p, key=_Tried.mean) for p in zip(best or results, results, strict=True)]
    ways = [
        one.way if _t_statistic(one.gain, query.owners) > config.min_t else None for one in best
    ]
    lifts = lifts_of(tables, content, ways, config.min_ratio)[0]
    totals = _total_gains(lifts, sizes, query, shares, config.weights)
    return Choice(ways=ways, weight=config.weights[int(np.argmax(totals))])


@dataclass(frozen=True, kw_only=True)
class _Tried:
    """Gain of a column under one way of shrinkage."""

    way: Way
    gain: np.ndarray
    """[A] gain in log-likelihood of each held-out event."""

    def mean(self) -> float:
        """Mean gain over all held-out events."""
        return float(self.gain.mean())


def _is_possible(
    prior: tuple[float | None, bool], tables: list[np.ndarray], content: np.ndarray
) -> bool:
    """Whether the data have the content that a prior asks, and are few enough for the prior."""
    asks_content, by_axes = prior[0] is not None, prior[1]
    if not asks_content and not by_axes:
        return True
    is_small = sum(table.size for table in tables) <= MAX_CELLS
    return is_small and (content.shape[1] > 0 or not asks_content)


def _one_of_each(acts: Acts) -> Acts:
    """The first event of each user on each item."""
    _, first = np.unique(users_and_items(acts), return_index=True)
    return acts.where(first)


def _gain(ratios: np.ndarray, codes: np.ndarray, query: Acts, popularity: np.ndarray) -> np.ndarray:
    """[A] gain in log-likelihood of each event by one column, whose P(value | item) / P(value) are
    `ratios` [S, N].
    """
    norms = np.log(ratios @ popularity)
    gain = np.log(ratios[codes, query.items]) - norms[codes]
    return np.asarray(np.where(codes > 0, gain, 0.0))


def _total_gains(
    lifts: np.ndarray,
    sizes: np.ndarray,
    query: Acts,
    popularity: np.ndarray,
    weights: tuple[float, ...],
) -> list[float]:
    """Mean gain of all columns together by each of `weights`, over so many events that at most
    `MAX_SCORES` are computed.
    """
    some = slice(0, min(1000, max(50, MAX_SCORES // len(popularity))))
    items, starts = query.items[some], np.cumsum(sizes) - sizes
    total = np.zeros((len(items), len(popularity)), np.float32)
    for codes, start in zip(query.codes[some].T, starts, strict=True):
        total += lifts[start + codes]
    chosen = total[np.arange(len(items)), items]
    return [
        float((weight * chosen - np.log(np.exp(weight * total) @ popularity)).mean())
        for weight in weights
    ]


def _t_statistic(gain: np.ndarray, owners: np.ndarray) -> float:
    """The t statistic of the users' mean gains; 0 with fewer than three users."""
    users, place = np.unique(owners, return_inverse=True)
    if len(users) < 3:
        return 0.0
    means = np.bincount(place, gain) / np.bincount(place)
    return float(means.mean() / (means.std(ddof=1) / np.sqrt(len(means)) + 1e-12))
