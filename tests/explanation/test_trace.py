"""The trace tells at each moment what the model says when asked at that moment alone."""

import json

import numpy as np
import pytest

from metarec.explanation.relative_score import anonymous_weights, relative_to_shown
from metarec.explanation.trace import trace
from metarec.explanation.trace_plot import draw
from metarec.recommendation.slate import Request


@pytest.fixture
def request_(rated_world):
    return Request(
        history=[*rated_world.history("space", 2), ("g00", 5.0), ("s02", 4.0)],
        profile={"home": "north"},
    )


def test_every_moment_is_the_model_asked_alone(model, request_):
    found = trace(model, request_, "s05", k=5)
    assert [m.n_known for m in found.moments] == [0, 1, 2, 3, 4]
    for n_known, moment in enumerate(found.moments):
        alone = Request(history=request_.history[:n_known], profile=request_.profile)
        expected = relative_to_shown(model.score([alone]), anonymous_weights(model))
        assert moment.relative_score == pytest.approx(
            expected[0, model.vocabulary.indexes(["s05"])[0]], abs=1e-6
        )
        assert sum(moment.components.values()) == pytest.approx(moment.relative_score, abs=1e-6)
        assert moment.slate == model.recommend([alone], k=5)[0].item_ids
        assert not set(moment.slate) & {e[0] for e in alone.history}


def test_moves_and_shifts_are_changes_and_start_at_zero(model, request_):
    found = trace(model, request_)
    first = found.moments[0]
    assert set(first.moves) == {"taste", "doubt"}
    assert all(v == 0 for v in [*first.moves.values(), *first.shifts.values()])
    by_hand = (
        model.fold_in(Request(history=request_.history[:2]))["taste"]
        - model.fold_in(Request(history=request_.history[:1]))["taste"]
    )
    assert found.moments[2].moves["taste"] == pytest.approx(np.linalg.norm(by_hand))
    assert all(
        m.shifts["popularity"] < 1e-9 and m.shifts["collaborative"] > 0.01
        for m in found.moments[1:]
    )


def test_the_item_followed_is_the_first_of_the_final_slate_unless_said(model, request_):
    assert trace(model, request_).item_id == model.recommend([request_], k=1)[0].item_ids[0]
    seen = trace(model, request_, "g00")
    assert [m.rank is None for m in seen.moments] == [False, False, False, True, True]


def test_json_and_text_and_picture_hold_the_moments(model, request_):
    found = trace(model, request_)
    assert len(json.loads(json.dumps(found.to_json()))["moments"]) == 5
    assert "before any event" in found.to_text()
    svg = draw(found)
    assert svg.startswith("<svg") and svg == draw(found)
    assert found.title in svg
    assert all(name in svg for name in ("popularity", "collaborative", "taste"))


def test_a_user_without_events_has_one_moment_and_still_a_picture(model):
    found = trace(model, Request())
    assert len(found.moments) == 1
    assert "no event yet, so nothing moved" in draw(found)


def test_a_model_that_adapts_nothing_has_no_moves(model, request_):
    class Plain:
        catalog, vocabulary = model.catalog, model.vocabulary
        score, score_components = model.score, model.score_components

    assert trace(Plain(), request_).moments[1].moves == {}
