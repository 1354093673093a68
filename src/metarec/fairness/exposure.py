"""What slates do to items and to tastes: exposure, coverage, popularity lift, calibration.

- *exposure* of an item group: its share of attention, a place counting 1/log2(place + 1), beside
  its share of the catalog, of training events, and of what users went on to like (Singh and
  Joachims 2018, arXiv:1802.07281);
- *popularity lift*: how much more popular the slate is than what the user liked (Abdollahpouri et
  al. 2020, arXiv:2007.12230), `(slate - liked) / liked`;
- *miscalibration*: how far the slate's mix of categories is from the mix the user went on to
  like, as the Kullback-Leibler divergence of Steck 2018 (doi:10.1145/3240323.3240372), `KL(p ||
  0.99 q + 0.01 p)`, 0 at best.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from metarec.evaluation.measure import Trial
from metarec.fairness.groups import Groups
from metarec.fairness.outcomes import Outcomes
from metarec.runtime.gains import discounts

SMOOTHING = 0.01
"""Share of the liked mix put into the slate's, so that a missing category costs much but not
infinitely much.
"""
PLACES = 10


@dataclass(frozen=True, kw_only=True)
class ExposureRow:
    """One group of items after one number of events; all numbers are shares in [0, 1]."""

    by: str
    group: str
    shots: int
    exposure: float
    """Of the attention of all slates."""
    catalog: float
    """Of the items."""
    events: float
    """Of the training events."""
    liked: float
    """Of what the users evaluated went on to like."""
    coverage: float
    """Of the group's items, how many were shown to anyone."""


def exposure_by_group(outcomes: Outcomes, groups: Groups) -> list[ExposureRow]:
    """How much attention each group of items gets, after each number of events, and how much it
    could claim.
    """
    trial = outcomes.trial
    members = np.array([groups.mask(label) for label in groups.sizes]).T.astype(np.float64)
    events = np.bincount(_event_columns(trial), minlength=len(trial.vocabulary)) @ members
    liked = np.bincount(trial.relevant_cells[1], minlength=len(trial.vocabulary)) @ members
    rows = []
    for step, shots in enumerate(outcomes.shots):
        attention = item_attention(outcomes.ranked[step], len(trial.vocabulary))
        exposure, shown = attention @ members, (attention > 0).astype(np.float64) @ members
        rows += [
            ExposureRow(
                by=groups.name,
                group=label,
                shots=shots,
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
    """Attention [N] each item gets from lists [B, K]: the sum of 1/log2(place + 1) over its first
    `places` places.
    """
    shown = ranked[:, :places]
    weight = np.broadcast_to(discounts(shown.shape[1]), shown.shape)
    there = shown >= 0
    return np.bincount(shown[there], weights=weight[there], minlength=items)


def popularity_lift(ranked: np.ndarray, trial: Trial, *, places: int = PLACES) -> np.ndarray:
    """[B] how much more popular each user's slate is than what they went on to like; 0 is as
    popular, 1 twice.
    """
    popularity = np.bincount(_event_columns(trial), minlength=len(trial.vocabulary)).astype(
        np.float64
    )
    shown = ranked[:, :places]
    there = shown >= 0
    slate = (popularity[np.maximum(shown, 0)] * there).sum(axis=1) / np.maximum(
        there.sum(axis=1), 1
    )
    owner, items = trial.relevant_cells
    users = len(trial.cold_users)
    liked = np.bincount(owner, weights=popularity[items], minlength=users) / np.maximum(
        np.bincount(owner, minlength=users), 1
    )
    return np.where(liked > 0, slate / np.maximum(liked, 1e-12) - 1.0, np.nan)


def miscalibration(
    ranked: np.ndarray, trial: Trial, categories: np.ndarray, *, places: int = PLACES
) -> np.ndarray:
    """[B] divergence of each slate's mix of categories from the mix the user went on to like; NaN
    without any category.

    Args:
        categories: [N, G] share of each item over categories, of the trial's vocabulary.
    """
    owner, items = trial.relevant_cells
    liked = np.zeros((len(trial.cold_users), categories.shape[1]))
    np.add.at(liked, owner, categories[items])
    shown = ranked[:, :places]
    slate = (categories[np.maximum(shown, 0)] * (shown >= 0)[:, :, None]).sum(axis=1)
    return divergence(liked, slate)


def divergence(liked: np.ndarray, slate: np.ndarray) -> np.ndarray:
    """[B] `KL(p || 0.99 q + 0.01 p)` of two mixes [B, G] given as amounts; NaN where nothing is
    liked.
    """
    p = liked / np.maximum(liked.sum(axis=1, keepdims=True), 1e-12)
    q = slate / np.maximum(slate.sum(axis=1, keepdims=True), 1e-12)
    mixed = (1 - SMOOTHING) * q + SMOOTHING * p
    terms = np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0) / np.where(p > 0, mixed, 1.0)), 0.0)
    return np.where(liked.sum(axis=1) > 0, terms.sum(axis=1), np.nan)


def _event_columns(trial: Trial) -> np.ndarray:
    columns = trial.vocabulary.indexes(trial.train.interactions.frame["item_id"])
    return columns[columns >= 0]


def _share(amounts: np.ndarray, group: int) -> float:
    return float(amounts[group] / amounts.sum()) if amounts.sum() > 0 else 0.0
