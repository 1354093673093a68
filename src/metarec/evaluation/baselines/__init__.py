"""The simple recommenders that so often win: always reported, always tuned on the same validation
users. ItemKNN, EASE, iALS and the fold-in of ContentRidge are models of `metarec.models`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from metarec.data.arguments import check_call
from metarec.data.dataset import Dataset
from metarec.data.extensions import Extensions, call_made
from metarec.data.schema import BadInput
from metarec.evaluation.baselines.ease import ease
from metarec.evaluation.baselines.factors import ials
from metarec.evaluation.baselines.knn import item_knn
from metarec.evaluation.baselines.ratings import item_mean_user_offset, rating_knn
from metarec.evaluation.baselines.ridge import ContentRidge
from metarec.evaluation.baselines.simple import Popular, ProfilePopular, Random, rated_popular
from metarec.evaluation.interface import Evaluated

BASELINES: dict[str, Callable[[], Evaluated]] = {
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
"""Baselines that need data with values."""
OURS = tuple(BASELINES)


def _baseline_of(make: Callable[[], Evaluated]) -> Evaluated:
    check_call("make", make, "a class or a function without arguments that makes a baseline")
    return make()


_BASELINES: Extensions[Callable[[], Evaluated]] = Extensions(
    kind="baseline", table=BASELINES, needs=("name", "fit", "score"), made=_baseline_of
)


def register_baseline(name: str, make: Callable[[], Evaluated]) -> None:
    """Add a baseline to every evaluation, like those of this package.

    Args:
        name: name in tables; must equal the `name` of the baseline.
        make: makes an unfitted baseline: a class or a function without arguments.

    Raises:
        BadInput: if the name is taken, differs from the baseline's own, or a method is missing.
    """
    _BASELINES.register(name, make)
    its_name = _baseline(name).name
    if its_name != name:
        del BASELINES[name]
        raise BadInput(f"the baseline {name!r} calls itself {its_name!r}; both must be the same")


def registered_baselines() -> dict[str, Callable[[], Evaluated]]:
    """Return the baselines registered from outside this package."""
    _BASELINES.load()
    return {name: make for name, make in BASELINES.items() if name not in OURS}


def baselines_for(train: Dataset, names: Sequence[str] | None = None) -> list[Evaluated]:
    """Return unfitted baselines that suit the data, all or of those named.

    Raises:
        BadInput: for a name that is not a baseline.
    """
    registered_baselines()
    for name in names or ():
        _BASELINES.find(name)
    suit = [
        n
        for n in names or BASELINES
        if (train.interactions.has_values or n not in NEED_VALUES)
        and (train.users.attributes or n != "ProfilePopular")
    ]
    return [_baseline(name) for name in suit]


def _baseline(name: str) -> Evaluated:
    """Return an unfitted baseline.

    Raises:
        BrokenPart: if making it fails.
    """
    made: Evaluated = call_made("baseline", name, lambda make: make(), BASELINES[name])
    return made


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
