"""Registry of the meta-learners, all with the interface
`metarec.models.few_shot.learner.Learner`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields, is_dataclass, replace
from inspect import signature
from typing import Any, Literal

from metarec.data.arguments import shown
from metarec.data.extensions import Extensions
from metarec.data.schema import BadInput
from metarec.models.few_shot.learner import Learner
from metarec.models.few_shot.learners.deep_kernel import DeepKernel
from metarec.models.few_shot.learners.gradient import (
    anil,
    cavia,
    fomaml,
    maml,
    melu,
    meta_sgd,
    reptile,
    two_tower,
)
from metarec.models.few_shot.learners.matching import Matching
from metarec.models.few_shot.learners.neural_process import NeuralProcess
from metarec.models.few_shot.learners.prototypical import Prototypical
from metarec.models.few_shot.learners.ridge import bayesian_ridge, r2d2
from metarec.models.few_shot.learners.siamese import Siamese
from metarec.models.few_shot.learners.tanp import TaNP
from metarec.models.few_shot.training import Training


@dataclass(frozen=True, kw_only=True)
class Method:
    """Registry entry of a learner: its factory, its inputs and its training."""

    make: Callable[..., Learner]
    """Factory of the learner; takes `objective` and the learner's own settings."""
    family: Literal["gradient", "metric", "amortized", "closed form"]
    training: Training = field(default_factory=Training)
    ranks: bool = True
    """Whether it is trained to rank; otherwise it predicts values, as in its paper, and ranks by
    them.
    """
    values: Literal["residual", "unit"] = "residual"
    """Target where values are ratings: the residual from the item's mean, or the place on the
    scale, in [0, 1].
    """
    content_only: bool = False
    """Whether item features are content alone, as in its paper, without collaborative factors."""
    reads: frozenset[str] = frozenset({"item", "rating", "profile"})
    """Parts of a request that it uses, see `metarec.models.base.READABLE`."""


LEARNERS: dict[str, Method] = {
    "maml": Method(make=maml, family="gradient"),
    "fomaml": Method(make=fomaml, family="gradient"),
    "anil": Method(make=anil, family="gradient"),
    "meta_sgd": Method(make=meta_sgd, family="gradient"),
    "reptile": Method(make=reptile, family="gradient"),
    "cavia": Method(make=cavia, family="gradient"),
    "melu": Method(make=melu, family="gradient", ranks=False, values="unit", content_only=True),
    "two_tower": Method(make=two_tower, family="gradient", ranks=False, values="unit"),
    "siamese": Method(make=Siamese, family="metric"),
    "matching": Method(make=Matching, family="metric"),
    "prototypical": Method(make=Prototypical, family="metric"),
    "neural_process": Method(make=NeuralProcess, family="amortized"),
    "tanp": Method(make=TaNP, family="amortized", ranks=False, values="unit", content_only=True),
    "bayesian_ridge": Method(make=bayesian_ridge, family="closed form"),
    "r2d2": Method(make=r2d2, family="closed form", reads=frozenset({"item", "rating"})),
    "deep_kernel": Method(make=DeepKernel, family="closed form"),
}
"""All meta-learners by name: those of this package and registered ones."""


def _learner_of(method: Method) -> object:
    if not isinstance(method, Method):
        raise BadInput(f"a meta-learner is registered as a Method, got {shown(method)}")
    return method.make(objective="ranking" if method.ranks else "rating")


_LEARNERS: Extensions[Method] = Extensions(
    kind="meta-learner",
    table=LEARNERS,
    needs=("name", "objective", "init", "adapt", "score", "loss"),
    made=_learner_of,
)


def register_learner(name: str, method: Method) -> None:
    """Register a meta-learner for `metarec fit --learner NAME`, `metarec evaluate --learner NAME`.

    Args:
        name: the learner's id.
        method: its factory, inputs and training.

    Raises:
        BadInput: if the name is taken, or the made learner lacks a method of the interface.
    """
    _LEARNERS.register(name, method)


def is_learner(name: str) -> bool:
    """Return whether there is a meta-learner of this name."""
    return _LEARNERS.has(name)


def get_method(name: str) -> Method:
    """Return the method called `name`.

    Raises:
        BadInput: if there is none.
    """
    return _LEARNERS.find(name)


def own_settings(method: Method) -> dict[str, Field[Any]]:
    """Return the numeric settings that `get_learner` takes for this method, with defaults and
    ranges: arguments of its factory and fields of the learner and of its parts.
    """
    made: Any = _learner_of(method)
    parts = [made, *getattr(made, "__dict__", {}).values()]
    of_parts = {one.name: one for part in parts if is_dataclass(part) for one in fields(part)}
    defaults = {one.name: one.default for one in signature(method.make).parameters.values()}
    defaults |= {name: getattr(made, name) for name in of_parts if hasattr(made, name)}
    return {
        name: field(default=value, metadata=of_parts[name].metadata if name in of_parts else None)
        for name, value in defaults.items()
        if type(value) in (int, float)
    }


def get_learner(name: str, **settings: Any) -> Learner:
    """Make a learner by name, with its own settings.

    Raises:
        BadInput: if there is no such learner, or it has no such setting.
    """
    make = get_method(name).make
    taken = signature(make).parameters
    accepted = {key: value for key, value in settings.items() if key in taken}
    of_its_own = {key: value for key, value in settings.items() if key not in accepted}
    try:
        made: Any = make(**accepted)
        return replace(made, **of_its_own) if of_its_own else made  # type: ignore[no-any-return]
    except TypeError as error:
        raise BadInput(f"{name} cannot be made with {settings}: {error}") from error
