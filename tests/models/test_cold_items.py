from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from episodes import histories_of
from metarec.features.behavior import Behavior
from metarec.models.cold_items import model as new_items
from metarec.models.cold_items.config import ColdItemsConfig
from metarec.models.cold_items.training import ItemTasks, fit_new_items
from metarec.models.cold_items.unrated import UnratedItems
from metarec.models.cold_items.weighing import best_weights, between_items_loss, weighed
from metarec.models.few_shot.inputs import ItemFeatures
from metarec.models.few_shot.tasks import Query
from metarec.models.few_shot.towers import Trunks, embed, new_trunk
from metarec.models.few_shot.training import Training
from models.tastes import likes, two_tastes


@pytest.fixture(scope="module")
def fitted():
    behavior = two_tastes(users=48)
    return behavior, fit_new_items(
        behavior,
        np.random.default_rng(0),
        training=Training(outer_steps=80, tasks_per_step=16, outer_lr=1e-2),
    )


def test_content_alone_says_whose_taste_a_new_item_is(fitted):
    behavior, model = fitted
    new = np.eye(2, dtype=np.float32)
    users = histories_of([likes(0, 2), likes(1, 2)])
    scores = model.scores(new, histories_of([[], []]), behavior.histories, users)
    assert scores.shape == (2, 2)
    assert scores[0, 0] > scores[0, 1]
    assert scores[1, 1] > scores[1, 0]


def test_first_raters_say_it_where_content_is_silent(fitted):
    """Raters 0, 2, 4 are of one taste and 1, 3, 5 of the other; the two new items have the same
    content.
    """
    behavior, model = fitted
    silent = np.full((2, 2), 0.5, np.float32)
    raters = histories_of([[(0, 5.0), (2, 5.0), (4, 5.0)], [(1, 5.0), (3, 5.0), (5, 5.0)]])
    users = histories_of([likes(0, 2), likes(1, 2)])
    scores = model.scores(silent, raters, behavior.histories, users)
    without = model.scores(silent, histories_of([[], []]), behavior.histories, users)
    assert scores[0, 0] - scores[0, 1] > 0.1 + abs(without[0, 0] - without[0, 1])
    assert scores[1, 1] - scores[1, 0] > 0.1 + abs(without[1, 0] - without[1, 1])


def tasks_of(behavior: Behavior, new_users: float) -> ItemTasks:
    model = fit_new_items(
        behavior,
        np.random.default_rng(0),
        training=Training(outer_steps=1),
        config=ColdItemsConfig(new_users=new_users),
    )
    folds = np.arange(behavior.n_items) % 8
    return ItemTasks(new_items=model, behavior=behavior, folds=folds)


def test_of_some_users_as_little_is_shown_as_of_new_users():
    behavior = two_tastes(users=200)
    tasks, histories, most = tasks_of(behavior, 0.5), behavior.histories, behavior.horizon.pool
    for fold in (0, 5):
        whole, shown = histories.where(tasks.folds[histories.items] != fold), tasks.shown[fold]
        is_cut = shown.lengths < whole.lengths
        assert 0.3 < is_cut.mean() < 0.55
        assert set(shown.lengths[is_cut]) == set(range(most + 1))
        np.testing.assert_array_equal(shown.items, whole.first(shown.lengths).items)
        described = tasks.new_items.describe(shown)
        torch.testing.assert_close(tasks.users[fold].columns, described)


def test_a_user_is_described_without_the_fold_asked_about():
    behavior = two_tastes()
    tasks, histories = tasks_of(behavior, 0.0), behavior.histories
    model, folds = tasks.new_items, tasks.folds
    for fold in (0, 5):
        expected = model.describe(histories.where(folds[histories.items] != fold))
        torch.testing.assert_close(tasks.users[fold].columns, expected)
    batch = tasks.sample(2, np.random.default_rng(1))
    shown = {
        (b, int(u))
        for b in range(len(batch))
        for u in batch.support.items[b][batch.support.is_real[b]]
    }
    asked = {
        (b, int(u)) for b in range(len(batch)) for u in batch.query.items[b][batch.query.is_real[b]]
    }
    assert asked
    assert not shown & asked
    assert all(batch.query.is_candidate[pair] for pair in asked)
    assert not any(batch.query.is_candidate[pair] for pair in shown)


def test_items_compete_for_each_user():
    """User 0 likes item 0 of items 0 and 1 (item 2 was shown); user 1 likes item 1 of all
    three.
    """
    scores = torch.tensor([[1.0, 0.0], [2.0, 3.0], [9.0, 1.0]], dtype=torch.float64)
    query = Query(
        items=torch.tensor([[0], [1], [0]]),
        values=torch.ones(3, 1),
        is_real=torch.tensor([[True], [True], [False]]),
        is_candidate=torch.tensor([[True, True], [True, True], [False, True]]),
    )
    by_hand = -(torch.log_softmax(scores[:2, 0], 0)[0] + torch.log_softmax(scores[:, 1], 0)[1]) / 2
    torch.testing.assert_close(between_items_loss(scores, query), by_hand)


def test_likeness_is_to_the_mean_and_to_the_nearest_of_what_was_liked(fitted):
    """Two liked items at right angles: a text like one of them is at .71 of their mean and at 1 of
    the nearest; dislikes count not.
    """
    behavior, model = fitted
    corners = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]], np.float32)
    model = replace(model, texts=corners, center=np.zeros(2, np.float32))
    users = histories_of([[(0, 5.0), (1, 5.0), (2, 1.0)], [], [(0, 5.0)]])
    to_mean, nearest = model.likeness(model.normalized(np.array([[3.0, 0.0], [0.0, -1.0]])), users)
    np.testing.assert_allclose(to_mean, [[0.5**0.5, 0, 1], [-(0.5**0.5), 0, 0]], atol=1e-6)
    np.testing.assert_allclose(nearest, [[1, 0, 1], [0, 0, 0]], atol=1e-6)
    model = replace(model, weights=np.array([[0, 0, 0, 1], [0, 0, 0, 0]], np.float32))
    new = np.array([[3.0, 0.0], [0.0, -1.0]], np.float32)
    assert np.allclose(
        model.scores(new, histories_of([[], []]), behavior.histories, users), nearest.T, atol=1e-6
    )
    assert np.allclose(UnratedItems.of([model], new).scores(users), nearest.T, atol=1e-6)


def test_blocks_of_users_change_nothing(fitted, monkeypatch):
    behavior, model = fitted
    whole = model.likeness(model.texts, behavior.histories)
    monkeypatch.setattr(new_items, "BLOCK", 7 * len(model.texts))
    np.testing.assert_array_equal(model.likeness(model.texts, behavior.histories), whole)


def test_weights_find_the_part_that_speaks_for_an_item():
    """Of a learner that says noise and a likeness that says who liked what, the weights take the
    likeness.
    """
    rng = np.random.default_rng(0)
    truth = torch.from_numpy(rng.normal(size=(6, 40)))
    likers = torch.argsort(truth, dim=0, descending=True)[0]
    query = Query(
        items=torch.arange(40).expand(6, 40),
        values=torch.ones(6, 40),
        is_real=likers == torch.arange(6).unsqueeze(1),
        is_candidate=torch.ones(6, 40, dtype=torch.bool),
    )
    noise = torch.from_numpy(rng.normal(size=(6, 40)))
    weights = best_weights(
        torch.stack([noise, 0 * noise, 0.01 * truth, 0 * truth]),
        torch.zeros(6),
        query,
        ColdItemsConfig(),
    )
    assert 0.01 * weights[0, 2] > 10 * abs(weights[0, 0])


def test_items_adapted_once_score_as_those_adapted_anew(fitted):
    behavior, model = fitted
    users, new = histories_of([likes(0, 2), likes(1, 2), []]), np.eye(2, dtype=np.float32)
    anew = model.scores(new, histories_of([[], []]), behavior.histories, users)
    np.testing.assert_allclose(UnratedItems.of([model], new).scores(users), anew, atol=1e-5)


def test_what_learners_say_together_is_the_sum_of_what_each_says(fitted):
    behavior, model = fitted
    users, new = histories_of([likes(0, 2), [], likes(1, 3)]), np.eye(2, dtype=np.float32)
    other = replace(model, weights=np.array([[0.5, -1, 2, 3], [9, 9, 9, 9]], np.float32))
    nobody = histories_of([[], []])
    each = [one.scores(new, nobody, behavior.histories, users) for one in (model, other)]
    together = UnratedItems.of([model, other], new).scores(users)
    np.testing.assert_allclose(together, sum(each), atol=1e-5)


def test_trunks_side_by_side_make_what_each_makes_of_its_own_columns():
    """Two trunks read three columns of their own each, and one behind them together."""
    draw = torch.Generator().manual_seed(0)
    own, shared = torch.randn(2, 5, 3, generator=draw), torch.randn(5, 1, generator=draw)
    described = [
        ItemFeatures.of(torch.cat([columns, shared], 1), rng=np.random.default_rng(0))
        for columns in own
    ]
    priors = [new_trunk(items, 0, 4, draw) for items in described]
    for prior in priors:
        prior["item.1.bias"] = torch.randn(4, generator=draw)
        prior["item.2.weight"] = torch.randn(4, 4, generator=draw)
    each = [embed(prior, items).numpy() for prior, items in zip(priors, described, strict=True)]
    side_by_side = torch.cat([*own, shared], 1).numpy()
    found = Trunks.of(priors, shared=1).embed(side_by_side)
    np.testing.assert_allclose(found, np.concatenate(each, axis=1), atol=1e-5)


@pytest.mark.parametrize("raters", [[0, 0, 0], [0, 2, 5]])
def test_raters_move_weights_and_without_them_the_first_row_speaks(raters):
    rng = np.random.default_rng(0)
    parts, weights = rng.standard_normal((4, 3, 2)), rng.standard_normal((2, 4))
    by_hand = [
        sum(
            (weights[0, part] + weights[1, part] * count / (count + 2.0)) * parts[part, item]
            for part in range(4)
        )
        for item, count in enumerate(raters)
    ]
    found = weighed(torch.from_numpy(parts), torch.tensor(raters), torch.from_numpy(weights), 2.0)
    np.testing.assert_allclose(found, by_hand, atol=1e-12)
