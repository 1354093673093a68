from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from episodes import some_batch, some_items
from metarec.data.schema import BadInput
from metarec.models.few_shot.learner import (
    question_of,
    ranking_loss,
    rating_loss,
    support_ranking_loss,
    task_mean,
)
from metarec.models.few_shot.tasks import Query
from metarec.models.few_shot.training import Training, meta_train


def test_ranking_loss_is_the_mean_cross_entropy_over_liked_events():
    scores = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    is_candidate = torch.tensor([[True, True, False, True, True], [True] * 5])
    query = Query(
        items=torch.tensor([[1, 4], [2, 0]]),
        values=torch.ones(2, 2),
        is_real=torch.tensor([[True, True], [True, False]]),
        is_candidate=is_candidate,
    )
    masked = scores.masked_fill(~is_candidate, -torch.inf)
    by_hand = (
        sum(F.cross_entropy(masked[b], torch.tensor(i)) for b, i in ((0, 1), (0, 4), (1, 2))) / 3
    )
    torch.testing.assert_close(ranking_loss(scores, query), by_hand)


def test_rating_loss_weighs_users_alike():
    query = Query(
        items=torch.zeros(3, 2, dtype=torch.int64),
        values=torch.tensor([[1.0, 2.0], [5.0, 0.0], [0.0, 0.0]]),
        is_real=torch.tensor([[True, True], [True, False], [False, False]]),
    )
    scores = torch.tensor([[0.0, 0.0], [3.0, 9.0], [7.0, 7.0]])
    assert rating_loss(scores, query).item() == pytest.approx(((1 + 4) / 2 + 4) / 2)


def test_a_task_without_events_has_loss_zero():
    assert task_mean(torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.bool)).tolist() == [0.0]


def test_an_expected_event_surprises_less():
    from episodes import some_support

    support = some_support([4], dtype=torch.float32)
    anchors, weights, strength = torch.zeros(1, 6), torch.zeros(6), torch.ones(1, 4)
    losses = [
        support_ranking_loss(torch.full((1, 4), level), anchors, weights, support, strength).item()
        for level in (0.0, 1.0, 5.0)
    ]
    assert losses[0] > losses[1] > losses[2] > 0
    assert losses[0] == pytest.approx(np.log(7))
    assert (
        support_ranking_loss(torch.zeros(1, 4), anchors, weights, support, torch.zeros(1, 4)).item()
        == 0.0
    )


def test_a_sampled_catalog_estimates_the_whole_softmax():
    """Liked items stay, the rest stand for those left out: the mean sampled loss is close to the
    full one.
    """
    items, batch = some_items(), some_batch([2, 3])
    scores = items.columns @ torch.linspace(-0.3, 0.3, items.width, dtype=torch.float64)
    full = ranking_loss(scores.expand(2, -1), batch.query)
    sampled = []
    for seed in range(200):
        question = question_of(
            "ranking", batch.query, items, np.random.default_rng(seed), candidates_most=8
        )
        own = question.items.columns @ torch.linspace(-0.3, 0.3, items.width, dtype=torch.float64)
        sampled.append(ranking_loss(own.expand(2, -1), question.query, question.log_weights).item())
    assert len(question.items) <= len(items)
    assert np.mean(sampled) == pytest.approx(full.item(), rel=0.02)


def test_training_says_what_it_cannot_take():
    for setting in ({"outer_steps": 0}, {"dropout": 1.0}):
        with pytest.raises(
            BadInput, match=f"{next(iter(setting))} must be .*got {next(iter(setting.values()))}"
        ):
            Training(**setting)


def test_training_lowers_the_loss_of_fresh_tasks():
    from metarec.models.few_shot.inputs import ItemColumns
    from metarec.models.few_shot.learner import adapted_loss
    from metarec.models.few_shot.learners import get_learner
    from metarec.models.few_shot.tasks import FewShotTasks
    from metarec.models.few_shot.values import ValueScale
    from models.tastes import two_tastes

    behavior = two_tastes()
    items = ItemColumns.fit(behavior, np.random.default_rng(0)).features(
        behavior.content, np.random.default_rng(0)
    )
    tasks = FewShotTasks(
        histories=ValueScale.fit(behavior).transform(behavior.histories, "liking"),
        n_items=behavior.n_items,
        pool=3,
    )
    learner, fresh = get_learner("maml"), tasks.sample(64, np.random.default_rng(9))
    told = []
    prior = meta_train(
        learner,
        tasks,
        items,
        training=Training(outer_steps=40, evaluate_every=10),
        rng=np.random.default_rng(0),
        progress=lambda stage, done, note="": told.append((stage, done)),
    )
    question = question_of("ranking", fresh.query, items, np.random.default_rng(0))
    start = learner.init(items, 0, torch.Generator().manual_seed(0))
    assert adapted_loss(learner, prior, fresh, question, items) < 0.9 * adapted_loss(
        learner, start, fresh, question, items
    )
    assert told == [("maml", 0.25), ("maml", 0.5), ("maml", 0.75), ("maml", 1.0)]
