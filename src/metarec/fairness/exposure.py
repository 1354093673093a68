"""Metrics of what slates do to items and tastes: exposure, coverage, popularity lift, calibration.

- *exposure* of a group of items: its share of attention, with weight 1/log2(place + 1) for a
  place, beside its share of the catalog, of training events, and of liked query items (Singh and
  Joachims 2018, arXiv:1802.07281);
- *popularity lift*: relative excess of the slate's mean popularity over that of the liked query
  items (Abdollahpouri et al. 2020, arXiv:2007.12230), `(slate - liked) / liked`;
- *miscalibration*: Kullback-Leibler divergence of the slate's mix of categories from that of the
  liked query items (Steck 2018, doi:10.1145/3240323.3240372), `KL(p || 0.99 q + 0.01 p)`, 0 at
  best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.evaluation.measure import EvaluationSet
from metarec.fairness.groups import Groups
from metarec.fairness.outcomes import Outcomes
from metarec.runtime.gains import discounts

SMOOTHING = 0.01
"""Weight of the liked mix mixed into the slate's, so that a missing category costs much but not
infinitely much.
"""
PLACES = 10


@dataclass(frozen=True, kw_only=True)
class ExposureRow:
    """Exposure of one group of items after one number of events; all numbers are shares in [0,
    1].
    """

    by: str
    group: str
    n_support: int
    exposure: float
    """Share of the attention of all slates."""
    catalog: float
    """Share of the items."""
    events: float
    """Share of the training events."""
    liked: float
    """Share of the query items that the evaluated users liked."""
    coverage: float
    """Share of the group's items shown to any user."""


def exposure_by_group(outcomes: Outcomes, groups: Groups) -> list[ExposureRow]:
    """Return the attention that each group of items gets after each number of events, beside its
    shares of items, events and liked items.
    """
    evaluation_set = outcomes.evaluation_set
    members = np.array([groups.mask(label) for label in groups.sizes]).T.astype(np.float64)
    events = (
        np.bincount(_event_columns(evaluation_set), minlength=len(evaluation_set.vocabulary))
        @ members
    )
    liked = (
        np.bincount(evaluation_set.relevant_cells[1], minlength=len(evaluation_set.vocabulary))
        @ members
    )
    rows = []
    for step, n_support in enumerate(outcomes.support_sizes):
        attention = item_attention(outcomes.ranked[step], len(evaluation_set.vocabulary))
        exposure, shown = attention @ members, (attention > 0).astype(np.float64) @ members
        rows += [
            ExposureRow(
                by=groups.name,
                group=label,
                n_support=n_support,
                exposure=_share(exposure, g),
                catalog=_share(members.sum(0), g),
                events=_share(events, g),
                liked=_share(liked, g),
                coverage=float(shown[g] / members[:, g].sum()),
            )
            for g, label in enumerate(groups.sizes)
        ]
    return rows


def item_attention(ranked: np.ndarray, items: int, *, places: int = PLACES) -> np.ndarray:
    """Return the attention [N] of each item in lists [B, K]: the sum of 1/log2(place + 1) over its
    places among the first `places`.
    """
    shown = ranked[:, :places]
    weight = np.broadcast_to(discounts(shown.shape[1]), shown.shape)
    there = shown >= 0
    return np.bincount(shown[there], weights=weight[there], minlength=items)


def popularity_lift(
    ranked: np.ndarray, evaluation_set: EvaluationSet, *, places: int = PLACES
) -> np.ndarray:
    """Return [B] the relative excess of each user's slate in mean popularity over the query items
    that the user liked: 0 is as popular, 1 twice as popular.
    """
    popularity = np.bincount(
        _event_columns(evaluation_set), minlength=len(evaluation_set.vocabulary)
    ).astype(np.float64)
    shown = ranked[:, :places]
    there = shown >= 0
    slate = (popularity[np.maximum(shown, 0)] * there).sum(axis=1) / np.maximum(
        there.sum(axis=1), 1
    )
    owner, items = evaluation_set.relevant_cells
    users = len(evaluation_set.cold_users)
    liked = np.bincount(owner, weights=popularity[items], minlength=users) / np.maximum(
        np.bincount(owner, minlength=users), 1
    )
    return np.where(liked > 0, slate / np.maximum(liked, 1e-12) - 1.0, np.nan)


def miscalibration(
    ranked: np.ndarray,
    evaluation_set: EvaluationSet,
    categories: np.ndarray,
    *,
    places: int = PLACES,
) -> np.ndarray:
    """Return [B] the divergence of each slate's mix of categories from the mix of the query items
    that the user liked; NaN without any category.

    Args:
        categories: [N, G] category shares of each item of the evaluation set's vocabulary.
    """
    owner, items = evaluation_set.relevant_cells
    liked = np.zeros((len(evaluation_set.cold_users), categories.shape[1]))
    np.add.at(liked, owner, categories[items])
    shown = ranked[:, :places]
    slate = (categories[np.maximum(shown, 0)] * (shown >= 0)[:, :, None]).sum(axis=1)
    return divergence(liked, slate)


def divergence(liked: np.ndarray, slate: np.ndarray) -> np.ndarray:
    """Return [B] `KL(p || 0.99 q + 0.01 p)` of two mixes [B, G] given as amounts; NaN where nothing
    is liked.
    """
    p = liked / np.maximum(liked.sum(axis=1, keepdims=True), 1e-12)
    q = slate / np.maximum(slate.sum(axis=1, keepdims=True), 1e-12)
    mixed = (1 - SMOOTHING) * q + SMOOTHING * p
    terms = np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0) / np.where(p > 0, mixed, 1.0)), 0.0)
    return np.where(liked.sum(axis=1) > 0, terms.sum(axis=1), np.nan)


def _event_columns(evaluation_set: EvaluationSet) -> np.ndarray:
    columns = evaluation_set.vocabulary.indexes(evaluation_set.train.interactions.frame["item_id"])
    return columns[columns >= 0]


def _share(amounts: np.ndarray, group: int) -> float:
    return float(amounts[group] / amounts.sum()) if amounts.sum() > 0 else 0.0
