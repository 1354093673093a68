"""Meta-learners as scorers of the gate; the evidence is their choice probabilities."""

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
from metarec.models.few_shot.tasks import NoEligibleUsers
from metarec.models.few_shot.training import Training
from metarec.runtime.device import in_memory, on_device

_OF_TRAINING = {one.name for one in fields(Training)}


@dataclass(frozen=True, kw_only=True)
class LearnedConfig(Training):
    """Hyper-parameters of a meta-learner: those of meta-training and, in a subclass made for each
    method, the learner's own settings, such as `inner_lr` or `dim`.
    """

    method: ClassVar[str]

    @classmethod
    def of_method(cls, name: str) -> LearnedConfig:
        """Return the default config of the method called `name`."""
        method = get_method(name)
        return _kind_of(name, method)(**asdict(method.training))

    @property
    def own(self) -> dict[str, Any]:
        """Return the learner's own settings that differ from their defaults."""
        return {
            one.name: value
            for one in fields(self)
            if one.name not in _OF_TRAINING and (value := getattr(self, one.name)) != one.default
        }

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by method name: the subclass is made at run time, so workers make it again."""
        return _config_of, (self.method, asdict(self))


@cache
def _kind_of(name: str, method: Method) -> type[LearnedConfig]:
    settings = [
        (setting, type(one.default), one)
        for setting, one in own_settings(method).items()
        if setting not in _OF_TRAINING
    ]
    return make_dataclass(
        f"LearnedConfig[{name}]",
        settings,
        bases=(LearnedConfig,),
        namespace={"method": name, "__doc__": f"Of `{name}`.", "__module__": __name__},
        frozen=True,
        kw_only=True,
    )


def _config_of(name: str, values: Mapping[str, Any]) -> LearnedConfig:
    return replace(LearnedConfig.of_method(name), **values)


@dataclass(frozen=True, kw_only=True)
class Learned:
    """A meta-learner as a scorer: the evidence is the probability of each item to be liked next,
    after adapting to the support.
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
        """Meta-train the learner to rank, on tasks of the training users."""
        config = config or cls.config
        try:
            learner = FittedLearner.fit(
                behavior, rng, name=cls.method, settings=config.own, training=config
            )
        except NoEligibleUsers:  # in a fold of very few users; the gate then learns a low weight
            learner = FittedLearner.untrained(
                behavior, rng, name=cls.method, settings=config.own, config=config
            )
        return cls(learner=learner, config=config)

    def evidence(self, users: UserBatch, out: np.ndarray | None = None) -> np.ndarray:
        """Return choice probabilities [B, N], rows of sum 1."""
        return self.learner.chances(users.support, users.profiles, out)

    def evidence_of(
        self, users: UserBatch, items: Int[np.ndarray, "some"]
    ) -> Float[np.ndarray, "users some"]:
        """Return unnormalized probabilities [B, I] of some items: exp(score), in float64 because
        the largest score of the catalog, which would keep it in range, is not computed.
        """
        scores = self.learner.scores(users.support, users.profiles, items)
        return np.asarray(np.exp(scores.astype(np.float64)))

    def vectors_of(self, items: Int[np.ndarray, "some"]) -> Float[np.ndarray, "some dim"]:
        """Return the feature columns [I, D] of the items."""
        return np.asarray(in_memory(self.learner.items.columns[on_device(items)]))

    # The learner predicts the popularity of new items from content itself
    def with_content(self, content: np.ndarray, popularity: np.ndarray) -> Learned:
        """Return the scorer for a larger catalog; factors and popularity of new items are predicted
        from their content.
        """
        return replace(self, learner=self.learner.with_items(content))

    def arrays(self) -> Mapping[str, np.ndarray]:
        """Return everything learned, as named arrays."""
        return self.learner.arrays()

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, np.ndarray], config: LearnedConfig | None = None
    ) -> Learned:
        """Return the scorer that `arrays()` was called on."""
        return cls(learner=FittedLearner.from_arrays(arrays), config=config or cls.config)


class LearnedBySteps(Learned):
    """A meta-learner that adapts by gradient steps on the support, as a scorer."""

    @property
    def inner_steps(self) -> int:
        """Number of gradient steps on a user's events."""
        learner = self.learner.learner
        assert isinstance(learner, GradientLearner), "see `learned`"
        return learner.adaptation.inner_steps

    def after_steps(self, steps: int) -> LearnedBySteps:
        """Return the same model with `steps` inner steps."""
        return replace(self, learner=replace(self.learner, steps=steps))

    def support_losses(self, users: UserBatch) -> np.ndarray:
        """Return the inner loss [B] after the last inner step."""
        support = self.learner.support(users.support, users.profiles)
        return in_memory(self.learner.support_losses(support))

    def adapted(self, users: UserBatch) -> dict[str, np.ndarray]:
        """Return the adapted parameters, each [B, ...]."""
        support = self.learner.support(users.support, users.profiles)
        return {name: in_memory(value) for name, value in self.learner.adapted(support).items()}


def learned(name: str) -> type[Learned]:
    """Return the scorer class that meta-trains the learner called `name`."""
    method = get_method(name)
    objective: Objective = "ranking" if method.ranks else "rating"
    steps = isinstance(method.make(objective=objective), GradientLearner)
    defaults = {"method": name, "config": LearnedConfig.of_method(name), "reads": method.reads}
    base = LearnedBySteps if steps else Learned
    return type(f"Learned[{name}]", (base,), defaults)
