"""The stages of a recommendation, one after the other, give the slates of `Recommender`."""

from __future__ import annotations

import numpy as np
import pytest

from metarec import Recommender, Request
from metarec.recommendation.annotate import annotate
from metarec.recommendation.order import order
from metarec.recommendation.ranking import SlateOptions
from metarec.recommendation.restrict import restrict
from metarec.recommendation.rules import Rules
from metarec.recommendation.score import score
from served_model import saved_model


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender.load(saved_model())


@pytest.fixture
def requests(model: Recommender) -> list[Request]:
    ids = model.vocabulary.ids
    return [
        Request(),
        Request(history=[(ids[0], 5.0), (ids[1], 1.0)], exclude=[ids[2]]),
        Request(history=[ids[3]], wish="rocket, no soil", allow=ids[:12]),
    ]


def test_scores_go_through_the_stages_unchanged(
    model: Recommender, requests: list[Request]
) -> None:
    scores = model.score(requests)
    for options in ({}, {"diversity": 0.4}, {"explore": 1.0}, {"rules": Rules(pin=["g03"])}):
        for row, slate in enumerate(model.recommend(requests, k=5, **options)):
            at = model.vocabulary.indexes(slate.item_ids)
            np.testing.assert_array_equal(slate.scores, scores[row, at])


def test_each_stage_adds_to_what_came_down(model: Recommender, requests: list[Request]) -> None:
    options = SlateOptions(k=4, filter="year > 1984")
    scored = score(model, requests)
    np.testing.assert_array_equal(scored.scores, model.score(requests))
    assert scored.ordered.items.size == 0
    restricted = restrict(model, scored, options)
    assert np.isneginf(restricted.scores[1, model.vocabulary.indexes([requests[1].exclude[0]])])
    ordered = order(model, restricted, options, np.random.default_rng(5))
    assert ordered.requests is requests
    slates = annotate(model, ordered)
    again = model.recommend(requests, 4, filter="year > 1984", rng=np.random.default_rng(5))
    for one, other in zip(slates, again, strict=True):
        assert (one.item_ids, one.notes) == (other.item_ids, other.notes)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.uncertainty, other.uncertainty)
