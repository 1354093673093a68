"""How types and shapes are checked while tests run; nothing of it runs in production."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, get_args, get_origin

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray, install_import_hook

CHECKED = ("metarec.models", "metarec.recommendation")
"""Packages whose functions are checked at each call where they say a shape."""
WHOLLY = (
    "metarec.recommendation.ensemble.gate",
    "metarec.recommendation.ordering.top_k",
    "metarec.models.ease",
    "metarec.models.ease_fit",
    "metarec.models.item_knn",
    "metarec.models.als",
    "metarec.models.markov",
    "metarec.models.markov_counts",
    "metarec.models.content",
    "metarec.models.profile",
    "metarec.models.deep_set.scorer",
    "metarec.models.deep_set.network",
    "metarec.models.support_ridge",
    "metarec.models.ridge_rows",
    "metarec.models.attention",
)
"""Modules whose functions are checked whether they say a shape or not."""
_check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int is a float, as for mypy


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which raises where an argument or the result is not of the type and shape that it
    says. Two types cannot be checked here: `Self` outside of its class, and classes of an interface
    that has attributes.
    """
    hints = function.__annotations__
    if function.__module__ not in WHOLLY and not any(map(says_a_shape, hints.values())):
        return function
    if not isinstance(function, type):
        function.__annotations__ = {n: hint for n, hint in hints.items() if not _is_beyond(hint)}
    return _check(function)


def says_a_shape(hint: Any) -> bool:
    """Whether there is an array of a stated shape in a type."""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(map(says_a_shape, get_args(hint)))


def check_all() -> None:
    """Check what is imported from now on."""
    install_import_hook(CHECKED, f"{__name__}.checked")


def _is_beyond(hint: Any) -> bool:
    of = get_args(hint)[0] if get_origin(hint) is type else None
    return hint is Self or getattr(of, "_is_protocol", False)
