from __future__ import annotations

import pytest
import torch

from metarec.data.schema import BadInput
from metarec.models.few_shot.adapt import RATE, AdaptConfig, adapt, new_rates, stacked
from metarec.models.few_shot.learner import task_mean
from metarec.models.few_shot.networks import MLPHead


def world(tasks: int = 3):
    draw = torch.Generator().manual_seed(0)
    head = MLPHead(width=4, hidden=(5,))
    prior = {name: value.double() for name, value in head.init(draw).items()}
    x = torch.randn(tasks, 6, 4, generator=draw, dtype=torch.float64)
    y = torch.randn(tasks, 6, generator=draw, dtype=torch.float64)
    return head, prior, x, y


def test_zero_steps_is_the_prior():
    head, prior, x, y = world()
    adapted = adapt(
        lambda p: (head(p, x) - y).square().mean(-1), prior, AdaptConfig(inner_steps=0), tasks=3
    )
    for name, value in adapted.items():
        assert torch.equal(value, prior[name].expand(3, *value.shape[1:]))
    assert torch.equal(head({**prior, **adapted}, x), head(prior, x))


def test_the_prior_is_left_as_it_was_and_the_loss_falls():
    head, prior, x, y = world()
    before = {name: value.clone() for name, value in prior.items()}

    def loss(params):
        return (head(params, x) - y).square().mean(-1)

    adapted = adapt(loss, prior, AdaptConfig(inner_steps=5, inner_lr=0.05), tasks=3)
    assert (loss(prior | adapted) < loss(prior)).all()
    for name, value in before.items():
        assert torch.equal(prior[name], value)
    assert not any(value.requires_grad for value in adapted.values())


def test_one_step_is_torchs_sgd_on_each_task_alone():
    head, prior, x, y = world()
    adapted = stacked(
        prior,
        adapt(
            lambda p: (head(p, x) - y).square().mean(-1),
            prior,
            AdaptConfig(inner_steps=1, inner_lr=0.1),
            tasks=3,
        ),
    )
    for task in range(3):
        own = {name: value.clone().requires_grad_() for name, value in prior.items()}
        sgd = torch.optim.SGD(own.values(), lr=0.1)
        (head(own, x[task : task + 1]) - y[task]).square().mean().backward()
        sgd.step()
        for name, value in own.items():
            torch.testing.assert_close(adapted[name][task], value.detach(), rtol=1e-12, atol=1e-12)


def test_padding_changes_nothing():
    head, prior, x, y = world()
    is_real = torch.ones(3, 6, dtype=torch.bool)
    is_real[:, 4:] = False
    losses = (
        lambda p: task_mean((head(p, x[:, :4]) - y[:, :4]).square(), is_real[:, :4]),
        lambda p: task_mean((head(p, x) - y).square(), is_real),
    )
    short, long = (stacked(prior, adapt(loss, prior, AdaptConfig(), tasks=3)) for loss in losses)
    for name in short:
        torch.testing.assert_close(short[name], long[name], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2])
def test_few_rows_asked_keep_factors_and_change_no_answer(steps):
    head, prior, x, y = world()
    forms = [
        adapt(
            lambda p: (head(p, x) - y).square().mean(-1),
            prior,
            AdaptConfig(inner_steps=steps, rows_asked=rows),
            tasks=3,
        )
        for rows in (None, 1, 1000)
    ]
    assert ["mlp.0.left" in form for form in forms] == [False, steps == 1, False]
    answers = [head({**prior, **form}, x) for form in forms]
    for other in answers[1:]:
        torch.testing.assert_close(other, answers[0], rtol=1e-12, atol=1e-12)


def test_only_named_parameters_move():
    head, prior, x, y = world()
    config = AdaptConfig(adapts=("out.*",))
    adapted = adapt(lambda p: (head(p, x) - y).square().mean(-1), prior, config, tasks=3)
    assert set(stacked(prior, adapted)) == {"out.weight", "out.bias"}


def test_rates_are_learned_beside_what_they_move():
    head, prior, _, _ = world()
    assert new_rates(prior, AdaptConfig()) == {}
    rates = new_rates(prior, AdaptConfig(rates="per_weight", adapts=("out.*",), inner_lr=0.2))
    assert {name: tuple(value.shape) for name, value in rates.items()} == {
        RATE + "out.weight": (5, 1),
        RATE + "out.bias": (1,),
    }
    assert new_rates(prior, AdaptConfig(rates="per_step", inner_steps=4))[
        RATE + "out.bias"
    ].tolist() == pytest.approx([0.1] * 4)


def test_bad_settings_are_named():
    with pytest.raises(BadInput, match="inner_steps must be 0 or more, got -1"):
        AdaptConfig(inner_steps=-1)
    with pytest.raises(BadInput, match="inner_lr must be above 0, got 0"):
        AdaptConfig(inner_lr=0)
    with pytest.raises(BadInput, match="rows_asked must be 1 or more, got 0"):
        AdaptConfig(rows_asked=0)
    with pytest.raises(BadInput, match=r"no parameter is named 'head\.\*'; there are: mlp"):
        new_rates(world()[1], AdaptConfig(adapts=("head.*",)))
