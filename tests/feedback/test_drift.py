from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from metarec.feedback.drift import Drift, RetrainRule, advise_retraining, measure_drift


def draw(rng, weights, count=4_000, *, prefix="i", mean=3.0, users=200):
    items = rng.choice(len(weights), size=count, p=weights / weights.sum())
    return pl.DataFrame(
        {
            "user_id": [f"u{u}" for u in rng.integers(users, size=count)],
            "item_id": [f"{prefix}{i}" for i in items],
            "value": rng.normal(mean, 1.0, size=count),
        }
    )


@pytest.fixture
def weights():
    return 1.0 / np.arange(1.0, 101.0)


def test_more_of_the_same_is_no_drift(weights):
    rng = np.random.default_rng(0)
    drift = measure_drift(draw(rng, weights), draw(rng, weights))
    assert drift.popularity_psi < 0.05
    assert abs(drift.value_shift) < 0.1
    assert drift.cold_item_share < 0.01
    assert drift.cold_user_share == 0.0


def test_a_turned_taste_moves_the_popularity_index_only(weights):
    rng = np.random.default_rng(0)
    drift = measure_drift(draw(rng, weights), draw(rng, weights[::-1]))
    assert drift.popularity_psi > 0.2
    assert abs(drift.value_shift) < 0.1
    assert drift.cold_item_share < 0.01


def test_new_items_new_users_and_other_values_are_noticed(weights):
    rng = np.random.default_rng(0)
    trained = draw(rng, weights)
    recent = pl.concat(
        [draw(rng, weights, 3_000, mean=4.0), draw(rng, weights, 1_000, prefix="new", mean=4.0)]
    )
    drift = measure_drift(trained, recent.with_columns(pl.lit("stranger").alias("user_id")))
    assert drift.cold_item_share == pytest.approx(0.25)
    assert drift.cold_user_share == 1.0
    assert drift.value_shift == pytest.approx(1.0, abs=0.1)


def test_answers_about_what_a_model_showed_are_not_taken_for_another_taste(weights):
    """A model shows what is popular, and what it shows is rated high; what users chose beside it
    is as it always was.
    """
    rng = np.random.default_rng(0)
    own = draw(rng, weights, 2_000).with_columns(pl.lit(None, pl.Utf8).alias("slate_id"))
    answers = draw(rng, weights**2, 2_000, mean=4.5).with_columns(pl.lit("shown").alias("slate_id"))
    drift = measure_drift(draw(rng, weights), pl.concat([own, answers]))
    assert (drift.events, drift.unprompted) == (4_000, 2_000)
    assert drift.popularity_psi < 0.05
    assert abs(drift.value_shift) < 0.1
    only_answers = measure_drift(draw(rng, weights), answers)
    assert (only_answers.unprompted, only_answers.popularity_psi, only_answers.value_shift) == (
        0,
        0.0,
        0.0,
    )


def test_equally_popular_items_are_one_bin():
    """A catalog in which every item was taken once must not look moved because its items were cut
    into bins by name.
    """
    trained = pl.DataFrame(
        {"user_id": ["u"] * 100, "item_id": [f"i{n}" for n in range(100)], "value": [1.0] * 100}
    )
    recent = pl.DataFrame(
        {"user_id": ["u"] * 50, "item_id": [f"i{n}" for n in range(50)], "value": [1.0] * 50}
    )
    drift = measure_drift(trained, recent)
    assert drift.popularity_psi < 0.01
    assert drift.value_shift == 0.0


def test_no_events_are_no_drift(weights):
    some = draw(np.random.default_rng(0), weights, 10)
    assert measure_drift(some, some.clear()) == Drift(
        events=0,
        unprompted=0,
        popularity_psi=0.0,
        value_shift=0.0,
        cold_item_share=0.0,
        cold_user_share=0.0,
    )


def quiet(**more):
    return Drift(
        **{
            "events": 500,
            "unprompted": 400,
            "popularity_psi": 0.01,
            "value_shift": 0.0,
            "cold_item_share": 0.0,
            "cold_user_share": 1.0,
            **more,
        }
    )


@pytest.mark.parametrize(
    ("drift", "trained", "forgotten", "says"),
    [
        (quiet(), 10_000, 0, []),
        (quiet(events=1_000), 10_000, 0, ["1,000 new events since training on 10,000"]),
        (quiet(events=1_000), 100_000, 0, []),
        (quiet(popularity_psi=0.3), 10_000, 0, ["popularity index 0.30"]),
        (quiet(popularity_psi=0.3, unprompted=100), 10_000, 0, []),
        (quiet(value_shift=0.5, unprompted=100), 10_000, 0, []),
        (quiet(cold_item_share=0.2), 10_000, 0, ["20% of new events are on items not trained on"]),
        (quiet(value_shift=-0.5), 10_000, 0, ["values have moved by 0.50"]),
        (quiet(), 10_000, 2, ["2 forgotten users"]),
        (quiet(), 10_000, 1, ["1 forgotten user"]),
    ],
)
def test_reasons_to_retrain(drift, trained, forgotten, says):
    reasons = advise_retraining(
        drift, trained_events=trained, forgotten=forgotten, rule=RetrainRule()
    )
    assert len(reasons) == len(says)
    assert all(part in reason for part, reason in zip(says, reasons, strict=True))
