"""Meta-learners as scorers of the gate: the chances that they give are the evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, make_dataclass, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.few_shot.fitted import FittedLearner
from metarec.models.few_shot.learner import Objective
from metarec.models.few_shot.learners import Method, get_method, own_settings
from metarec.models.few_shot.learners.gradient import GradientLearner
from metarec.models.few_shot.tasks import NobodyToAsk
from metarec.models.few_shot.training import Training
from metarec.runtime.device import in_memory, on_device

_OF_TRAINING = {one.name for one in fields(Training)}


@dataclass(frozen=True, kw_only=True)
class LearnedConfig(Training):
    """Hyper-parameters of a meta-learner: how its prior is learned, and, in the class of each,
    fields for what the learner itself may be given, such as `inner_lr` or `dim`.
    """

    method: ClassVar[str]

    @classmethod
    def of_method(cls, name: str) -> LearnedConfig:
        """How the method called `name` is made and trained."""
        method = get_method(name)
        return _kind_of(name, method)(**asdict(method.training))

    @property
    def own(self) -> dict[str, Any]:
        """What the learner itself is given, where it is not the default."""
        return {
            one.name: value
            for one in fields(self)
            if one.name not in _OF_TRAINING and (value := getattr(self, one.name)) != one.default
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """For workers, who make the class anew: no module holds it under its name."""
        return _config_of, (self.method, asdict(self))


@cache
def _kind_of(name: str, method: Method) -> type[LearnedConfig]:
    own = [
        (setting, type(one.default), one)
        for setting, one in own_settings(method).items()
        if setting not in _OF_TRAINING
    ]
    return make_dataclass(
        f"LearnedConfig[{name}]",
        own,
        bases=(LearnedConfig,),
        namespace={"method": name, "__doc__": f"Of `{name}`.", "__module__": __name__},
        frozen=True,
        kw_only=True,
    )


def _config_of(name: str, values: Mapping[str, Any]) -> LearnedConfig:
    return replace(LearnedConfig.of_method(name), **values)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """Evidence = chance of each item to be liked next, as one meta-learner has it after the
    support.
    """

    method: ClassVar[str]
    """Name of the meta-learner, set by `learned`."""
    learner: FittedLearner
    config: LearnedConfig = LearnedConfig()
    reads: ClassVar[frozenset[str]] = frozenset({"item", "rating", "profile"})

    @classmethod
    def fit(
        cls, behavior: Behavior, rng: np.random.Generator, config: LearnedConfig | None = None
    ) -> Learned:
        """Meta-train it to rank, on the training users as new users."""
        config = config or cls.config
        try:
            learner = FittedLearner.fit(
                behavior, rng, name=cls.method, settings=config.own, training=config
            )
        except NobodyToAsk:  # in a fold of a handful of users; the gate sees what that is worth
            learner = FittedLearner.untrained(
                behavior, rng, name=cls.method, settings=config.own, config=config
            )
        return cls(learner=learner, config=config)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """[B, N]."""
        return self.learner.chances(users.support, users.profiles, out)

    def evidence_of(
        self, users: UserBatch, items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """[B, I] of some items: float64, since it is not known which is the largest of all."""
        scores = self.learner.scores(users.support, users.profiles, items)
        return np.asarray(np.exp(scores.astype(np.float64)))

    def vectors_of(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some dim"]:
        """[I, D] columns of the items."""
        return np.asarray(in_memory(self.learner.items.columns[on_device(items)]))

    # It predicts popularity itself
    def with_content(self, content: np.ndarray, popularity: np.ndarray) -> Learned:
        """New items are their content, and the factors and popularity that such content
        predicts.
        """
        return replace(self, learner=self.learner.with_items(content))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Everything learned."""
        return self.learner.arrays()

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: LearnedConfig | None = None
    ) -> Learned:
        """From `arrays()`."""
        return cls(learner=FittedLearner.from_arrays(arrays), config=config or cls.config)


class LearnedBySteps(Learned):
    """The same for a learner that takes gradient steps on the support."""

    @property
    def inner_steps(self) -> int:
        """Gradient steps on a user's events."""
        learner = self.learner.learner
        assert isinstance(learner, GradientLearner), "see `learned`"
        return learner.adaptation.inner_steps

    def after_steps(self, steps: int) -> LearnedBySteps:
        """The same model with so many inner steps."""
        return replace(self, learner=replace(self.learner, steps=steps))

    def support_losses(self, users: UserBatch) -> np.ndarray:
        """[B] what the inner loop lowers, where its steps end."""
        support = self.learner.support(users.support, users.profiles)
        return in_memory(self.learner.support_losses(support))

    def adapted(self, users: UserBatch) -> dict[str, np.ndarray]:
        """What moved, each [B, ...]."""
        support = self.learner.support(users.support, users.profiles)
        return {name: in_memory(value) for name, value in self.learner.adapted(support).items()}


def learned(name: str) -> type[Learned]:
    """The scorer that meta-trains the learner called `name`."""
    method = get_method(name)
    objective: Objective = "ranking" if method.ranks else "rating"
    steps = isinstance(method.make(objective=objective), GradientLearner)
    defaults = {"method": name, "config": LearnedConfig.of_method(name), "reads": method.reads}
    base = LearnedBySteps if steps else Learned
    return type(f"Learned[{name}]", (base,), defaults)
