"""Feature effects name the features that truly drive the world: its tags, its homes."""

import numpy as np
import polars as pl
import pytest

from metarec.explanation.importance import (
    circumstance_effects,
    content_effects,
    profile_effects,
    split_tags,
)
from metarec.explanation.relative_score import anonymous_weights, relative_to_shown
from metarec.recommendation.slate import Request
from served_model import fitted_model


def test_the_home_lifts_the_taste_it_follows_and_sinks_the_other(model):
    request = Request(profile={"home": "north", "age": 30})
    by_name = {e.name: e for e in profile_effects(model, request, "s03")}
    assert by_name["home"].effect > 1.5 * abs(by_name["age"].effect)
    assert by_name["home"].effect > 0.3
    assert by_name["home"].value == "north"
    assert {e.name: e.effect for e in profile_effects(model, request, "g03")}["home"] < -0.3


def test_a_missing_attribute_is_no_feature(model):
    assert profile_effects(model, Request(profile={"home": None}), "s03") == []
    assert profile_effects(model, Request(), "s03") == []


@pytest.mark.parametrize("is_new", [False, True])
def test_the_tag_shared_with_the_history_lifts_the_item(model, rated_world, is_new):
    found = content_effects(
        model, Request(history=rated_world.history("space", 3)), "s07", is_new=is_new
    )
    by_name = {e.name: e for e in found}
    assert by_name["categories"].effect > 0.1
    assert by_name["categories"].value == "space"
    assert by_name["year"].effect == pytest.approx(
        0.0, abs=1e-6
    )  # the test model does not read years


def test_several_tags_are_taken_away_one_by_one(model, rated_world):
    frame = pl.DataFrame(
        [
            {
                "item_id": "new",
                "title": "N",
                "text": "a rocket",
                "categories": "space|garden",
                "year": 2000,
            }
        ],
        schema=model.catalog.frame.schema,
    )
    grown = model.with_items(frame)
    found = {
        e.value: e.effect
        for e in content_effects(
            grown, Request(history=rated_world.history("space", 3)), "new", words=1
        )
        if e.name == "categories"
    }
    assert set(found) == {"space", "garden"}
    assert found["space"] > 0.1 > found["garden"]


def test_content_effects_leave_the_model_as_it_was(model, rated_world):
    before = model.score([Request()])
    content_effects(model, Request(history=rated_world.history("space", 1)), "s07")
    np.testing.assert_array_equal(model.score([Request()]), before)
    assert len(model.vocabulary) == 24


def test_a_known_item_s_effect_is_the_model_asked_with_the_changed_item(model, rated_world):
    request = Request(history=rated_world.history("space", 3))
    found = {e.name: e.effect for e in content_effects(model, request, "s07")}
    row = model.catalog.frame.filter(pl.col("item_id") == "s07").with_columns(
        pl.lit(None, dtype=pl.Utf8).alias("categories")
    )
    column, weights = model.vocabulary.indexes(["s07"])[0], anonymous_weights(model)
    before, after = (
        relative_to_shown(m.score([request]), weights)[0, column]
        for m in (model, model.with_items(row))
    )
    assert found["categories"] == pytest.approx(before - after, abs=1e-6)


def test_circumstances_are_tried_only_where_they_differ(model):
    assert circumstance_effects(model, Request(history=[("s00", 5.0)]), "s03") == []
    found = {
        e.name: e.effect
        for e in circumstance_effects(
            model, Request(history=[("s00", 5.0), ("g00", 1.0), ("s01", 3.0)]), "s03"
        )
    }
    assert set(found) == {"values", "order"}
    assert found["order"] == pytest.approx(0.0, abs=1e-6)  # the test model does not read the order
    assert found["values"] > 0.05  # all three at their mean value would count as disliked


def test_the_order_of_events_with_times_has_its_effect_too():
    """A history whose events all have a time is sorted by it, whatever its order in the request."""
    model = fitted_model()
    assert "markov" in model.ensemble.scorers
    items = ["s00", "g00", "s01"]
    told = [(item, 5.0, "like", None) for item in items]
    timed = [(item, 5.0, "like", 1.7e9 + n) for n, item in enumerate(items)]
    plain, with_times = (
        {e.name: e.effect for e in circumstance_effects(model, Request(history=history), "s03")}
        for history in (told, timed)
    )
    assert abs(plain["order"]) > 1e-3
    assert with_times["order"] == pytest.approx(plain["order"], abs=1e-6)


@pytest.mark.parametrize(
    ("cell", "tags"),
    [("A|B", ["A", "B"]), ("A, B", ["A", "B"]), (["x", "y"], ["x", "y"]), (7, ["7"]), ("A", ["A"])],
)
def test_tags_are_split_as_written(cell, tags):
    assert split_tags(cell) == tags
