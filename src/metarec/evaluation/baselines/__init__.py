"""The simple recommenders that so often win; always printed, always tuned on the same validation
new users.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import polars as pl

from metarec.data.extensions import Extensions
from metarec.data.schema import BadInput, Dataset, DataWarning
from metarec.evaluation.baselines.ease import ease
from metarec.evaluation.baselines.factors import ials
from metarec.evaluation.baselines.knn import item_knn
from metarec.evaluation.baselines.ratings import item_mean_user_offset, rating_knn
from metarec.evaluation.baselines.ridge import ContentRidge
from metarec.evaluation.baselines.simple import Popular, ProfilePopular, Random, rated_popular
from metarec.evaluation.interface import Judged

BASELINES: dict[str, Callable[[], Judged]] = {
    "Random": Random,
    "Popular": Popular,
    "RatedPopular": rated_popular,
    "ProfilePopular": ProfilePopular,
    "ItemMean+UserOffset": item_mean_user_offset,
    "RatingKNN": rating_knn,
    "ContentRidge": ContentRidge,
    "ItemKNN": item_knn,
    "EASE": ease,
    "iALS": ials,
}
NEED_VALUES = ("RatedPopular", "ItemMean+UserOffset", "RatingKNN")
"""Baselines that mean something only where users state values."""


MAX_INVERTED = 20_000
"""Rows of the matrix that EASE inverts: 1.6 GB of float32, held four times, and hours beyond."""
MAX_TOGETHER = 400_000_000
"""Pairs of items that ItemKNN holds at most, some 5 GB."""


def too_large(train: Dataset) -> dict[str, str]:
    """Baselines that these data are too large for, and why."""
    events = train.interactions.frame
    users, items = events["user_id"].n_unique(), events["item_id"].n_unique()
    said = {}
    if min(users, items) > MAX_INVERTED:
        said["EASE"] = (
            f"EASE inverts a matrix of {min(users, items):,} rows here, above {MAX_INVERTED:,}"
        )
    lengths = events.group_by("user_id").len()["len"].cast(pl.Float64)
    # Polars types sum() as any literal
    together = min(float((lengths**2).sum()), float(items) ** 2)
    if together > MAX_TOGETHER:
        said["ItemKNN"] = (
            f"ItemKNN holds up to {together:,.0f} pairs of items here, above {MAX_TOGETHER:,}"
        )
    return said


OURS = tuple(BASELINES)
_BASELINES: Extensions[Callable[[], Judged]] = Extensions(
    kind="baseline", table=BASELINES, needs=("name", "fit", "score"), made=lambda make: make()
)


def register_baseline(name: str, make: Callable[[], Judged]) -> None:
    """Let a baseline be compared with in every evaluation, as those of this package are.

    Args:
        name: what tables call it; the same as its `name`.
        make: makes an unfitted one: a class or a function without arguments.

    Raises:
        BadInput: if the name is taken or another than its own, or it lacks a method.
    """
    _BASELINES.register(name, make)
    own = make().name
    if own != name:
        del BASELINES[name]
        raise BadInput(f"the baseline {name!r} calls itself {own!r}; both must be the same")


def registered_baselines() -> dict[str, Callable[[], Judged]]:
    """Baselines that others added."""
    _BASELINES.load()
    return {name: make for name, make in BASELINES.items() if name not in OURS}


def baselines_for(train: Dataset, names: Sequence[str] | None = None) -> list[Judged]:
    """Unfitted baselines that suit the data, or those named; those that the data are too large for
    are left out with a `DataWarning` that says why.

    Raises:
        BadInput: for a name that is not a baseline, or for one that the data are too large for.
    """
    large = too_large(train)
    registered_baselines()
    for name in names or ():
        _BASELINES.find(name)
        if name in large:
            raise BadInput(f"{large[name]}; leave it out, or give a part of the data")
    for why in () if names else large.values():
        warnings.warn(f"{why}, so it is left out", DataWarning, stacklevel=2)
    suit = [
        n
        for n in names or BASELINES
        if n not in large
        and (train.interactions.has_values or n not in NEED_VALUES)
        and (train.users.attributes or n != "ProfilePopular")
    ]
    return [BASELINES[name]() for name in suit]


__all__ = [
    "BASELINES",
    "ContentRidge",
    "Popular",
    "ProfilePopular",
    "Random",
    "baselines_for",
    "ease",
    "ials",
    "item_knn",
    "item_mean_user_offset",
    "rated_popular",
    "rating_knn",
    "register_baseline",
    "registered_baselines",
]
