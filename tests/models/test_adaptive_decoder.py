"""The decoder, meta-learned: users of a batch move apart, by the steps written out, from the very
network that reads them.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from metarec.data.cold_users import Horizon
from metarec.evaluation.adapters import learners_for
from metarec.features.behavior import Behavior
from metarec.features.users import UserBatch
from metarec.models.base import TakesInnerSteps
from metarec.models.registry import ADAPTIVE_DECODERS, config_of, model_class
from metarec.models.transformer.adaptive import AdaptiveDecoder
from world import World, read_events, read_lists

QUICK = {"steps": 60, "learning_rate": 1e-2, "outer_steps": 3, "inner_lr": 0.02, "codes": 6}


@pytest.fixture(scope="module")
def behavior(world: World) -> Behavior:
    histories, _ = read_events(world.data.interactions, world.data.items.vocabulary)
    return Behavior(
        histories=histories,
        profiles=np.zeros((len(histories), 0), np.float32),
        content=np.zeros((24, 0), np.float32),
        relevant_from=-np.inf,
        horizon=Horizon(support_sizes=(0, 1, 3), pool=4, min_events=6),
    )


@pytest.fixture(scope="module", params=ADAPTIVE_DECODERS)
def model(request: pytest.FixtureRequest, behavior: Behavior) -> AdaptiveDecoder:
    config = config_of(request.param, QUICK)
    found = model_class(request.param).fit(behavior, np.random.default_rng(0), config)
    assert isinstance(found, AdaptiveDecoder) and isinstance(found, TakesInnerSteps)
    return found


@pytest.fixture(scope="module")
def users(world: World) -> UserBatch:
    tastes = [world.history("space", 3), world.history("garden", 2), []]
    support, _ = read_lists(tastes, world.data.items.vocabulary)
    return UserBatch(support=support, profiles=np.zeros((3, 0), np.float32))


def test_without_steps_it_is_its_decoder(model: AdaptiveDecoder, users: UserBatch) -> None:
    [shown] = model.shown(users)
    with torch.no_grad():
        plain = torch.softmax(model.network.score(shown), -1).numpy()
    np.testing.assert_allclose(model.after_steps(0).evidence(users), plain, atol=1e-5)
    moved = model.evidence(users)
    np.testing.assert_allclose(moved[2], plain[2], atol=1e-5)  # nobody moves without events
    assert np.abs(moved[:2] - plain[:2]).max() > 1e-5


def test_each_step_lowers_the_loss_on_the_support(model: AdaptiveDecoder, users: UserBatch) -> None:
    losses = [model.after_steps(steps).support_losses(users) for steps in range(4)]
    assert np.shape(losses) == (4, 3) and np.allclose([one[2] for one in losses], 0.0)
    for before, after in zip(losses, losses[1:], strict=False):
        assert (after[:2] < before[:2]).all()


def test_a_step_is_the_gradient_of_one_user_alone(model: AdaptiveDecoder, users: UserBatch) -> None:
    """By torch.autograd, a user at a time, on the network itself."""
    one = model.after_steps(1)
    found = one.adapted(users)
    [shown] = one.shown(users)
    inner, network = one.inner, one.network
    start = {name: value.detach() for name, value in inner.start(network).items()}
    for user in range(2):
        own = {name: value.clone().requires_grad_() for name, value in start.items()}
        row = {name: value[user] for name, value in shown.items()}
        if all(name.startswith(("out.", "code")) for name in own):
            row["states"] = network.read(shown, network.items())[0][user].detach()
        loss: Tensor = inner._loss(network, own, row, inner.vectors(network))
        slopes = torch.autograd.grad(loss, list(own.values()))
        for name, slope in zip(own, slopes, strict=True):
            rate = inner.log_rates[inner.names.index(name), 0].exp()
            rate = rate * inner.spectrum if name == "code" else rate
            expected = (start[name] - rate * slope).detach().numpy()
            np.testing.assert_allclose(found[name][user], expected, atol=1e-5, err_msg=name)


def test_events_that_are_not_liked_move_users_by_what_they_are_worth(
    model: AdaptiveDecoder, users: UserBatch
) -> None:
    inner = model.inner
    kept, inner.liked_from = inner.liked_from, torch.tensor(np.inf)
    worth = inner.unliked.detach().clone()
    try:
        assert np.abs(model.adapted(users)["code"][:2]).max() > 0
        inner.unliked.data.zero_()
        moved = model.adapted(users)
    finally:
        inner.liked_from = kept
        inner.unliked.data.copy_(worth)
    for name, value in inner.start(model.network).items():
        np.testing.assert_array_equal(moved[name], np.tile(value, (3, *[1] * value.ndim)))


def test_evaluation_shows_it_adapted_and_not_adapted_by_one_fit() -> None:
    rows = learners_for(["decoder_lora", "gru4rec"], encoder="none")
    assert [row.name for row in rows] == ["decoder_lora", "decoder_lora, not adapted", "gru4rec"]
    assert rows[1].same is rows[0]
