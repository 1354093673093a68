"""The stages of a recommendation, one after the other, give the slates of `Recommender`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from metarec import Recommender, Request
from metarec.recommendation.ensemble import gate
from metarec.recommendation.ordering.rules import Rules
from metarec.recommendation.pipeline import recommend, recommend_each
from metarec.recommendation.ranking import SlateOptions
from metarec.recommendation.stages.annotate import annotate
from metarec.recommendation.stages.order import order
from metarec.recommendation.stages.restrict import restrict
from metarec.recommendation.stages.score import score
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


def test_an_empty_slate_says_why(model: Recommender) -> None:
    ids = model.vocabulary.ids
    known, asked = Request(history=list(ids)), Request(allow=["unheard"])
    for request, options, why in [
        (Request(), {"filter": "year > 3000"}, "no item that may be shown passes the filter"),
        (asked, {}, "none of the allowed items may be shown"),
        (known, {}, "no item is left that may be shown"),
    ]:
        (slate,) = model.recommend([request], **options)
        assert not slate.item_ids and sum(note.startswith(why) for note in slate.notes) == 1
    (slate,) = model.recommend([Request()], filter="year > 3000 or year > 0")
    assert slate.item_ids and slate.notes == []


def test_a_slate_says_how_many_events_are_known(model: Recommender) -> None:
    one, two, *_ = model.vocabulary.ids
    history = [(one, 5.0), "unheard", (two, 1.0), (one, 4.0)]
    known = [slate.n_known for slate in model.recommend([Request(), Request(history=history)])]
    assert known == [0, 2]


def test_each_stage_adds_to_what_came_down(model: Recommender, requests: list[Request]) -> None:
    options = SlateOptions(k=4, filter="year > 1984")
    scored = score(model, requests)
    np.testing.assert_array_equal(scored.scores, model.score(requests))
    assert scored.ordered.items.size == 0
    restricted = restrict(model, scored, options)
    assert np.isneginf(restricted.scores[1, model.vocabulary.indexes([requests[1].exclude[0]])])
    ordered = order(model, restricted, options, np.random.default_rng(5))
    assert ordered.requests is requests
    slates = annotate(model, ordered, options)
    again = model.recommend(requests, 4, filter="year > 1984", rng=np.random.default_rng(5))
    for one, other in zip(slates, again, strict=True):
        assert (one.item_ids, one.notes) == (other.item_ids, other.notes)
        np.testing.assert_array_equal(one.scores, other.scores)
        np.testing.assert_array_equal(one.uncertainty, other.uncertainty)


def test_requests_with_options_of_their_own_get_the_slates_of_each_alone(
    model: Recommender, requests: list[Request]
) -> None:
    plain, short = SlateOptions(k=6), SlateOptions(k=2, filter="year > 1984")
    diverse, pinned = SlateOptions(k=4, diversity=0.4), SlateOptions(rules=Rules(pin=["g03"]))
    asked, each = [*requests, *requests[:2]], [plain, short, diverse, plain, pinned]
    for one, own, slate in zip(asked, each, recommend_each(model, asked, each), strict=True):
        alone = recommend(model, [one], own)[0]
        assert (slate.item_ids, slate.notes) == (alone.item_ids, alone.notes)
        np.testing.assert_allclose(slate.scores, alone.scores, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(slate.uncertainty, alone.uncertainty, rtol=1e-5)
    assert recommend_each(model, [], []) == []


def test_an_option_that_differs_costs_no_scoring_of_its_own(model: Recommender) -> None:
    requests = [Request(history=[item_id]) for item_id in model.vocabulary.ids[:12]]
    lengths = [SlateOptions(k=1 + row) for row in range(len(requests))]

    def scorings(asked: Callable[[], object]) -> int:
        """How often a gate blended what models say."""
        seen = list[str]()

        def called(frame: FrameType, event: str, _: object) -> None:
            if event == "call" and frame.f_code.co_filename == gate.__file__:
                seen.append(frame.f_code.co_name)

        sys.setprofile(called)
        try:
            asked()
        finally:
            sys.setprofile(None)
        return seen.count("score")

    assert scorings(lambda: recommend(model, requests[:1], lengths[0])) == 1
    assert scorings(lambda: recommend_each(model, requests, lengths)) == 1


def test_a_request_that_tells_nothing_odd_makes_no_sparse_matrix(
    model: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of SciPy's costs a slate as much as a model does."""
    requests = [Request(history=list(model.vocabulary.ids[:4])), Request()]
    for request in requests:
        model.recommend([request])
    made, plain = [], sp.csr_matrix.__init__

    def counted(self: sp.csr_matrix, *args: Any, **settings: Any) -> None:
        made.append(args)
        plain(self, *args, **settings)

    monkeypatch.setattr(sp.csr_matrix, "__init__", counted)
    for request in requests:
        model.recommend([request])
    assert not made
