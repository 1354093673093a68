"""Mitigation before training: changes of the training data, or of the weights of users."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from metarec.data.dataset import Dataset
from metarec.data.schema import BadInput
from metarec.fairness.mitigation.augment import augment_with_gan
from metarec.fairness.mitigation.reweighting import inverse_propensity, reweigh
from metarec.fairness.mitigation.upsampling import upsample

BY_GROUP = ("reweighting", "upsampling", "gan")
"""Mitigations that need a column of groups."""
PROPENSITY = "inverse-propensity"
TRAINING_MITIGATIONS = (*BY_GROUP, PROPENSITY)


@dataclass(frozen=True, kw_only=True)
class Mitigated:
    """Training data under a mitigation."""

    data: Dataset
    weights: Mapping[str, float] | None
    """User -> weight; None means equal weights."""
    summary: str
    """What the mitigation did, in a sentence."""


def check_mitigation(name: str | None, by: str | None) -> None:
    """Check the options of a mitigation before any data are read.

    Raises:
        BadInput: for an unknown name, a missing column, or a column where none is taken.
    """
    if name is None:
        if by is not None:
            raise BadInput("--by names the groups of a mitigation; it goes with --mitigate NAME")
        return
    if name not in TRAINING_MITIGATIONS:
        raise BadInput(
            f"--mitigate must be one of {', '.join(TRAINING_MITIGATIONS)}, got {name!r}; the "
            "others of `metarec audit --mitigate` change slates, not the model"
        )
    if (by is None) == (name in BY_GROUP):
        needs = "needs --by COLUMN, an attribute of users" if by is None else "takes no --by"
        raise BadInput(f"--mitigate {name} {needs}")


def mitigated(train: Dataset, name: str, by: str | None, rng: np.random.Generator) -> Mitigated:
    """Return the training data under a mitigation.

    Raises:
        BadInput: as `check_mitigation`, or if no training user states the column.
    """
    check_mitigation(name, by)
    if name == PROPENSITY or by is None:
        weights = inverse_propensity(train)
        return Mitigated(data=train, weights=weights, summary=f"{_range(weights)} by {PROPENSITY}")
    if name == "reweighting":
        weights = reweigh(train, by)
        change = f"{_range(weights)}, so that groups of {by!r} count the same"
        return Mitigated(data=train, weights=weights, summary=change)
    more = (
        upsample(train, by, rng) if name == "upsampling" else augment_with_gan(train, by, rng).data
    )
    added = _users(more) - _users(train)
    made = "copied" if name == "upsampling" else "made up by a GAN"
    change = f"{added:,} users {made}, so that groups of {by!r} are of one size"
    return Mitigated(data=more, weights=None, summary=change)


def _users(data: Dataset) -> int:
    return int(data.interactions.frame["user_id"].n_unique())


def _range(weights: Mapping[str, float]) -> str:
    low, high = min(weights.values()), max(weights.values())
    return f"users weigh {low:.2f} to {high:.2f}"
