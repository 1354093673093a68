"""Meta-learners of other packages: what breaks the interface is refused by one line that names the
class, and what keeps it is let through as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

import metarec
from metarec.data.errors import BrokenPart
from metarec.features.behavior import Behavior
from metarec.models.few_shot.fitted import FittedLearner
from metarec.models.few_shot.learner import question_loss
from metarec.models.few_shot.learners import LEARNERS, Method
from metarec.models.few_shot.training import Training
from metarec.models.registry import MODELS
from world import World, behavior_of

N = 6
SHORT = Training(outer_steps=3, tasks_per_step=4, anchors=2)


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """A learner written from nothing: items like the mean of the support."""

    name: str = "nearest"
    objective: Any = "ranking"

    def init(self, items: Any, profile: int, draw: Any) -> Any:
        return {"gain": torch.ones(items.columns.shape[1])}

    def adapt(self, prior: Any, support: Any, items: Any) -> Any:
        weights = support.values * support.is_real
        return {"mean": (weights.unsqueeze(-1) * items.columns[support.items]).sum(1)}

    def score(self, prior: Any, params: Any, items: Any) -> Any:
        return (params["mean"] * prior["gain"]) @ items.columns.T

    def loss(self, prior: Any, batch: Any, question: Any, items: Any, draw: Any) -> Any:
        params = self.adapt(prior, batch.support, items)
        return question_loss(self, prior, params, question)


class NoPrior(Nearest):
    def init(self, items: Any, profile: int, draw: Any) -> Any:
        return {}


class ListedPrior(Nearest):
    def init(self, items: Any, profile: int, draw: Any) -> Any:
        return {"gain": [1.0]}


class EndlessPrior(Nearest):
    def init(self, items: Any, profile: int, draw: Any) -> Any:
        return {"gain": super().init(items, profile, draw)["gain"] / 0}


class FailsInInit(Nearest):
    def init(self, items: Any, profile: int, draw: Any) -> Any:
        return {"gain": torch.ones(items.no_such)}


class LossNan(Nearest):
    def loss(self, prior: Any, batch: Any, question: Any, items: Any, draw: Any) -> Any:
        return super().loss(prior, batch, question, items, draw) * float("nan")


class LossPerTask(Nearest):
    def loss(self, prior: Any, batch: Any, question: Any, items: Any, draw: Any) -> Any:
        return super().loss(prior, batch, question, items, draw).expand(4)


class LossDetached(Nearest):
    def loss(self, prior: Any, batch: Any, question: Any, items: Any, draw: Any) -> Any:
        return super().loss(prior, batch, question, items, draw).detach()


class LossNumber(Nearest):
    def loss(self, prior: Any, batch: Any, question: Any, items: Any, draw: Any) -> Any:
        return 3.0


class GradientNan(Nearest):
    """Its loss is finite, and the gradient of its loss is not."""

    def loss(self, prior: Any, batch: Any, question: Any, items: Any, draw: Any) -> Any:
        zero = (prior["gain"] - prior["gain"].detach()).square().sum().sqrt()
        return super().loss(prior, batch, question, items, draw) + zero


class FailsInAdapt(Nearest):
    def adapt(self, prior: Any, support: Any, items: Any) -> Any:
        weights: dict[str, Any] = {}
        return weights["weights"]


class AdaptNan(Nearest):
    """Right in training and broken where it serves."""

    def loss(self, prior: Any, batch: Any, question: Any, items: Any, draw: Any) -> Any:
        params = Nearest.adapt(self, prior, batch.support, items)
        return question_loss(self, prior, params, question)

    def adapt(self, prior: Any, support: Any, items: Any) -> Any:
        return {"mean": super().adapt(prior, support, items)["mean"] * float("nan")}


class AdaptOneRow(AdaptNan):
    def adapt(self, prior: Any, support: Any, items: Any) -> Any:
        return {"mean": Nearest.adapt(self, prior, support, items)["mean"][:1]}


class AdaptTensor(AdaptNan):
    def adapt(self, prior: Any, support: Any, items: Any) -> Any:
        return Nearest.adapt(self, prior, support, items)["mean"]


class AdaptWrites(AdaptNan):
    def adapt(self, prior: Any, support: Any, items: Any) -> Any:
        prior["gain"].mul_(2)
        return Nearest.adapt(self, prior, support, items)


class WritesInLoss(Nearest):
    def loss(self, prior: Any, batch: Any, question: Any, items: Any, draw: Any) -> Any:
        batch.support.values.fill_(1)
        return super().loss(prior, batch, question, items, draw)


class FailsInScore(AdaptNan):
    adapt = Nearest.adapt

    def score(self, prior: Any, params: Any, items: Any) -> Any:
        if not torch.is_grad_enabled():
            raise RuntimeError("no license")
        return super().score(prior, params, items)


class ScoresShort(FailsInScore):
    def score(self, prior: Any, params: Any, items: Any) -> Any:
        found = Nearest.score(self, prior, params, items)
        return found if torch.is_grad_enabled() else found[:, 1:]


class ScoresNan(FailsInScore):
    def score(self, prior: Any, params: Any, items: Any) -> Any:
        found = Nearest.score(self, prior, params, items)
        return found if torch.is_grad_enabled() else found / 0


class ScoresArray(FailsInScore):
    def score(self, prior: Any, params: Any, items: Any) -> Any:
        found = Nearest.score(self, prior, params, items)
        return found if torch.is_grad_enabled() else found.numpy()


class Draws(FailsInScore):
    def score(self, prior: Any, params: Any, items: Any) -> Any:
        found = Nearest.score(self, prior, params, items)
        return found if torch.is_grad_enabled() else found + torch.rand(found.shape)


class ReadsPadding(Nearest):
    def adapt(self, prior: Any, support: Any, items: Any) -> Any:
        return {"mean": items.columns[support.items].mean(1)}


class ReadsOrder(Nearest):
    def adapt(self, prior: Any, support: Any, items: Any) -> Any:
        return {"mean": items.columns[support.items[:, 0]] * support.is_real[:, :1]}


@pytest.fixture
def behavior() -> Behavior:
    rows = [np.array(row) for row in ([0, 1, 2, 4], [2, 3, 0, 1], [4, 0, 1], [5, 2, 0])]
    learned = behavior_of(rows, N)
    content = np.random.default_rng(1).normal(size=(N, 4)).astype(np.float32)
    made: Behavior = replace(learned, content=content)
    return made


@pytest.fixture
def register() -> Iterator[Any]:
    before = dict(LEARNERS), dict(MODELS)
    yield lambda make: metarec.register_learner("nearest", Method(make=make, family="metric"))
    tables: Any = (LEARNERS, MODELS)
    for table, kept in zip(tables, before, strict=True):
        table.clear()
        table.update(kept)


def _fit(behavior: Behavior) -> FittedLearner:
    rng = np.random.default_rng(0)
    return FittedLearner.fit(behavior, rng, name="nearest", training=SHORT)


def test_a_right_learner_is_fitted_and_asked(behavior: Behavior, register: Any) -> None:
    register(Nearest)
    fitted = _fit(behavior)
    found = fitted.scores(behavior.histories, behavior.profiles)
    columns, gain = fitted.items.columns.numpy(), fitted.prior["gain"].numpy()
    means = np.stack([columns[row].sum(0) for row in ([0, 1, 2, 4], [2, 3, 0, 1])])
    np.testing.assert_allclose(found[:2], (means * gain) @ columns.T, rtol=1e-4)
    assert np.ptp(gain) > 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (NoPrior, "NoPrior gave no prior from init; return a dict of float tensors by name"),
        (ListedPrior, "ListedPrior gave no prior from init"),
        (EndlessPrior, "EndlessPrior has NaN or infinite values in its parameter 'gain' from init"),
        (FailsInInit, "FailsInInit failed in init: AttributeError: .*no_such"),
        (LossNan, "LossNan gave a loss of nan; keep it and its gradient finite"),
        (LossPerTask, r"LossPerTask gave a loss of shape \(4,\); return a scalar tensor"),
        (LossDetached, "LossDetached gave a loss without a gradient; return a scalar tensor"),
        (LossNumber, "LossNumber gave a loss of type float; return a scalar tensor"),
        (GradientNan, "GradientNan gave a loss of nan"),
        (FailsInAdapt, r"FailsInAdapt failed in loss: KeyError: 'weights', test_added_learners"),
        (AdaptNan, "AdaptNan gave NaN as 'mean' from adapt; give numbers"),
        (AdaptOneRow, r"AdaptOneRow gave 'mean' of shape \(1, \d+\) from adapt for 4 tasks"),
        (AdaptTensor, "AdaptTensor gave Tensor from adapt; return a dict of tensors by name"),
        (AdaptWrites, "AdaptWrites changed the prior or the support in adapt"),
        (WritesInLoss, "WritesInLoss changed the prior or the support in loss"),
        (FailsInScore, "FailsInScore failed in score: RuntimeError: no license"),
        (ScoresShort, r"ScoresShort gave scores of shape \(4, 5\) for 4 tasks and 6 items"),
        (ScoresNan, "ScoresNan gave NaN or infinite values as scores"),
        (ScoresArray, "ScoresArray gave scores of type ndarray; return a tensor of floats"),
        (Draws, "Draws gives other scores when asked again; draw in init and loss"),
        (ReadsPadding, "ReadsPadding gives a user other scores beside longer histories"),
        (ReadsOrder, "ReadsOrder reads 'order' of requests, which its Method leaves out"),
    ],
)
def test_a_wrong_learner_is_refused_by_its_name(
    make: Any, said: str, behavior: Behavior, register: Any
) -> None:
    register(make)
    with pytest.raises(BrokenPart, match=f"^the meta-learner {said}") as refused:
        _fit(behavior)
    assert str(refused.value).endswith("(see docs/guide/extending.md)")
    assert "\n" not in str(refused.value)


def test_a_wrong_learner_ends_a_whole_fit(rated_world: World, register: Any) -> None:
    register(LossNan)
    with pytest.raises(BrokenPart, match="the meta-learner LossNan gave a loss of nan"):
        metarec.Recommender.fit(rated_world.data, "tiny", encoder="none", learner="nearest")
