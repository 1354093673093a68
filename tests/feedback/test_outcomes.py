from __future__ import annotations

import polars as pl
import pytest

from metarec.feedback.outcomes import (
    ValueScale,
    as_history,
    as_training_rows,
    join_outcomes,
    teaching_weights,
    with_propensity,
    worth,
)

RATINGS = ValueScale(has_values=True, low=1.0, high=5.0, relevant_from=4.0)
ACTS = ValueScale(has_values=False, low=1.0, high=1.0, relevant_from=float("-inf"))


@pytest.mark.parametrize(
    ("kind", "value", "on_ratings", "on_acts"),
    [
        ("like", None, 5.0, 1.0),
        ("dislike", None, 1.0, None),
        ("rating", 4.5, 4.5, 4.5),
        ("rating", 9.0, 5.0, 9.0),
        ("purchase", None, 4.0, 1.0),
        ("purchase", 3.0, 4.0, 3.0),
        ("view", None, None, 1.0),
        ("event", None, None, 1.0),
        ("event", 2.0, 2.0, 2.0),
    ],
)
def test_what_an_act_is_worth(kind, value, on_ratings, on_acts):
    assert worth(kind, value, RATINGS) == on_ratings
    assert worth(kind, value, ACTS) == on_acts
    rows = pl.DataFrame(
        {"kind": [kind], "value": [value]}, schema={"kind": pl.Utf8, "value": pl.Float64}
    )
    for scale, expected in ((RATINGS, on_ratings), (ACTS, on_acts)):
        assert as_training_rows(rows, scale)["value"].to_list() == [
            v for v in [expected] if v is not None
        ]


def test_history_leaves_out_acts_that_say_nothing():
    events = [
        ("tea", None, "view", 1.0),
        ("rice", None, "like", 2.0),
        ("soap", None, "dislike", 3.0),
    ]
    assert as_history(events, RATINGS) == [
        ("rice", 5.0, "rating", 2.0),
        ("soap", 1.0, "rating", 3.0),
    ]
    assert as_history(events, ACTS) == [("tea", 1.0, "view", 1.0), ("rice", 1.0, "like", 2.0)]


def test_the_latest_word_on_an_item_takes_back_what_was_said_before():
    events = [
        ("tea", None, "like", 1.0),
        ("rice", 2.0, "rating", 2.0),
        ("tea", None, "dislike", 3.0),
        ("tea", None, "view", 4.0),
    ]
    assert as_history(events, RATINGS) == [
        ("rice", 2.0, "rating", 2.0),
        ("tea", 1.0, "rating", 3.0),
    ]
    assert as_history(events[:3], ACTS) == [("rice", 2.0, "rating", 2.0)]
    assert (
        as_history([*events[:1], ("soap", 3.0, "rating", 2.0), *events[:1]], RATINGS)[0][0]
        == "soap"
    )


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
            "shots": [0],
            "item_ids": [["tea", "rice"]],
            "scores": [[2.0, 1.0]],
            "propensity": [[0.5, 0.25]],
        }
    )
    of_ann = events.filter(pl.col("user_id") == "ann")
    for scale, most in ((RATINGS, 5.0), (ACTS, 1.0)):
        assert [
            (item, value)
            for item, value, *_ in as_history(
                of_ann.select("item_id", "value", "kind", "timestamp").rows(), scale
            )
        ] == [("rice", most)]
        for whole in (False, True):
            assert as_training_rows(events, scale, with_disliked=whole).select(
                "user_id", "item_id", "value"
            ).rows() == [("bob", "tea", most), ("ann", "rice", most)]
        assert join_outcomes(slates, of_ann, scale)["outcome"].to_list() == [0.0, 1.0]


def test_training_rows_of_ratings_are_all_ratings():
    """Otherwise one like among the ratings would turn a data set of ratings into one of acts."""
    from metarec.data.schema import Interactions

    rows = as_training_rows(
        pl.DataFrame(
            {
                "user_id": ["a"] * 3,
                "item_id": ["x", "y", "z"],
                "timestamp": [1.0, 2.0, 3.0],
                "kind": ["rating", "like", "dislike"],
                "value": [3.0, None, None],
            }
        ),
        RATINGS,
    )
    assert Interactions.of(rows).has_values


def test_outcomes_join_only_what_was_shown_in_that_slate():
    slates = pl.DataFrame(
        {
            "slate_id": ["s1", "s2"],
            "user_id": ["ann", "bob"],
            "timestamp": [1.0, 2.0],
            "model_version": ["v", "v"],
            "shots": [0, 3],
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
    ).with_columns(timestamp=3.0)
    joined = join_outcomes(slates, events, RATINGS)
    assert joined.select("slate_id", "place", "item_id", "propensity", "outcome").rows() == [
        ("s1", 0, "tea", 0.5, 0.0),
        ("s1", 1, "rice", 0.25, 1.0),
        ("s2", 0, "tea", 0.5, 0.0),
        ("s2", 1, "soap", 0.25, 0.0),
    ]
    assert join_outcomes(slates, events, ACTS)["outcome"].to_list() == [0.0, 1.0, 1.0, 0.0]
    again = pl.DataFrame(
        [("s1", "rice", "dislike", None, 4.0), ("s2", "tea", "like", None, 5.0)],
        schema=events.columns,
        orient="row",
    )
    for scale in (RATINGS, ACTS):  # the latest word counts, in whichever order the rows come
        assert join_outcomes(slates, pl.concat([again, events], how="vertical_relaxed"), scale)[
            "outcome"
        ].to_list() == [0.0, 0.0, 1.0, 0.0]


def test_what_takes_back_another_act_is_kept_for_cleaning_to_see():
    events = pl.DataFrame(
        {
            "user_id": ["a", "a"],
            "item_id": ["x", "x"],
            "timestamp": [1.0, 2.0],
            "kind": ["purchase", "return"],
            "value": [None, None],
        },
        schema_overrides={"value": pl.Float64},
    )
    assert as_training_rows(events, ACTS)["kind"].to_list() == ["purchase"]
    assert as_training_rows(events, ACTS, with_disliked=True)["kind"].to_list() == [
        "purchase",
        "return",
    ]


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


def test_people_teach_by_what_they_chose_themselves():
    events = pl.DataFrame(
        {
            "user_id": ["own", "sure", "sure", "drawn", "half", "half"],
            "propensity": [None, 1.0, 1.0, 0.01, None, 0.1],
        }
    )
    assert teaching_weights(events, clip=0.05) == pytest.approx(
        {"own": 1.0, "sure": 0.05, "drawn": 1.0, "half": 0.75}
    )
