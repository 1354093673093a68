"""Weights of training users, for `Recommender.fit(..., user_weights=...)`.

- `reweigh`: every group has the same total weight (Kamiran and Calders 2012,
  doi:10.1007/s10115-011-0463-8; unlike in classification there is no label to condition on).
  Groups by activity have equally many users, so they are weighted by events instead;
- `inverse_propensity`: users with events on rarely observed items have larger weights (Schnabel et
  al. 2016, arXiv:1602.05352; propensity as a power of popularity, Yang et al. 2018,
  doi:10.1145/3240323.3240355). Weights are per user, so an event's propensity enters through the
  mean over the user's events.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.fairness.groups import ACTIVITY, NOT_STATED, Groups, group_activity, group_profiles

MAX_WEIGHT = 20.0
"""Maximum weight as a multiple of the mean: a handful of users must not dominate the data."""


def training_groups(train: Dataset, by: str) -> tuple[list[str], Groups]:
    """Return users with training events and their groups by a profile attribute, or by `activity`.

    Raises:
        BadInput: if no training user states the attribute.
    """
    events = _events_of_users(train)
    users = events["user_id"].to_list()
    return users, group_activity(events["len"].to_list()) if by == ACTIVITY else group_profiles(
        train.users.of_users(users), by
    )


def reweigh(train: Dataset, by: str, *, strength: float = 1.0) -> dict[str, float]:
    """Return the weight of each training user, mean 1, so that groups count more evenly.

    Args:
        by: profile attribute, where users who do not state it keep weight 1; or `activity`.
        strength: 0 gives all users the same weight, 1 all groups the same total weight.

    Raises:
        BadInput: if no training user states the attribute, or `strength` is not in [0, 1].
    """
    if not 0.0 <= strength <= 1.0:
        raise BadInput(f"strength must lie in [0, 1], got {strength}")
    users, groups = training_groups(train, by)
    counted = _events_of_users(train)["len"].to_numpy() if by == ACTIVITY else np.ones(len(users))
    sizes = {
        label: float(counted[groups.mask(label)].sum())
        for label in groups.sizes
        if label != NOT_STATED
    }
    fair = sum(sizes.values()) / len(sizes)
    raw = np.array(
        [(fair / sizes[label]) ** strength if label in sizes else 1.0 for label in groups.labels]
    )
    return dict(zip(users, _tamed(raw), strict=True))


def inverse_propensity(train: Dataset, *, power: float = 0.5) -> dict[str, float]:
    """Return the weight of each training user, mean 1: the mean of `popularity ** -power` over the
    user's events.

    Args:
        power: exponent of popularity in the propensity; 0 gives all users the same weight.

    Raises:
        BadInput: if `power` is below 0.
    """
    if power < 0:
        raise BadInput(f"power must be 0 or more, got {power}")
    events = train.interactions.frame.select("user_id", "item_id").with_columns(
        pl.len().over("item_id").alias("seen")
    )
    means = events.group_by("user_id", maintain_order=True).agg(
        pl.col("seen").cast(pl.Float64).pow(-power).mean().alias("raw")
    )
    return dict(zip(means["user_id"].to_list(), _tamed(means["raw"].to_numpy()), strict=True))


def _events_of_users(train: Dataset) -> pl.DataFrame:
    """Return `user_id` and `len`, its number of events, in order of first appearance."""
    return train.interactions.frame.group_by("user_id", maintain_order=True).len()


def _tamed(raw: np.ndarray) -> list[float]:
    weights = np.minimum(raw / raw.mean(), MAX_WEIGHT)
    return [float(w) for w in weights / weights.mean()]
