"""Simple upsampling: users of small groups are copied until groups are of equal size, a baseline
for more complex mitigations.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.schema import Profiles
from metarec.fairness.groups import NOT_STATED, Groups
from metarec.fairness.mitigation.reweighting import training_groups

COPY = "copy"
"""Ids of copies have the form `copy:N:ID`, so that they can be recognized and removed."""


def missing_users(groups: Groups, strength: float = 1.0) -> dict[str, int]:
    """Return the number of users that each stated group lacks to the largest one, times
    `strength`.
    """
    sizes = {label: users for label, users in groups.sizes.items() if label != NOT_STATED}
    largest = max(sizes.values())
    return {label: round(strength * (largest - users)) for label, users in sizes.items()}


def upsample(
    train: Dataset, by: str, rng: np.random.Generator, *, strength: float = 1.0
) -> Dataset:
    """Return the data with users of smaller groups copied at random until all groups are as large
    as the largest.

    Args:
        by: profile attribute.
        strength: share in [0, 1] of the missing users to add.

    Raises:
        BadInput: if no training user states the attribute.
    """
    users, groups = training_groups(train, by)
    ids = np.array(users, dtype=object)
    drawn = [
        rng.choice(ids[groups.mask(label)], size=lacking)
        for label, lacking in missing_users(groups, strength).items()
        if lacking
    ]
    return _with_copies(train, np.concatenate(drawn)) if drawn else train


def _with_copies(train: Dataset, originals: np.ndarray) -> Dataset:
    if not len(originals):
        return train
    copies = pl.DataFrame(
        {
            "user_id": originals.tolist(),
            "copy_id": [f"{COPY}:{n}:{u}" for n, u in enumerate(originals)],
        },
        schema={"user_id": pl.Utf8, "copy_id": pl.Utf8},
    )
    return with_users(
        train, _renamed(train.interactions.frame, copies), _renamed(train.users.frame, copies)
    )


def _renamed(frame: pl.DataFrame, copies: pl.DataFrame) -> pl.DataFrame:
    return (
        copies.join(frame, on="user_id", how="inner", maintain_order="left_right")
        .drop("user_id")
        .rename({"copy_id": "user_id"})
        .select(frame.columns)
    )


def with_users(data: Dataset, events: pl.DataFrame, users: pl.DataFrame) -> Dataset:
    """Return `data` with more users: their events and profile rows, with the columns of the
    data.
    """
    interactions = data.interactions.keep(
        pl.concat([data.interactions.frame, events], how="vertical_relaxed")
    )
    return replace(
        data,
        interactions=interactions,
        users=Profiles(frame=pl.concat([data.users.frame, users], how="vertical_relaxed")),
    )
