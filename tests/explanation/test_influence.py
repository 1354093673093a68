"""Influences are exact: against the hand formula of ridge, against additivity, against one-by-one
removal.
"""

from itertools import permutations

import numpy as np
import pytest

from explanation.closed_form import ClosedForm
from metarec.data.schema import BadInput
from metarec.explanation.influence import leave_one_out, rating_contributions, shapley
from metarec.recommendation.slate import Request


def relative_score(model, request, item_id):
    """By hand: the score above the mean score, items weighted by the softmax of what an anonymous
    user would be shown.
    """
    scores, anonymous = (
        model.score([request])[0].astype(float),
        model.score([Request()])[0].astype(float),
    )
    weights = np.exp(anonymous) / np.exp(anonymous).sum()
    return scores[model.vocabulary.indexes([item_id])[0]] - (weights * scores).sum()


@pytest.fixture
def request_(rated_world):
    return Request(
        history=[*rated_world.history("space", 4), ("g00", 1.0)], profile={"home": "north"}
    )


def test_leave_one_out_is_the_change_seen_when_the_event_is_removed_by_hand(model, request_):
    effects = leave_one_out(model, [request_], [["s05", "g03"]])[0]
    assert effects.shape == (5, 2)
    for row in range(5):
        fewer = Request(
            history=[e for n, e in enumerate(request_.history) if n != row],
            profile=request_.profile,
        )
        for column, item_id in enumerate(["s05", "g03"]):
            assert effects[row, column] == pytest.approx(
                relative_score(model, request_, item_id) - relative_score(model, fewer, item_id),
                abs=1e-6,
            )


def test_many_requests_are_scored_in_one_call(model, request_):
    model.calls.clear()
    found = leave_one_out(model, [request_, Request(), request_], [["s05"]] * 3)
    assert model.calls == [1 + 3 + 5 + 5]  # one row to know what an anonymous user would be shown
    assert [len(f) for f in found] == [5, 0, 5]
    np.testing.assert_array_equal(found[0], found[2])


def test_liked_events_of_a_taste_lift_its_items_and_a_disliked_one_of_the_other_does_not_lift_that(
    model, request_
):
    effects = leave_one_out(model, [request_], [["s05", "g05"]])[0]
    assert (effects[:4, 0] > 0).all()
    assert (effects[:4, 1] < 0).all()
    assert effects[4, 1] < 0


def test_shapley_equals_the_mean_over_all_orders_and_adds_up(model, request_):
    found = shapley(model, request_, ["s05"], rng=np.random.default_rng(0))[:, 0]
    by_hand = np.zeros(5)
    for order in permutations(range(5)):
        so_far = []
        before = relative_score(model, Request(profile=request_.profile), "s05")
        for row in order:
            so_far = sorted([*so_far, row])
            after = relative_score(
                model,
                Request(history=[request_.history[r] for r in so_far], profile=request_.profile),
                "s05",
            )
            by_hand[row] += (after - before) / 120
            before = after
    np.testing.assert_allclose(found, by_hand, atol=1e-6)
    gain = relative_score(model, request_, "s05") - relative_score(
        model, Request(profile=request_.profile), "s05"
    )
    assert found.sum() == pytest.approx(gain, abs=1e-6)


def test_sampled_shapley_adds_up_exactly_and_comes_near_the_exact_one(model, request_):
    exact = shapley(model, request_, ["s05", "g03"], rng=np.random.default_rng(0))
    sampled = shapley(
        model, request_, ["s05", "g03"], rng=np.random.default_rng(1), most_exact=2, permutations=64
    )
    np.testing.assert_allclose(sampled.sum(axis=0), exact.sum(axis=0), atol=1e-9)
    np.testing.assert_allclose(sampled, exact, atol=0.15 * np.abs(exact).max())


def test_an_empty_history_has_no_influence(model):
    assert leave_one_out(model, [Request()], [["s01"]])[0].shape == (0, 1)
    assert shapley(model, Request(), ["s01"], rng=np.random.default_rng(0)).shape == (0, 1)
    assert leave_one_out(model, [], []) == []


def test_rating_contributions_are_the_ridge_weights_of_the_textbook(model, request_):
    found = rating_contributions(model, request_, "s07")
    columns = model.vocabulary.indexes([e[0] for e in request_.history])
    own = model.item_embeddings[model.vocabulary.indexes(["s07"])[0]]
    features = model.item_embeddings[columns]
    weights = np.linalg.solve(
        features @ features.T + model.noise * np.eye(5), features @ own
    )  # the dual form, not the model's
    residual = np.array([e[1] for e in request_.history]) - model.item_means[columns]
    np.testing.assert_allclose(found.by_event, weights * residual, atol=1e-9)
    assert found.start + found.by_event.sum() == pytest.approx(found.predicted, abs=1e-6)
    assert abs(found.remainder) < 1e-6


def test_a_head_that_is_not_linear_shows_its_remainder(model, request_):
    class Squashed(ClosedForm):
        def rate(self, requests, item_ids):
            return [5 * np.tanh(r / 2) for r in super().rate(requests, item_ids)]

    squashed = Squashed(**{name: getattr(model, name) for name in ClosedForm.__dataclass_fields__})
    assert abs(rating_contributions(squashed, request_, "s07").remainder) > 1e-4


def test_an_unknown_item_is_named_with_the_way_out(model, request_):
    with pytest.raises(
        BadInput,
        match=r"item 'nothing' is not in the catalog \(24 items\); `metarec recommend MODEL "
        r"--json` names items, Recommender.with_items adds one",
    ):
        leave_one_out(model, [request_], [["nothing"]])
