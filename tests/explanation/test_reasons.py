"""An explanation says what was measured, in words, text and JSON."""

import json
from dataclasses import replace

import numpy as np
import pytest

from metarec import Recommender
from metarec.data.kinds import Kinds
from metarec.data.schema import BadInput
from metarec.explanation import explain
from metarec.explanation.words import components_shown, did, sentences
from metarec.recommendation.explained import (
    Counterfactual,
    EventEffect,
    Explanation,
    FeatureEffect,
)
from metarec.recommendation.slate import Request


@pytest.fixture
def request_(rated_world):
    return Request(
        history=[*rated_world.history("space", 3), ("g00", 1.0)], profile={"home": "north"}
    )


def test_parts_and_shares_add_up_and_the_top_item_is_explained(model, request_, rated_world):
    top = model.recommend([request_], k=1)[0].item_ids[0]
    found = explain(model, request_, top)
    assert found.rank == 1
    assert sum(found.components.values()) == pytest.approx(found.relative_score, abs=1e-6)
    assert found.notes == []
    empty = explain(model, Request(profile=request_.profile), top)
    assert sum(found.shares) == pytest.approx(found.relative_score - empty.relative_score, abs=1e-6)
    assert found.nearest[0][0] in rated_world.items_of_taste["space"]


def test_sentences_name_liked_titles_the_tag_and_the_home(model, request_):
    found = explain(model, request_, model.recommend([request_], k=1)[0].item_ids[0])
    liked = {e.title for e in found.events[:3]}
    assert any(
        reason == f"because you liked {title}" for reason in found.reasons for title in liked
    )
    assert "because it is space" in found.reasons
    assert "users of your home (north) like it more" in found.reasons


def test_what_speaks_against_an_item_is_said(model, request_):
    found = explain(model, request_, "g05")
    assert found.counterfactual is None
    assert any(reason.startswith("although you liked") for reason in found.reasons)
    assert "users of your home (north) like it less" in found.reasons


def test_text_and_json_hold_the_same_facts(model, request_):
    found = explain(model, request_, model.recommend([request_], k=1)[0].item_ids[0])
    text = found.to_text()
    assert found.title in text
    assert f"{found.relative_score:+.2f}" in text
    data = json.loads(json.dumps(found.to_json()))
    assert data["components"] == found.components
    assert len(data["events"]) == 4
    assert data["counterfactual"]["k"] == 10


def test_a_user_without_events_gets_a_stated_explanation(model):
    found = explain(model, Request(), "s00")
    assert found.events == [] and found.shares == [] and found.nearest == []
    assert found.counterfactual is not None or found.rank > 10


def test_unknown_events_are_counted_not_explained(model, request_):
    odd = Request(history=[("nowhere", 5.0), *request_.history], profile=request_.profile)
    found = explain(model, odd, "s07")
    assert len(found.events) == 4
    assert found.notes == [
        "1 of 5 events name items the catalog does not hold; they explain nothing."
    ]


def test_attributes_the_model_never_met_are_said(rated_world):
    fitted = Recommender.fit(rated_world.data, preset="tiny", encoder="none")
    found = explain(fitted, Request(profile={"home": "north", "shoe": 9, "age": None}), "s00")
    assert found.notes == [
        "the model learned nothing of shoe=9, so it explains nothing (attributes learned: age, "
        "home)."
    ]
    assert "home=moon" in explain(fitted, Request(profile={"home": "moon"}), "s00").notes[0]
    assert explain(fitted, Request(profile={"home": "south"}), "s00").notes == []


def test_an_unknown_item_is_refused(model, request_):
    with pytest.raises(BadInput, match="item 'x' is not in the catalog"):
        explain(model, request_, "x")


def test_parts_that_do_not_add_up_are_reported(model, request_):
    class Liar(type(model)):
        def score(self, requests):
            return super().score(requests) + np.linspace(0, 1, len(self.vocabulary))

    liar = Liar(**{name: getattr(model, name) for name in type(model).__dataclass_fields__})
    assert any(
        "the score components miss the score by" in note
        for note in explain(liar, request_, "s07").notes
    )


def test_the_same_question_gets_the_same_answer(model, rated_world):
    long = Request(history=[*rated_world.history("space", 8), *rated_world.history("garden", 4)])
    assert explain(model, long, "s09").shares == explain(model, long, "s09").shares


def test_small_effects_stay_unsaid_and_the_strongest_comes_first():
    events = [
        EventEffect(item_id="a", title="A", value=5.0, kind="event", effect=0.1),
        EventEffect(item_id="b", title="B", value=5.0, kind="event", effect=1.0),
        EventEffect(item_id="c", title="C", value=1.0, kind="event", effect=0.01),
    ]
    assert sentences(events, [], {}, liked_from=4.0) == [
        "because you liked B",
        "because you liked A",
    ]


def test_beside_what_is_shown_stands_what_speaks_for_it():
    against = EventEffect(item_id="a", title="A", value=5.0, kind="event", effect=-1.0)
    speaks_for = EventEffect(item_id="b", title="B", value=5.0, kind="event", effect=0.5)
    assert sentences([against, speaks_for], [], {}, liked_from=4.0, rather_for=True) == [
        "because you liked B"
    ]
    assert sentences([against], [], {"popularity": 1.0}, liked_from=4.0, rather_for=True) == [
        "because many users like it"
    ]
    assert sentences([against], [], {}, liked_from=4.0, rather_for=True) == ["although you liked A"]


def test_a_low_value_that_lifts_an_item_is_put_so_that_it_makes_sense():
    event = EventEffect(item_id="a", title="A", value=1.0, kind="rating", effect=1.0)
    assert sentences([event], [], {}, liked_from=4.0) == [
        "because you know A, though you gave it only 1"
    ]
    assert sentences([replace(event, effect=-1.0)], [], {}, liked_from=4.0) == [
        "although you gave A only 1"
    ]


def test_a_wish_is_heard_beside_what_was_done():
    did_little = EventEffect(item_id="a", title="A", value=5.0, kind="event", effect=0.5)
    large, small = ({"wish": wish, "content": 1.0} for wish in (4.0, 0.4))
    assert sentences([did_little], [], large, liked_from=4.0) == [
        "because it fits your wish",
        "because you liked A",
    ]
    assert sentences([did_little], [], small, liked_from=4.0) == [
        "because you liked A",
        "because it fits your wish",
    ]


def test_an_effect_that_is_nothing_beside_others_stays_unsaid():
    feature = FeatureEffect(about="content", name="year", value="1999", effect=0.04)
    assert sentences([], [feature], {"popularity": 1.0}) == ["because many users like it"]
    assert sentences([], [feature], {"popularity": 0.5})[0] == "because its year is 1999"


def test_words_follow_kind_value_and_sign():
    assert (
        did(EventEffect(item_id="a", title="Milk", value=1.0, kind="purchase", effect=1.0), None)
        == "bought Milk"
    )
    assert (
        did(EventEffect(item_id="a", title="A", value=2.0, kind="event", effect=1.0), 4.0)
        == "gave A only 2"
    )
    assert (
        did(EventEffect(item_id="a", title="A", value=2.0, kind="event", effect=1.0), None)
        == "chose A"
    )
    features = [
        FeatureEffect(about="content", name="text", value="rocket", effect=-0.5),
        FeatureEffect(about="content", name="year", value="1999", effect=0.4),
        FeatureEffect(about="circumstances", name="order", value="", effect=0.3),
        FeatureEffect(about="circumstances", name="kinds", value="like, hide", effect=-0.2),
    ]
    assert sentences([], features, {}) == [
        'although its text says "rocket"',
        "because its year is 1999",
        "because of the order of your events: reversed, they would speak for it less",
        "although your events are like, hide: as plain ones they would speak for it more",
    ]
    assert sentences([], [], {"popularity": 1.0, "profile": -0.5}) == [
        "because many users like it",
        "although users like you seldom choose it",
    ]


def test_an_explanation_asks_about_no_more_than_it_may(model, rated_world):
    request = Request(history=[*rated_world.history("space", 6), *rated_world.history("garden", 4)])
    top = model.recommend([request], k=1)[0].item_ids[0]
    asked = {}
    for scored in (32, 128):
        model.calls.clear()
        explain(model, request, top, scored=scored, n_content=3)
        asked[scored] = sum(model.calls), len(model.calls)

    assert asked[32][0] <= 150
    assert asked[32][0] < asked[128][0]
    assert asked[32][1] <= 16  # a call costs most of a plain slate


def test_the_score_of_an_item_below_what_is_shown_is_called_below(model, request_):
    found = explain(model, request_, "g05")
    assert found.relative_score < 0
    said = f"{-found.relative_score:.2f} below what a new user is shown"
    assert said in found.to_text().splitlines()[0]


def test_a_user_without_events_is_told_of_no_beginning(model):
    parts = {"support_ridge": -0.5, "r2d2": -0.25, "popularity": 1.0}
    assert components_shown(parts, is_new=False) == parts
    assert components_shown(parts, is_new=True) == {"popularity": 1.0, "start": -0.75}
    said = "although users seldom begin with it"
    assert said in sentences([], [], components_shown(parts, is_new=True))


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("add_to_cart", "put in the cart A"),
        ("remove_from_cart", "removed A"),
        ("unfollow", "unfollowed A"),
        ("not_interested", "turned down A"),
    ],
)
def test_what_a_user_refused_is_not_said_to_be_chosen(kind, said):
    event = EventEffect(item_id="a", title="A", value=None, kind=kind, effect=-1.0)
    assert did(event, None) == said


def test_an_own_negative_kind_and_a_value_below_zero_are_said_to_be_refused():
    own = Kinds.default().over({"thumb_down": -1, "swipe": {"sign": "negative"}})
    for kind in ("thumb_down", "swipe"):
        event = EventEffect(item_id="a", title="A", value=None, kind=kind, effect=-1.0)
        assert sentences([event], [], {}, kinds=own) == ["although you turned down A"]
    below = EventEffect(item_id="a", title="A", value=-1.0, kind="event", effect=-1.0)
    assert sentences([below], [], {}) == ["although you turned down A"]
    assert did(replace(below, value=1.0), None, own) == "chose A"


def test_an_effect_of_rounding_alone_is_told_as_none(model, rated_world):
    """What has no effect at all leaves the rounding of the scores behind."""
    request = Request(
        history=[*rated_world.history("space", 4), ("g00", 1.0)], profile={"home": "north"}
    )
    found = [explain(model, request, item) for item in ("s09", "s10", "g05", "g07")]
    largest = float(np.abs(model.score([request])).max())
    for one in found:
        effects = [e.effect for e in (*one.events, *one.features)]
        effects += [*one.shares, *one.components.values()]
        assert not [e for e in effects if e and abs(e) < 1e-7 * largest]


def test_an_item_that_must_be_left_out_with_all_its_events_is_named_once():
    twice = [
        EventEffect(item_id="a", title="Milk", value=None, kind="purchase", effect=0.1)
        for _ in range(2)
    ]
    other = EventEffect(item_id="b", title="Tea", value=None, kind="view", effect=0.1)
    why = Explanation(
        item_id="c",
        title="Bread",
        relative_score=1.0,
        rank=1,
        components={},
        events=[*twice, other],
        shares=[],
        features=[],
        nearest=[],
        counterfactual=Counterfactual(
            item_id="c", k=3, removed=[0, 1, 2], is_smallest=True, slate=[]
        ),
        reasons=[],
        facts=[],
        notes=[],
        model_version="v",
    )
    assert why.counterfactual_lines() == [
        "it would leave the first 3 without Milk (2 events) and Tea"
    ]
