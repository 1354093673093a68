from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from metarec.feedback.outcomes import (
    ValueScale,
    as_history,
    as_training_rows,
    join_outcomes,
    teaching_weights,
    with_propensity,
)

RATINGS = ValueScale(has_values=True, low=1.0, high=5.0, relevant_from=4.0)
ACTS = ValueScale(has_values=False, low=1.0, high=1.0, relevant_from=float("-inf"))


def test_history_is_what_was_sent_without_what_says_nothing():
    events = [
        ("tea", None, "view", 1.0),
        ("rice", None, "impression", 2.0),
        ("soap", None, "dislike", 3.0),
        ("oats", None, "search", 4.0),
        ("soap", None, "undo", 5.0),
    ]
    for scale in (RATINGS, ACTS):
        assert as_history(events, scale) == [events[0], events[2], events[4]]
        assert scale.preference_kinds(kind for _, _, kind, _ in events) == {
            "view",
            "dislike",
            "undo",
        }


def test_training_rows_are_what_was_sent_with_ratings_on_the_scale():
    rows = pl.DataFrame(
        {"kind": ["rating", "rating", "purchase", "view"], "value": [9.0, 2.0, 9.0, None]}
    )
    assert as_training_rows(rows, RATINGS)["value"].to_list() == [5.0, 2.0, 9.0, None]
    assert as_training_rows(rows, ACTS).equals(rows)


@pytest.mark.parametrize(
    ("trained_on", "came", "targets"),
    [
        ({"rating"}, ["like", "view", "rating"], {"like", "rating"}),
        ({"rating"}, ["view"], set()),
        ({"view"}, ["view", "Purchase"], {"view", "purchase"}),
        ({"purchase"}, ["view", "cart", "return"], set()),
        (set(), ["view", "dislike"], {"view"}),
        (set(), ["view", "like"], {"view", "like"}),
    ],
)
def test_a_target_that_training_did_not_have_counts_when_it_comes(trained_on, came, targets):
    scale = replace(RATINGS, target_kinds=frozenset(trained_on))
    assert scale.targets(came) == targets
    acts = scale.acts(pl.DataFrame({"kind": came, "value": [None] * len(came)}))
    is_act = [kind for kind in came if kind != "rating"]  # a rating says yes by its value
    assert [kind.lower() for kind, yes in zip(came, acts["is_target"], strict=True) if yes] == [
        kind.lower() for kind in is_act if kind.lower() in targets
    ]


def test_what_is_undone_was_never_said():
    acts = [
        ("ann", "tea", "like", 1.0),
        ("ann", "tea", "undo", 2.0),
        ("bob", "tea", "like", 1.0),
        ("ann", "rice", "dislike", 3.0),
        ("ann", "rice", "undo", 4.0),
        ("ann", "rice", "like", 5.0),
    ]
    events = pl.DataFrame(
        [(*act, "s1", None) for act in acts],
        schema=["user_id", "item_id", "kind", "timestamp", "slate_id", "value"],
        schema_overrides={"value": pl.Float64},
        orient="row",
    )
    slates = pl.DataFrame(
        {
            "slate_id": ["s1"],
            "user_id": ["ann"],
            "timestamp": [0.0],
            "model_version": ["v"],
            "n_support": [0],
            "item_ids": [["tea", "rice"]],
            "scores": [[2.0, 1.0]],
            "propensity": [[0.5, 0.25]],
        }
    )
    of_ann = events.filter(pl.col("user_id") == "ann")
    for scale in (RATINGS, ACTS):
        assert join_outcomes(slates, of_ann, scale)["outcome"].to_list() == [0.0, 1.0]


def test_outcomes_join_only_what_was_shown_in_that_slate():
    slates = pl.DataFrame(
        {
            "slate_id": ["s1", "s2"],
            "user_id": ["ann", "bob"],
            "timestamp": [1.0, 2.0],
            "model_version": ["v", "v"],
            "n_support": [0, 3],
            "item_ids": [["tea", "rice"], ["tea", "soap"]],
            "scores": [[2.0, 1.0]] * 2,
            "propensity": [[0.5, 0.25]] * 2,
        }
    )
    events = pl.DataFrame(
        [
            ("s1", "rice", "like", None),
            ("s1", "soap", "like", None),
            ("s2", "tea", "rating", 2.0),
            ("s2", "soap", "view", None),
            (None, "tea", "like", None),
        ],
        schema=["slate_id", "item_id", "kind", "value"],
        orient="row",
    ).with_columns(timestamp=3.0, user_id=pl.lit("u"))
    joined = join_outcomes(slates, events, RATINGS)
    assert joined.select("slate_id", "place", "item_id", "propensity", "outcome").rows() == [
        ("s1", 0, "tea", 0.5, 0.0),
        ("s1", 1, "rice", 0.25, 1.0),
        ("s2", 0, "tea", 0.5, 0.0),
        ("s2", 1, "soap", 0.25, 1.0),
    ]
    targets = replace(ACTS, target_kinds=frozenset({"like", "rating"}))
    assert join_outcomes(slates, events, targets)["outcome"].to_list() == [0.0, 1.0, 1.0, 0.0]
    again = pl.DataFrame(
        [("s1", "rice", "dislike", None, 4.0, "u"), ("s2", "tea", "like", None, 5.0, "u")],
        schema=events.columns,
        orient="row",
    )
    both = pl.concat([again, events], how="vertical_relaxed")
    # Of equally strong words the latest counts, in whichever order the rows come.
    assert join_outcomes(slates, both, targets)["outcome"].to_list() == [0.0, 0.0, 1.0, 0.0]


def test_an_event_answers_a_slate_only_where_that_showed_its_item():
    slates = pl.DataFrame(
        {
            "slate_id": ["s1", "s2"],
            "item_ids": [["a", "b"], ["a"]],
            "propensity": [[1.0, 0.02], [0.5]],
        }
    )
    events = pl.DataFrame(
        {
            "user_id": ["u", "u", "u", "v", "w"],
            "item_id": ["b", "a", "c", "a", "a"],
            "slate_id": ["s1", "s2", "s1", None, "elsewhere"],
        }
    )
    found = with_propensity(events, slates)
    assert found["item_id"].to_list() == events["item_id"].to_list()
    assert found["propensity"].to_list() == [0.02, 0.5, None, None, None]


def test_users_teach_by_what_they_chose_themselves():
    events = pl.DataFrame(
        {
            "user_id": ["own", "sure", "sure", "drawn", "half", "half"],
            "propensity": [None, 1.0, 1.0, 0.01, None, 0.1],
        }
    )
    assert teaching_weights(events, clip=0.05) == pytest.approx(
        {"own": 1.0, "sure": 0.05, "drawn": 1.0, "half": 0.75}
    )
