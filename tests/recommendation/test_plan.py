"""A plan counts what the fit will do and says what it will thin."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from context_world import context_world
from metarec.data.dataset import Dataset
from metarec.data.relations import Relations
from metarec.models import gram
from metarec.models.ease.config import EaseConfig
from metarec.models.item_knn import ItemKnn
from metarec.models.markov import counts as markov_counts
from metarec.recommendation.configs import configs_of
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.fitting import held_out_users, plan_costs
from metarec.recommendation.fitting.plan import plan_fit
from metarec.recommendation.settings import PRESETS, Settings
from metarec.recommender import Recommender
from metarec.runtime.pace import pace
from served_model import context_model


def data(users: int = 60, items: int = 50, longest: int = 20) -> Dataset:
    rng = np.random.default_rng(0)
    rows = [
        (f"u{user}", f"i{item}")
        for user in range(users)
        for item in rng.permutation(items)[: rng.integers(6, longest)]
    ]
    return Dataset(interactions=pl.DataFrame(rows, schema=["user_id", "item_id"], orient="row"))


def test_nothing_is_thinned_where_data_are_small_and_more_data_cost_more() -> None:
    small, large = (plan_fit(data(users), Settings(preset="tiny")) for users in (60, 600))
    assert small.thinned == []
    assert small.uncounted == []
    assert sum(large.seconds.values()) > sum(small.seconds.values()) > 0
    assert large.memory_mib > small.memory_mib
    assert "  thinned: nothing" in small.lines()


def test_what_every_fit_does_and_what_ratings_ask_for_is_counted() -> None:
    """Beside a fit of tiny on ratings of which a plan counted only the models."""
    acts = data(300)
    values = 1.0 + np.arange(len(acts.interactions)) % 5
    rated = Dataset(interactions=acts.interactions.frame.with_columns(value=values))
    titled = replace(acts, items=acts.items.frame.with_columns(title=pl.lit("a word")))
    plain, more, read = (plan_fit(one, Settings(preset="tiny")) for one in (acts, rated, titled))
    assert {"start", "given"} <= plain.seconds.keys() and "ratings" not in plain.seconds
    assert more.seconds["ratings"] > 0 and more.seconds["given"] > plain.seconds["given"]
    profiles = pl.DataFrame({"user_id": ["u1"], "age": [30]})
    profiled = plan_fit(replace(rated, users=profiles), Settings(preset="tiny"))
    assert profiled.seconds["ratings"] > more.seconds["ratings"]
    assert not plain.texts and read.texts
    assert "not counted: texts (once)" in read.lines()[1]
    assert "not counted" not in plan_fit(titled, Settings(preset="tiny", encoder="none")).lines()[1]


def test_a_plan_heeds_what_the_data_s_file_sets() -> None:
    few = {"support_ridge": {"max_tasks": 20}}
    told = plan_fit(data(), Settings(preset="tiny", models=few))
    assert plan_fit(replace(data(), models=few), Settings(preset="tiny")) == told
    assert told != plan_fit(data(), Settings(preset="tiny"))


def test_what_the_plan_says_is_left_out_is_what_the_fit_leaves_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = data()
    monkeypatch.setattr(gram, "MAX_PAIRS", 4000)
    monkeypatch.setattr(gram, "MAX_ENTRIES", 500)
    monkeypatch.setattr(gram, "MIN_KEPT", 1)
    monkeypatch.setattr(markov_counts, "MAX_PAIRS", 2000)
    monkeypatch.setattr(held_out_users, "MAX_ASKED", 500)
    models = {"gate": GateConfig(min_held_out=7)}
    said = " ".join(plan_fit(table, Settings(preset="tiny", models=models)).thinned)
    model = Recommender.fit(table, "tiny", encoder="none", models=models)
    knn = model.ensemble.scorers["item_knn"]
    assert isinstance(knn, ItemKnn)
    assert f"({knn.left_out:,} older ones left out)" in said
    assert f"keeps {np.diff(knn.similarity.indptr).max()} neighbors" in said
    window = markov_counts.window_of(len(table.interactions), markov_counts.DEFAULT)
    assert f"markov counts {window} events that follow each instead of 20" in said
    assert f"learns from {held_out_users.held_out_of(50, models['gate'])} of" in said


def test_models_that_join_by_data_are_named_as_not_counted() -> None:
    table = context_world()
    planned = plan_fit(table, Settings(preset="tiny"), processes=4)
    assert planned.uncounted == [
        name for name in context_model().ensemble.scorers if name not in PRESETS["tiny"]
    ]
    assert " in each of 4 processes and what these models need" in planned.lines()[2]
    alone = replace(
        table, relations=Relations(), items=table.items.frame.select("item_id", "title")
    )
    assert plan_fit(alone, Settings(preset="tiny")).uncounted == ["context"]


def test_all_that_small_fits_is_counted_and_grows_with_the_data() -> None:
    costly = set(PRESETS["small"]) - set(PRESETS["tiny"])
    few, many = (plan_fit(data(60, items), Settings(preset="small")) for items in (50, 500))
    assert few.uncounted == many.uncounted == [] and costly <= few.seconds.keys()
    tiny = plan_fit(data(60, 500), Settings(preset="tiny"))
    assert many.seconds.keys() == tiny.seconds.keys() | costly
    assert many.memory_mib > tiny.memory_mib
    assert all(many.seconds[name] > few.seconds[name] for name in ("deep_set", "r2d2"))


def test_ease_is_counted_by_the_items_it_regresses() -> None:
    acts = data(200, 40).interactions.frame.select("user_id", "item_id")
    assert plan_costs.head_of(acts, EaseConfig(), has_time=False) == 40
    assert plan_costs.head_of(acts, EaseConfig(max_items=7), has_time=False) == 7
    assert plan_costs.head_of(acts, EaseConfig(min_events=300), has_time=False) == 0
    # items that are hardly taken with others are left to pairs
    assert plan_costs.head_of(acts.head(60), EaseConfig(), has_time=True) == 0
    of_head = [
        plan_costs.ease(EaseConfig(), pool=3, head=head, entries=1e4, pairs=1e4)
        for head in (1000, 2000)
    ]
    assert 4 < of_head[1] / of_head[0] < 8


def test_settings_of_the_costlier_models_count() -> None:
    usual, brief = (
        plan_fit(data(), Settings(preset="small", models=configs_of(models))).seconds
        for models in (
            {},
            {"deep_set": {"steps": 30}, "r2d2": {"outer_steps": 30}, "als": {"sweeps": 1}},
        )
    )
    assert brief["deep_set"] == pytest.approx(usual["deep_set"] / 10, abs=0.1)
    assert brief["r2d2"] == pytest.approx(usual["r2d2"] / 10, abs=0.1)


def test_settings_of_models_count() -> None:
    few = Settings(preset="tiny", models={"support_ridge": {"max_tasks": 20}})
    assert any(
        "support_ridge learns from 20 of 60" in line for line in plan_fit(data(), few).thinned
    )


def test_a_plan_for_a_slower_machine_takes_longer_and_no_more_memory() -> None:
    plan = plan_fit(data(), Settings(preset="tiny"))
    slow = plan.at(3.0)
    assert slow.seconds.keys() == plan.seconds.keys()
    assert sum(slow.seconds.values()) == pytest.approx(3 * sum(plan.seconds.values()), abs=1.0)
    assert replace(slow, seconds=plan.seconds) == plan
    with pytest.raises(ValueError, match="above 0, got 0"):
        plan.at(0.0)


def test_the_pace_is_a_machine_s() -> None:
    assert 0.02 < pace() < 50
