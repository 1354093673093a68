"""What must hold of every meta-learner, whatever it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from episodes import PROFILE, some_batch, some_items, some_support
from metarec.data.schema import BadInput
from metarec.models.few_shot.adapt import AdaptConfig, stacked
from metarec.models.few_shot.learner import question_of
from metarec.models.few_shot.learners import LEARNERS, get_learner
from metarec.models.few_shot.learners.gradient import GradientLearner
from metarec.models.few_shot.networks import TwoTowerBody

CASES = [(name, objective) for name in LEARNERS for objective in ("ranking", "rating")]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def case(request):
    """A learner with a prior somewhere off its start, so that no part of it is still zero."""
    name, objective = request.param
    learner, items = get_learner(name, objective=objective), some_items()
    draw = torch.Generator().manual_seed(3)
    prior = {
        key: value.double() + 0.1 * torch.randn(value.shape, generator=draw, dtype=torch.float64)
        for key, value in learner.init(items, PROFILE, draw).items()
    }
    return learner, prior, items


def task_of(support, row):
    """One of the tasks."""
    given = {name: getattr(support, name) for name in ("items", "values", "is_real", "profile")}
    alone = {n: value if value is None else value[row : row + 1] for n, value in given.items()}
    return replace(support, **alone)


def answers(learner, prior, support, items):
    return learner.score(prior, learner.adapt(prior, support, items), items)


def test_a_support_changes_its_own_task_only(case):
    learner, prior, items = case
    support = some_support([4, 2, 0])
    before = {key: value.clone() for key, value in prior.items()}
    together = answers(learner, prior, support, items)
    assert together.shape == (3, len(items))
    assert torch.isfinite(together).all()
    for b in range(3):
        alone = answers(learner, prior, task_of(support, b), items)
        torch.testing.assert_close(together[b : b + 1], alone, rtol=1e-9, atol=1e-10)
    assert all(torch.equal(prior[key], value) for key, value in before.items())
    assert (together[0] - together[2]).abs().max() > 1e-6


def test_padding_changes_nothing(case):
    learner, prior, items = case
    support = some_support([2, 1], width=2)
    wider = replace(
        support,
        items=torch.cat([support.items, torch.full((2, 3), 7)], 1),
        values=torch.cat([support.values, torch.full((2, 3), 9.0, dtype=torch.float64)], 1),
        is_real=torch.cat([support.is_real, torch.zeros(2, 3, dtype=torch.bool)], 1),
    )
    torch.testing.assert_close(
        answers(learner, prior, support, items),
        answers(learner, prior, wider, items),
        rtol=1e-9,
        atol=1e-10,
    )


def test_the_order_of_a_support_means_nothing(case):
    learner, prior, items = case
    support = some_support([4, 4])
    turned = replace(support, items=support.items.flip(1), values=support.values.flip(1))
    ours, theirs = answers(learner, prior, support, items), answers(learner, prior, turned, items)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_values_matter(case):
    learner, prior, items = case
    support = some_support([4])
    flipped = replace(support, values=-support.values)
    assert (
        answers(learner, prior, support, items) - answers(learner, prior, flipped, items)
    ).abs().max() > 1e-7


def test_without_events_only_the_profile_speaks(case):
    learner, prior, items = case
    nothing = some_support([0, 0])
    same_profile = replace(nothing, profile=nothing.profile[:1].expand(2, -1))
    scores = answers(learner, prior, same_profile, items)
    torch.testing.assert_close(scores[0], scores[1], rtol=1e-12, atol=1e-12)
    if learner.name != "r2d2":  # starts from nothing, by definition
        other = answers(learner, prior, replace(nothing, profile=1 - same_profile.profile), items)
        assert (scores - other).abs().max() > 1e-7


def test_without_a_profile_it_still_answers(case):
    learner, prior, items = case
    assert torch.isfinite(
        answers(learner, prior, replace(some_support([3, 0]), profile=None), items)
    ).all()


def test_own_items_score_as_in_the_catalog(case):
    learner, prior, items = case
    params = learner.adapt(prior, some_support([4, 1]), items)
    asked = torch.tensor([[0, 3, 5], [9, 2, 14]])
    catalog = learner.score(prior, params, items)
    torch.testing.assert_close(
        learner.score(prior, params, items.take(asked)),
        catalog.gather(1, asked),
        rtol=1e-9,
        atol=1e-10,
    )
    some = torch.tensor([4, 0, 11])
    torch.testing.assert_close(
        learner.score(prior, params, items.take(some)), catalog[:, some], rtol=1e-9, atol=1e-10
    )


def test_the_outer_loss_reaches_the_prior(case):
    learner, prior, items = case
    leaves = {key: value.clone().requires_grad_() for key, value in prior.items()}
    batch = some_batch([4, 2, 0, 3])
    question = question_of(learner.objective, batch.query, items, np.random.default_rng(0))
    loss = learner.loss(leaves, batch, question, items, torch.Generator().manual_seed(0))
    loss.backward()
    assert torch.isfinite(loss)
    reached = {
        key
        for key, value in leaves.items()
        if value.grad is not None and value.grad.abs().max() > 0
    }
    unreached = set(leaves) - reached
    if learner.objective == "rating":  # these concern log-scores only
        unreached -= {"bias_scale", "rate.bias_scale", "worth", "gain", "meta.strength"}
    else:
        unreached -= {
            "level",
            "offset",
            "noise",
            "log_noise",
            "kappa",
            "out.bias",
            "rate.offset",
            "rate.out.bias",
        }
    if learner.name in ("fomaml", "reptile"):  # first order sees through no inner step
        unreached -= {"meta.kappa", "meta.strength"}
    assert not unreached


@pytest.mark.parametrize(
    "case",
    [c for c in CASES if LEARNERS[c[0]].family == "closed form"],
    indirect=True,
    ids="-".join,
)
def test_uncertainty_of_a_closed_form_shrinks_with_events(case):
    learner, prior, items = case
    support = some_support([4, 0])
    spread = learner.spread(prior, learner.adapt(prior, support, items), items)
    assert (spread[0] < spread[1]).all()


@pytest.mark.parametrize("name", ["neural_process", "tanp"])
def test_amortized_uncertainty_is_positive(name):
    learner, items = get_learner(name), some_items(dtype=torch.float32)
    prior = learner.init(items, PROFILE, torch.Generator().manual_seed(0))
    support = some_support([4, 0], dtype=torch.float32)
    assert (learner.spread(prior, learner.adapt(prior, support, items), items) > 0).all()


@pytest.mark.parametrize("name", ["matching", "siamese", "prototypical"])
def test_metric_learners_tend_to_the_evidence(name):
    """The same likes twenty times over count more than once, and what they add levels off."""
    learner, items = get_learner(name), some_items()
    prior = {
        key: value.double()
        for key, value in learner.init(items, 0, torch.Generator().manual_seed(0)).items()
    }

    def after(times):
        support = replace(some_support([4]), profile=None)
        repeated = {
            key: getattr(support, key).repeat(1, times) for key in ("items", "values", "is_real")
        }
        return answers(learner, prior, replace(support, **repeated), items)

    nothing = answers(learner, prior, replace(some_support([0]), profile=None), items)
    moved = [(after(times) - nothing).norm().item() for times in (1, 5, 50)]
    assert moved[0] < moved[1] < moved[2]
    assert (after(5000) - after(500)).norm() < 0.2 * (after(50) - after(1)).norm()


@pytest.mark.parametrize("adapts", [("*",), ("item.*",), ("relation", "offset"), ("user_0",)])
def test_which_part_adapts_is_a_choice(adapts):
    learner = GradientLearner(
        name="chosen",
        body=TwoTowerBody(dim=8),
        adaptation=AdaptConfig(inner_steps=2, adapts=adapts),
    )
    items = some_items()
    prior = {
        key: value.double() + 0.1
        for key, value in learner.init(items, 0, torch.Generator().manual_seed(0)).items()
    }
    support = replace(some_support([4, 2]), profile=None)
    adapted = learner.adapt(prior, support, items)
    moved = {
        key
        for key, value in stacked(prior, adapted).items()
        if (value - prior[key]).abs().max() > 0
    }
    config = learner.adaptation
    assert moved
    assert all(config.moves(key) for key in moved)
    zero = replace(learner, adaptation=replace(config, inner_steps=0))
    assert (
        answers(zero, prior, support, items) - answers(learner, prior, support, items)
    ).abs().max() > 1e-7


def test_two_towers_are_the_classic_formula():
    """r_ij = sigmoid(W_r [u_i * v_j]) with the item tower's own products."""
    learner, items = get_learner("two_tower", inner_steps=0), some_items()
    prior = {
        key: value.double() + 0.2
        for key, value in learner.init(items, 0, torch.Generator().manual_seed(0)).items()
    }
    v = (
        items.columns @ prior["item.0.weight"]
        + torch.relu(items.columns @ prior["item.1.weight"] + prior["item.1.bias"])
        @ prior["item.2.weight"]
    )
    by_hand = torch.sigmoid((prior["relation"] * prior["user_0"] * v).sum(-1) + prior["offset"])
    ours = answers(learner, prior, replace(some_support([3]), profile=None), items)[0]
    torch.testing.assert_close(ours, by_hand, rtol=1e-12, atol=1e-12)
    assert isinstance(learner.body, TwoTowerBody)


def test_reptile_moves_towards_where_adapting_went():
    learner, items, batch = (
        get_learner("reptile", inner_lr=0.2, inner_steps=3),
        some_items(),
        some_batch([2, 3]),
    )
    prior = {
        key: value.double().requires_grad_()
        for key, value in learner.init(items, PROFILE, torch.Generator().manual_seed(0)).items()
    }
    question = question_of("ranking", batch.query, items, np.random.default_rng(0))
    learner.loss(prior, batch, question, items, torch.Generator().manual_seed(5)).backward()
    # The plain way: each task alone, on its query, from the same fresh anchors.
    fresh = items.with_new_anchors(torch.Generator().manual_seed(5))
    frozen = {key: value.detach() for key, value in prior.items()}
    events = replace(
        batch.support,
        items=batch.query.items,
        values=batch.query.values,
        is_real=batch.query.is_real,
    )
    alone = [stacked(frozen, learner.adapt(frozen, task_of(events, b), fresh)) for b in range(2)]
    for key in ("mlp.0.weight", "out.weight", "bias_scale"):
        pull = sum(frozen[key] - adapted[key][0] for adapted in alone) / 2
        torch.testing.assert_close(prior[key].grad, pull, rtol=1e-9, atol=1e-12)


def test_unknown_names_are_answered_with_the_list():
    with pytest.raises(BadInput, match="no meta-learner 'mamal' .did you mean 'maml'") as refused:
        get_learner("mamal")
    assert set(str(refused.value).rpartition("there are ")[2].split(", ")) == set(LEARNERS)
    with pytest.raises(BadInput, match="maml cannot be made with {'depth': 3}"):
        get_learner("maml", depth=3)
