"""Between few given candidates: a second score, learned on lists like them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from metarec import Recommender, Request
from metarec.features.histories import Histories
from metarec.recommendation.ensemble.gate import Gate
from metarec.recommendation.ensemble.gate_tasks import MAX_GIVEN, GateTasks, _at_most
from metarec.recommendation.ensemble.given import GivenGates, train_given
from served_model import saved_model

USERS, ITEMS = 120, 30
OWN_LISTS = np.linspace(0.0, 1.0, 101)


@pytest.fixture(scope="module")
def model() -> Recommender:
    """A saved model whose gate between chosen items leaves everything to the predicted rating; some
    items are more popular than others.
    """
    found = plain_model()
    gate = found.ensemble.gate
    silent = replace(
        gate,
        popularity_weight=np.zeros(len(gate.points)),
        statistics_weight=np.zeros_like(gate.statistics_weight),
        weight=np.zeros_like(gate.weight),
    )
    given = GivenGates(
        drawn=replace(silent, popularity_weight=-np.ones(len(gate.points))),
        chosen=silent,
        rating_weight=np.ones(len(gate.points)),
    )
    return replace(found, ensemble=replace(found.ensemble, given=given))


def plain_model() -> Recommender:
    found = Recommender.load(saved_model())
    popularity = np.linspace(1.0, 9.0, len(found.catalog), dtype=np.float32)
    return replace(
        found, ensemble=replace(found.ensemble, popularity=popularity / popularity.sum())
    )


def popular(model: Recommender, *, most: bool) -> list[str]:
    """The six items of most or least popularity."""
    order = np.argsort(model.ensemble.popularity, kind="stable")
    return [str(model.vocabulary.ids[item]) for item in (order[-6:] if most else order[:6])]


def test_a_list_of_chosen_items_is_ranked_as_it_would_be_rated(model: Recommender) -> None:
    ids, history = popular(model, most=True), [(model.vocabulary.ids[0], 5.0)]
    request = Request(history=history, allow=ids)

    scores = model.score([request])[0, model.vocabulary.indexes(ids)]
    (rated,) = model.rate([request], [ids])

    np.testing.assert_array_equal(np.argsort(-scores), np.argsort(-rated))


def test_a_list_drawn_from_the_catalog_is_ranked_by_the_gate_for_it(model: Recommender) -> None:
    ids = popular(model, most=False)

    scores = model.score([Request(allow=ids)])[0]

    np.testing.assert_allclose(scores, -np.log(model.ensemble.popularity), rtol=1e-5)


def test_who_names_no_list_or_a_long_one_is_ranked_as_before(model: Recommender) -> None:
    """Beside others who name one."""
    few, everything = popular(model, most=True), [*map(str, model.vocabulary.ids)]
    few_more = [f"unknown {n}" for n in range(200)]
    requests = [Request(), Request(allow=few), Request(exclude=few)]

    scores = model.score(requests)

    before = plain_model().score([Request()])[0]
    np.testing.assert_allclose(scores[0], before, atol=1e-5)
    np.testing.assert_allclose(scores[2], before, atol=1e-5)
    assert np.abs(scores[1] - before).max() > 0.1
    assert len(everything) < 150
    (unknown,) = model.recommend([Request(allow=few_more)])
    assert unknown.item_ids == []


@pytest.mark.parametrize("most", [True, False])
def test_its_parts_add_up_to_the_score(model: Recommender, *, most: bool) -> None:
    requests = [Request(), Request(history=["s00"], allow=popular(model, most=most))]

    parts = model.score_components(requests)

    np.testing.assert_allclose(sum(parts.values()), model.score(requests), atol=1e-4)
    assert ("predicted_rating" in parts) == most


def test_it_is_saved_with_the_model(model: Recommender, tmp_path: Path) -> None:
    requests = [Request(allow=popular(model, most=most)) for most in (True, False)]

    model.save(tmp_path / "model")

    again = Recommender.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score(requests), model.score(requests))


def test_a_list_tells_by_its_popularity_how_it_came_about(model: Recommender) -> None:
    popularity = np.array([0.6, 0.2, 0.1, 0.05, 0.05], np.float32)
    lists = Histories.of_indexes([np.array(own, np.int64) for own in ([0], [0, 1, 2], [2, 3], [])])
    given = replace(model.ensemble.given, most_popular=1.0)

    (drawn, are_drawn), (chosen, are_chosen) = given.lists(lists, popularity)

    np.testing.assert_array_equal(are_drawn, [False, False, True, False])
    np.testing.assert_array_equal(are_chosen, [False, True, False, False])
    assert (drawn, chosen) == (given.drawn, given.chosen)


def _tasks(knows: np.ndarray, relevant: np.ndarray, columns: np.ndarray) -> GateTasks:
    """One model's shares beside a column of item statistics."""
    shares = knows / knows.sum(1, keepdims=True)
    return GateTasks(
        shares=torch.from_numpy(shares[..., None].astype(np.float32)),
        popularity=torch.full((USERS, ITEMS), 1.0 / ITEMS),
        item_statistics=torch.from_numpy(columns.astype(np.float32)),
        log_weight=torch.zeros(USERS, ITEMS),
        is_real=torch.ones(USERS, ITEMS, dtype=torch.bool),
        is_relevant=torch.from_numpy(relevant),
    )


def test_it_is_learned_where_it_ranks_lists_better_and_left_out_where_it_does_not() -> None:
    rng = np.random.default_rng(0)
    relevant = rng.random((USERS, ITEMS)) < 0.2
    relevant[:, 0], relevant[:, 1] = True, False
    noise, nothing = rng.random((USERS, ITEMS)), np.zeros((USERS, ITEMS, 1))
    rated = np.concatenate([nothing, (relevant + 0.3 * noise)[..., None]], axis=2)
    gate = Gate(
        names=("model",),
        points=np.array([0, 3]),
        popularity_weight=np.ones(2),
        statistics_weight=np.zeros((2, 1)),
        weight=np.ones((2, 1)),
        smoothing=np.ones((2, 1)),
    )
    perfect = _tasks(np.where(relevant, 9.0, 1.0), relevant, nothing)
    unknown = _tasks(np.ones((USERS, ITEMS)), relevant, rated)

    found = train_given(gate, (0, 3), [perfect, perfect], [unknown, unknown], OWN_LISTS, 0)

    assert found.drawn is None
    assert found.chosen is not None
    assert found.rating_weight is not None
    assert (found.rating_weight > 0.5).all()
    assert found.most_popular == pytest.approx(0.95)
    few = [unknown.rows(np.arange(USERS) < 40)] * 2
    assert train_given(gate, (0, 3), few, few, OWN_LISTS, 0).chosen is None
    everything = unknown.is_relevant.clone()
    everything[0] = True  # of a long list, what was drawn for one size may all be liked
    lopsided = [unknown, replace(unknown, is_relevant=everything)]
    assert train_given(gate, (0, 3), [], lopsided, OWN_LISTS, 0).chosen is not None


def test_given_candidates_are_at_most_as_many_as_lists_may_hold():
    chosen = np.zeros((3, 400), bool)
    chosen[0, :300] = chosen[1, :5] = True
    kept = _at_most(MAX_GIVEN, chosen, np.random.default_rng(0))
    assert kept.sum(1).tolist() == [MAX_GIVEN, 5, 0]
    assert not (kept & ~chosen).any()
