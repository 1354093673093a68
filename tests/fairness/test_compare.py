"""All mitigations go through one call on one split; users to audit are ones the model never
met.
"""

import json
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from explanation.closed_form import ClosedForm
from fairness.biased_world import biased_cold_users, biased_data
from fairness.conftest import Blind
from metarec.data.cold_users import ColdUserSplit, Horizon
from metarec.data.schema import BadInput
from metarec.evaluation.measure import EvaluationSet
from metarec.fairness.audited_users import SEEN, evaluation_set_of_users, unseen_users
from metarec.fairness.mitigation.compare import compare_mitigations
from metarec.fairness.mitigation.debiasing import STRENGTHS, PopularityDebiased
from metarec.fairness.mitigation.gan import GanConfig
from metarec.fairness.mitigation.own_model import OwnModel
from metarec.fairness.outcomes import evaluate
from metarec.recommendation.slate import Request


@pytest.fixture(scope="module")
def split(data):
    return ColdUserSplit(
        train=data,
        validation=biased_cold_users(seed=3),
        test=biased_cold_users(seed=4),
        horizon=Horizon(support_sizes=(0, 3), pool=4, min_events=8),
    )


@pytest.fixture(scope="module")
def tried(split):
    fits = []

    def fit(train, weights):
        fits.append((len(train.users), weights is not None))
        return Blind.fit(train, user_weights=weights)

    found = compare_mitigations(fit, split, "group", gan=GanConfig(steps=150, width=32))
    return found, fits


def test_every_mitigation_is_tried_and_only_training_ones_fit_again(tried):
    found, fits = tried
    assert [r.name for r in found.table.rows] == [
        "cleaning",
        "reweighting",
        "inverse propensity",
        "upsampling",
        "GAN augmentation",
        "group prior",
        "own model",
        "popularity debiasing",
        "exposure bounds",
        "calibration",
    ]
    assert fits == [(150, False), (150, True), (150, True), (240, False), (240, False)]


def test_as_plain_data_it_names_trade_offs_and_synthetic_users(tried):
    plain = tried[0].to_json()
    assert plain.keys() == {"trade_offs", "synthetic"} and json.dumps(plain, allow_nan=False)


def test_the_gap_that_was_named_is_the_one_looked_at(split):
    """The profile has three groups here, and the pair named is not the widest."""
    third = [
        replace(user, profile={"group": "third"}) if n % 3 == 0 else user
        for n, user in enumerate(split.test)
    ]
    named = frozenset({"many", "third"})
    found = compare_mitigations(
        lambda train, weights: Blind.fit(train),
        replace(split, test=third),
        "group",
        pair=named,
        only=["cleaning"],
    )
    assert {found.table.gap.worst, found.table.gap.best} == named
    widest = compare_mitigations(
        lambda train, weights: Blind.fit(train),
        replace(split, test=third),
        "group",
        only=["cleaning"],
    )
    assert {widest.table.gap.worst, widest.table.gap.best} != named


def test_cleaning_that_takes_nothing_out_changes_nothing_and_says_so(tried):
    found, _ = tried
    row = found.table.rows[0]
    assert (row.name, row.note, row.gap_change.value) == ("cleaning", "nothing to take out", 0.0)


def test_each_group_gets_the_model_that_serves_it_best_and_nobody_loses(tried, split):
    found, _ = tried
    rows = {r.name: r for r in found.table.rows}
    assert rows["own model"].note == "few: reweighting, many: as it is"
    assert rows["own model"].best_change.value == 0.0
    assert rows["own model"].worst_change.value == pytest.approx(
        rows["reweighting"].worst_change.value
    )


def test_who_states_no_group_is_served_by_the_first_model(split):
    model, other = Blind.fit(split.train), ClosedForm.fit(split.train)
    mitigated = OwnModel(
        models={"one": model, "other": other},
        by="group",
        support_sizes=(0,),
        chosen={"few": "other"},
    )
    asked = [Request(profile={"group": "few"}), Request(), Request(profile={"group": "many"})]
    np.testing.assert_array_equal(mitigated.score(asked)[0], other.score(asked)[0])
    np.testing.assert_array_equal(mitigated.score(asked)[1:], model.score(asked)[1:])


def test_by_activity_only_ways_that_need_not_know_the_group_are_tried(split):
    with pytest.raises(
        BadInput,
        match="there are: cleaning, reweighting, inverse propensity, popularity debiasing, "
        "exposure bounds, cal",
    ):
        compare_mitigations(
            lambda train, weights: Blind.fit(train), split, "activity", only=["group prior"]
        )


def test_what_has_no_two_groups_is_refused_after_one_fit(split):
    """Everybody here has twelve events."""
    fits = []
    with pytest.raises(BadInput, match="no attribute has two groups large enough to compare"):
        compare_mitigations(
            lambda train, weights: fits.append(1) or Blind.fit(train), split, "activity"
        )
    assert len(fits) == 1


def test_a_metric_that_was_not_measured_is_refused_before_the_work(split):
    with pytest.raises(BadInput, match="metric 'mae' was not measured"):
        compare_mitigations(lambda train, weights: Blind.fit(train), split, "group", metric="mae")


def test_in_a_world_of_known_bias_something_halves_the_gap(tried):
    found, _ = tried
    rows = {r.name: r for r in found.table.rows}
    assert found.table.gap.is_clear and found.table.gap.worst == "few"
    assert rows["group prior"].halves_the_gap and rows["group prior"].is_cheap
    assert "at least halves it" in found.table.summary()


def test_the_checks_of_made_up_users_are_kept_and_printed(tried):
    found, _ = tried
    assert found.gan is not None and found.gan.synthetic == 90
    assert "membership advantage" in found.to_text() and found.table.to_text() in found.to_text()


def test_popularity_is_taken_out_only_as_far_as_quality_allows(split):
    model = Blind.fit(split.train)
    mitigated = PopularityDebiased(model=model)
    mitigated.fit(split.train, split.validation, np.random.default_rng(0))
    before, after = (
        evaluate(m, EvaluationSet.of(split.validation, split.train), (0, 1))
        .values("ndcg@10")
        .mean()
        for m in (model, mitigated)
    )
    assert after >= 0.985 * before
    further = PopularityDebiased(
        model=model, strength=STRENGTHS[-1], log_popularity=mitigated.log_popularity
    )
    assert (
        evaluate(further, EvaluationSet.of(split.validation, split.train), (0, 1))
        .values("ndcg@10")
        .mean()
        < 0.99 * before
    )
    counts = mitigated.log_popularity
    np.testing.assert_allclose(
        model.score([Request()])[0] - mitigated.score([Request()])[0],
        mitigated.strength * counts,
        atol=1e-4,
    )
    assert (
        counts[model.vocabulary.indexes(["a00"])[0]] > counts[model.vocabulary.indexes(["b29"])[0]]
    )


def test_a_name_that_is_no_mitigation_is_refused(split):
    with pytest.raises(
        BadInput,
        match="'magic' is no mitigation; there are: cleaning, reweighting, inverse propensity",
    ):
        compare_mitigations(
            lambda train, weights: ClosedForm.fit(train), split, "group", only=["magic"]
        )


def test_users_asked_about_are_audited_and_the_others_stay_in_training():
    data = biased_data(many=40, few=20)
    evaluation_set, horizon, cautions = evaluation_set_of_users(
        data, ["u1", "u2", "u45", "stranger"], rng=np.random.default_rng(0)
    )
    assert {n.user_id for n in evaluation_set.cold_users} == {"u1", "u2", "u45"}
    assert cautions == []
    assert evaluation_set.train.interactions.frame["user_id"].n_unique() == 57
    assert all(len(n.pool) == horizon.pool for n in evaluation_set.cold_users)


def test_unseen_users_are_those_without_training_events():
    data = biased_data(many=4, few=2)
    assert unseen_users(data, data.interactions.frame.filter(pl.col("user_id") != "u3")) == ["u3"]
    assert unseen_users(data, data.interactions.frame) == []


def test_when_everyone_may_have_been_seen_a_caution_is_given_and_the_number_is_bounded():
    data = biased_data(many=40, few=20)
    evaluation_set, _, cautions = evaluation_set_of_users(
        data, max_users=15, rng=np.random.default_rng(0)
    )
    assert len(evaluation_set.cold_users) == 15 and cautions == [SEEN]
    assert len(evaluation_set.train.interactions) == len(data.interactions)


def test_data_of_unseen_users_only_are_their_own_catalog():
    data = biased_data(many=4, few=2)
    evaluation_set, _, cautions = evaluation_set_of_users(
        data, [f"u{n}" for n in range(6)], rng=np.random.default_rng(0)
    )
    assert len(evaluation_set.cold_users) == 6 and cautions == []
    assert len(evaluation_set.vocabulary) == data.interactions.frame["item_id"].n_unique()


def test_users_without_enough_events_are_refused():
    data = biased_data(many=5, few=5)
    few = data.with_interactions(
        data.interactions.frame.group_by("user_id", maintain_order=True).head(2)
    )
    with pytest.raises(BadInput, match="none of the 10 users asked about has the 5 events needed"):
        evaluation_set_of_users(few, rng=np.random.default_rng(0))
