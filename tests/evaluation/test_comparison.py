"""The honest sentence says what the numbers say, also when they are sobering."""

import polars as pl
import pytest

from evaluation.worlds import SHORT_WORLD, Constant, Oracle, curve_of, split_of
from metarec.data.schema import BadInput
from metarec.evaluation.comparison import compare_with_baselines
from metarec.evaluation.crossvalidation import cross_validate
from metarec.evaluation.curve import learning_curve
from metarec.evaluation.examples import ShownUser
from metarec.evaluation.report.text import show


def test_worth_it_from_some_event_on():
    curve = curve_of(
        {
            "ours": [0.30, 0.31, 0.36, 0.40],
            "Popular": [0.30, 0.30, 0.30, 0.30],
            "EASE": [0.2, 0.31, 0.33, 0.36],
        }
    )
    comparison = compare_with_baselines(curve, "ours", ["Popular", "EASE"])
    assert comparison.crossover == 3
    assert [s.outcome for s in comparison.differences] == ["even", "even", "better", "better"]
    assert [s.best for s in comparison.differences][2:] == ["EASE", "EASE"]
    assert comparison.sentence.startswith("Worth it from 3 known items: +0.0")
    assert "NDCG@10 [+0.0" in comparison.sentence
    assert "against the best simple baseline there, EASE" in comparison.sentence
    assert "Before that (0 and 1 known items)" in comparison.sentence


def test_not_worth_it_when_a_baseline_does_as_well():
    curve = curve_of({"ours": [0.30, 0.31, 0.33, 0.36], "EASE": [0.30, 0.31, 0.33, 0.36]})
    comparison = compare_with_baselines(curve, "ours", ["EASE"])
    assert comparison.crossover is None
    assert comparison.sentence.startswith("Not worth it here: EASE does as well (")
    assert "at 5 known items, and no clear difference at any other number" in comparison.sentence


def test_one_number_of_events_has_no_others():
    curve = curve_of({"ours": [0.3], "EASE": [0.3]})
    sentence = compare_with_baselines(curve, "ours", ["EASE"]).sentence
    assert sentence.endswith("] at 0 known items).")


def test_not_worth_it_when_a_baseline_is_better():
    curve = curve_of(
        {
            "ours": [0.30, 0.36, 0.33, 0.30],
            "EASE": [0.30, 0.31, 0.33, 0.36],
            "Popular": [0.3, 0.3, 0.3, 0.3],
        }
    )
    comparison = compare_with_baselines(curve, "ours", ["EASE", "Popular"])
    assert comparison.crossover is None  # better at 1, but clearly worse later
    assert (
        "Not worth it here: at 5 known items a simple baseline is better (EASE: -0.06"
        in comparison.sentence
    )


def test_worth_it_later_says_it_is_worse_before():
    curve = curve_of({"ours": [0.20, 0.36, 0.40, 0.45], "Popular": [0.30, 0.30, 0.30, 0.30]})
    sentence = compare_with_baselines(curve, "ours", ["Popular"]).sentence
    assert sentence.startswith("Worth it from 1 known item: +0.0")
    assert "Not before: at 0 known items a simple baseline is better (Popular: -0.10" in sentence
    before = compare_with_baselines(
        curve_of({"ours": [0.4, 0.4, 0.4, 0.4], "Popular": [0.3] * 4}), "ours", ["Popular"]
    ).sentence
    assert before.startswith("Worth it from the start, before any event: +0.09")
    later_even = compare_with_baselines(
        curve_of({"ours": [0.3, 0.4, 0.4, 0.3], "Popular": [0.3] * 4}), "ours", ["Popular"]
    ).sentence
    assert "At 5 known items it is even with the best baseline" in later_even


def test_the_baseline_is_the_best_baseline_at_each_number_of_events():
    curve = curve_of({"ours": [0.3, 0.3], "early": [0.4, 0.1], "late": [0.1, 0.4]})
    assert [
        s.best for s in compare_with_baselines(curve, "ours", ["early", "late"]).differences
    ] == [
        "early",
        "late",
    ]
    with pytest.raises(BadInput, match="ours cannot be its own baseline"):
        compare_with_baselines(curve, "ours", ["ours", "early"])


def test_fewer_errors_are_better_and_told_as_fewer():
    curve = curve_of({"ours": [0.9, 0.65], "low": [0.9, 0.8], "high": [1.0, 0.9]}, metric="mae")
    comparison = compare_with_baselines(curve, "ours", ["high", "low"], "mae")
    assert [s.best for s in comparison.differences] == ["low", "low"]
    assert [s.outcome for s in comparison.differences] == ["even", "better"]
    assert "Worth it from 1 known item: -0.1" in comparison.sentence
    assert " MAE [-0.1" in comparison.sentence


def test_corrected_p_values_follow_the_intervals():
    comparison = compare_with_baselines(
        curve_of({"ours": [0.3, 0.31, 0.36, 0.4], "EASE": [0.3, 0.31, 0.33, 0.36]}),
        "ours",
        ["EASE"],
    )
    assert all(s.p_corrected >= s.difference.p_value for s in comparison.differences)
    assert comparison.differences[3].p_corrected < 0.01 < comparison.differences[1].p_corrected


def test_a_known_world_gets_the_right_sentence(rated_world):
    curve = learning_curve([Oracle(rated_world), Constant(rated_world)], split_of(rated_world))
    assert compare_with_baselines(curve, "Oracle", ["Constant"]).crossover == 1


def test_cross_validation_evaluates_everyone_once(rated_world):
    fits = []

    class Counting(Constant):
        def fit(self, train, validation, rng):
            fits.append((set(train.interactions.frame["user_id"]), {v.user_id for v in validation}))

    told = []
    curve = cross_validate(
        rated_world.data,
        lambda: [Counting(rated_world), Oracle(rated_world)],
        folds=4,
        horizon=SHORT_WORLD,
        progress=lambda stage, done, note: told.append((stage, done, note)),
    )
    assert sorted(curve.user_ids) == sorted(rated_world.taste_of_user)
    assert curve.left_out == 0
    assert len(fits) == 4
    assert told[-1] == ("cross-validation", 1.0, "fold 4 of 4")
    assert curve.mean("Oracle", "auc")[1] > 0.9
    assert curve.per_user["Oracle"]["ndcg@10"].shape == (3, len(curve.user_ids))
    whole = set(rated_world.taste_of_user)
    assert all(train | validation < whole and not train & validation for train, validation in fits)


def test_cross_validation_tells_how_many_users_like_nothing(rated_world):
    events = rated_world.data.interactions.frame
    idle = sorted(rated_world.taste_of_user)[:3]
    low = pl.when(pl.col("user_id").is_in(idle)).then(pl.lit(1.0, pl.Float32))
    data = rated_world.data.with_interactions(events.with_columns(value=low.otherwise("value")))
    curve = cross_validate(data, lambda: [Constant(rated_world)], folds=4, horizon=SHORT_WORLD)
    assert sorted(curve.user_ids) == sorted(set(rated_world.taste_of_user) - set(idle))
    assert curve.left_out == 3


@pytest.mark.parametrize(("users", "said"), [(1, "1 user was"), (3, "3 users were"), (20, None)])
def test_few_users_are_told(users, said):
    curve = curve_of({"ours": [0.3, 0.9], "Popular": [0.3, 0.2]}, users=users)
    sentence = compare_with_baselines(curve, "ours", ["Popular"]).sentence
    assert sentence.startswith("Worth it") is (users > 1)
    warning = f" Only {said} evaluated, which shows large differences at best."
    assert sentence.endswith(warning) is (said is not None)


@pytest.mark.parametrize(
    ("liked", "words"), [(1, "liked 1 item later"), (2, "liked 2 items later")]
)
def test_a_shown_user_has_one_item_or_several(liked, words):
    user = ShownUser(profile={}, did=[], slates=[], liked_later=liked)
    assert show(user, "metarec")[0].endswith(words)
