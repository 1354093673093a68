"""Friends, place, circumstances and searches change what is recommended to whoever tells them, and
nobody else.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from context_world import CITIES, context_world, group_of
from metarec.data.dataset import Dataset
from metarec.data.relations import Relations
from metarec.data.schema import BadInput
from metarec.explanation.context_facts import context_facts
from metarec.recommendation.fitting.fit import learns_cold_items
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender

TOLD = {
    "friends": Request(friends=["u1", "u5", "u9"]),
    "location": Request(location=CITIES[1]),
    "context": Request(context={"mood": "rope"}),
    "search": Request(searches=["a rope"]),
}
"""Ways to say that a user is of the group `rope`."""


@pytest.fixture(scope="module")
def model() -> Recommender:
    return Recommender.fit(context_world(), preset="tiny", encoder="none")


@pytest.mark.parametrize("what", TOLD)
def test_each_alone_brings_items_of_the_right_group(model: Recommender, what: str) -> None:
    slate = model.recommend([TOLD[what]])[0]

    assert sum(group_of(item) == "rope" for item in slate.item_ids) >= 8
    assert slate.notes == []


def test_a_search_of_which_no_word_is_known_is_told(model: Recommender) -> None:
    slate = model.recommend([Request(searches=["xyzzy quux", "a rope"])])[0]

    assert slate.notes == [
        "neither items nor earlier searches have a word of 'xyzzy quux', so it was ignored"
    ]


def test_cold_places_are_ordered_by_distance(model: Recommender) -> None:
    """Nobody took these places; those in the town of a user come first among them, and where
    nothing but degrees is known of items, no dedicated model orders them anew.
    """
    towns = range(len(CITIES))
    new = pl.DataFrame(
        {
            "item_id": [f"new{town}" for town in towns],
            "title": ["a new thing"] * len(CITIES),
            "latitude": [CITIES[town][0] for town in towns],
            "longitude": [CITIES[town][1] for town in towns],
        }
    )
    grown = model.with_items(new)
    asked = [Request(history=[(f"i{12 * town}",)]) for town in towns]
    scores = grown.score(asked)[:, grown.vocabulary.indexes(new["item_id"])]

    small, inputs = replace(model.settings, preset="small"), model.item_inputs
    assert not learns_cold_items(small, inputs, ("location",))
    assert learns_cold_items(small, inputs, ())
    assert learns_cold_items(small, replace(inputs, tags=["kind=bar"]), ("location",))
    assert scores.argmax(1).tolist() == list(towns)


def test_whoever_tells_nothing_is_ranked_as_by_a_model_without_context(
    model: Recommender,
) -> None:
    data = context_world()
    plain = Dataset(
        interactions=data.interactions.frame.drop("mood", "device"),
        items=data.items,
        users=data.users,
        name=data.name,
    )
    without = Recommender.fit(
        Dataset(
            interactions=plain.interactions,
            items=data.items.frame.drop("latitude", "longitude"),
            name=data.name,
        ),
        preset="tiny",
        encoder="none",
    )

    ours, theirs = (m.recommend([Request()])[0].item_ids for m in (model, without))

    assert len(set(ours) & set(theirs)) >= 8


def test_batches_equal_one_by_one_and_parts_add_up(model: Recommender) -> None:
    long = [(f"i{n}",) for n in range(40)]  # longer than any the gate learned from
    requests = [*TOLD.values(), Request(), Request(history=long, friends=["u1"])]

    together = model.score(requests)

    np.testing.assert_allclose(
        together, np.concatenate([model.score([one]) for one in requests]), atol=1e-4
    )
    np.testing.assert_allclose(
        together, np.sum(list(model.score_components(requests).values()), axis=0), atol=1e-4
    )


def test_a_saved_model_gives_the_same_slates(model: Recommender, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    loaded = Recommender.load(tmp_path / "model")

    np.testing.assert_array_equal(
        loaded.score(list(TOLD.values())), model.score(list(TOLD.values()))
    )
    assert loaded.notes == model.notes


def test_a_column_that_tells_nothing_is_named(model: Recommender) -> None:
    assert any("device" in note and "tells nothing" in note for note in model.notes)
    assert any(note.startswith("context read: mood") for note in model.notes)


def test_new_items_have_their_place_at_once(model: Recommender) -> None:
    north, east = CITIES[2]
    new = {"item_id": ["i99"], "title": ["new"], "latitude": [north], "longitude": [east]}
    grown = model.with_items(pl.DataFrame(new))

    parts = grown.score_components([Request(location=CITIES[2]), Request(location=CITIES[0])])

    assert parts["location"][0, -1] > parts["location"][1, -1]


def test_what_cannot_be_used_is_said(model: Recommender) -> None:
    asked = Request(friends=["u1", "nobody"], context={"device": "tv", "mood": "oak"})

    notes = model.recommend([asked])[0].notes

    assert "1 friend is not among the training users and was ignored" in notes
    assert "the model learned nothing of device=tv, so it was ignored" in notes


def test_swapped_degrees_are_refused_with_the_way_out(model: Recommender) -> None:
    with pytest.raises(BadInput, match="latitude goes from -90 to 90.*write 52.5,113.4"):
        model.recommend([Request(location=(113.4, 52.5))])


def test_reasons_name_no_friend(model: Recommender) -> None:
    request = TOLD["friends"]
    item = model.recommend([request])[0].item_ids[0]

    reasons = " ".join(model.explain(request, item).reasons)

    assert "of your 3 friends" in reasons
    assert not any(friend in reasons.split() for friend in request.friends)


def test_reasons_tell_the_distance(model: Recommender) -> None:
    item = model.recommend([TOLD["location"]])[0].item_ids[0]

    assert "km from you" in " ".join(model.explain(TOLD["location"], item).reasons)


def test_a_distance_is_measured_from_you_only_where_you_said_where_you_are(
    model: Recommender,
) -> None:
    after = Request(history=[("i30", 1.0)])
    facts = [
        context_facts(model, request, [0])[0]["location"]
        for request in (
            replace(after, location=CITIES[1]),
            replace(after, profile={"latitude": CITIES[1][0], "longitude": CITIES[1][1]}),
            after,
        )
    ]

    ends = (" km from you", " km from your home", " km from the last place you chose")
    assert [fact.endswith(end) for fact, end in zip(facts, ends, strict=True)] == [True] * 3


@pytest.mark.parametrize("told", [{}, {"location": CITIES[1]}, {"friends": ["u1", "u5"]}])
def test_components_add_up_where_an_item_with_a_place_was_refused(model: Recommender, told) -> None:
    refused = ("i30", None, "dislike")
    requests = [Request(history=history, **told) for history in ([refused], [("i2", 1.0), refused])]

    parts = model.score_components(requests)

    assert np.abs(parts["refused"]).max() > 0.01
    summed = sum(part.astype(np.float64) for part in parts.values())
    np.testing.assert_allclose(summed, model.score(requests), atol=1e-4)


def test_friends_without_events_teach_nothing_and_break_nothing() -> None:
    data = context_world(users=40)
    lonely = Dataset(
        interactions=data.interactions.frame.drop("mood", "device"),
        relations=Relations.of(pl.DataFrame({"user_id": ["x"], "friend_id": ["y"]})),
    )

    model = Recommender.fit(lonely, preset="tiny", encoder="none")

    note = "this model learned from data without friends, so friends were ignored"
    assert model.recommend([Request(friends=["x"])])[0].notes == [note]
