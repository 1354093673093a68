"""The learning curve: known recommenders get known curves, on the same users and candidates."""

import json

import numpy as np
import pytest

from evaluation.worlds import Constant, Oracle, split_of
from metarec.data.cold_users import ColdUser
from metarec.data.schema import BadInput, Vocabulary
from metarec.evaluation.curve import learning_curve
from metarec.evaluation.measure import METRICS, EvaluationSet, measure


@pytest.fixture(scope="module")
def curve(rated_world):
    split = split_of(rated_world)
    evaluated = [
        Oracle(rated_world),
        Constant(rated_world),
        Oracle(rated_world, "Late", from_shots=3),
    ]
    return learning_curve(evaluated, split, seed=3)


def test_quality_jumps_when_the_taste_is_known(curve):
    oracle, late, chance = (curve.mean(name, "ndcg@10") for name in ("Oracle", "Late", "Constant"))
    assert oracle[0] == pytest.approx(chance[0], abs=0.15)
    assert (oracle[1:] > 0.85).all()
    assert late[1] < 0.6 < late[2]
    assert curve.mean("Oracle", "auc")[1:].min() > 0.9
    assert curve.mean("Constant", "auc") == pytest.approx([0.5] * 3)


def test_every_metric_has_every_user_and_an_interval_around_its_mean(curve, rated_world):
    users = len(split_of(rated_world).test)
    for metric in curve.metrics:
        for model in (m for m in curve.models if curve.has(m, metric)):
            mean, (low, high) = curve.mean(model, metric), curve.interval(model, metric)
            assert ((low <= mean + 1e-6) & (mean <= high + 1e-6)).all(), (model, metric)
    assert all(v.shape == (3, users) for values in curve.per_user.values() for v in values.values())
    assert set(curve.metrics) == set(METRICS) - {"diversity@10", "gain_ndcg@10"}


def test_only_raters_are_measured_on_values_and_uncertainty(curve, rated_world):
    assert not curve.has("Oracle", "mae")
    values = [np.array([v for _, v in n.query]) for n in split_of(rated_world).test]
    assert curve.mean("Constant", "mae") == pytest.approx(
        [np.mean([np.abs(v - 3).mean() for v in values])] * 3
    )
    inside = np.mean([(np.abs(v - 3) <= 1.6449).mean() for v in values])
    assert curve.mean("Constant", "covered@90") == pytest.approx([inside] * 3)


def test_differences_pair_the_same_users(curve):
    gain = curve.differences("Oracle", "Constant", "ndcg@10")
    assert gain[1].mean == pytest.approx(
        curve.mean("Oracle", "ndcg@10")[1] - curve.mean("Constant", "ndcg@10")[1]
    )
    assert gain[1].is_clear
    assert curve.best("ndcg@10", ["Constant", "Late"])[2] == "Late"
    table = curve.compare_all("Oracle", "ndcg@10")
    assert table.height == 6
    assert (table["p_holm"] >= table["p"]).all()
    with pytest.raises(BadInput, match="coverage@10 has no better end"):
        curve.differences("Oracle", "Constant", "coverage@10")
    with pytest.raises(
        BadInput, match="'Nobody' was not evaluated; the table has Oracle, Constant, Late"
    ):
        curve.mean("Nobody", "ndcg@10")
    with pytest.raises(BadInput, match="Oracle was not measured by 'mae'"):
        curve.mean("Oracle", "mae")


def test_the_table_goes_through_json(curve):
    again = json.loads(json.dumps(curve.to_json()))
    assert again["support_sizes"] == [0, 1, 3]
    row = next(
        r
        for r in again["table"]
        if (r["model"], r["metric"], r["events"]) == ("Oracle", "ndcg@10", 1)
    )
    assert row["mean"] == pytest.approx(curve.mean("Oracle", "ndcg@10")[1])


def test_the_same_seed_gives_the_same_table(rated_world):
    split = split_of(rated_world)
    tables = [
        learning_curve([Constant(rated_world)], split, seed=s).per_user["Constant"]["ndcg@10"]
        for s in (5, 5, 6)
    ]
    assert np.array_equal(tables[0], tables[1])
    assert not np.array_equal(tables[0], tables[2])


def test_the_whole_pool_is_left_out_whatever_is_shown(rated_world):
    split = split_of(rated_world)
    evaluation_set = EvaluationSet.of(split.test, split.train)
    for n_support in (0, 3):
        ranked = measure(
            Oracle(rated_world), evaluation_set, n_support, np.random.default_rng(0)
        ).ranked
        for row, cold_user in zip(ranked, split.test, strict=True):
            assert not {i for i, *_ in cold_user.pool} & set(
                evaluation_set.vocabulary.names(i for i in row if i >= 0)
            )


def test_chunks_change_nothing(rated_world, monkeypatch):
    split = split_of(rated_world)
    evaluation_set, model = (
        EvaluationSet.of(split.test, split.train),
        Oracle(rated_world, noise=0.0),
    )

    class Fixed(Constant):
        def score(self, requests):
            return np.stack(
                [np.arange(len(self.vocabulary)) % 17 + len(r.history) for r in requests]
            ).astype(np.float32) + np.linspace(0, 0.5, len(self.vocabulary), dtype=np.float32)

    whole = measure(Fixed(rated_world), evaluation_set, 1, np.random.default_rng(0))
    monkeypatch.setattr("metarec.evaluation.measure.SCORES_AT_ONCE", 60)
    assert len(list(evaluation_set.chunks())) > 2
    parts = measure(Fixed(rated_world), evaluation_set, 1, np.random.default_rng(0))
    assert np.array_equal(whole.ranked, parts.ranked)
    assert all(np.array_equal(whole.per_user[m], parts.per_user[m]) for m in whole.per_user)
    assert model.name == "Oracle"


def test_items_a_recommender_does_not_know_come_last(rated_world):
    split = split_of(rated_world)

    class Narrow(Constant):
        def __init__(self, world):
            super().__init__(world, "Narrow")
            self.vocabulary = Vocabulary(["s03", "s01"])

    evaluation_set = EvaluationSet.of(split.test[:1], split.train)
    ranked = measure(Narrow(rated_world), evaluation_set, 0, np.random.default_rng(0)).ranked[0]
    pool = {i for i, *_ in split.test[0].pool}
    known = {"s03", "s01"} - pool
    assert set(evaluation_set.vocabulary.names(ranked[: len(known)])) == known


def test_diversity_needs_to_know_what_items_are_like(rated_world):
    split = split_of(rated_world)
    ids = EvaluationSet.of(split.test, split.train).vocabulary.ids
    content = np.array([[i[0] == "s", i[0] == "g"] for i in ids], float)
    evaluation_set = EvaluationSet.of(split.test, split.train, item_embeddings=content)
    rng = np.random.default_rng(0)
    mixed, alike = (
        measure(model, evaluation_set, 1, rng).per_user["diversity@10"].mean()
        for model in (Constant(rated_world), Oracle(rated_world))
    )
    assert alike < 0.3 < mixed


def test_popular_items_are_less_novel(rated_world):
    split = split_of(rated_world)
    evaluation_set = EvaluationSet.of(split.test, split.train)
    events = split.train.interactions.frame
    for item_id, share in zip(
        evaluation_set.vocabulary.ids, evaluation_set.popularity, strict=True
    ):
        users = events.filter(events["item_id"] == item_id)["user_id"].n_unique()
        assert share == pytest.approx((users + 1) / (events["user_id"].n_unique() + 1))


def test_mistakes_are_told(rated_world):
    split = split_of(rated_world)
    with pytest.raises(BadInput, match="need different names, got Constant, Constant"):
        learning_curve([Constant(rated_world), Constant(rated_world)], split)
    with pytest.raises(BadInput, match="there is no new user to evaluate"):
        EvaluationSet.of([], split.train)
    lonely = ColdUser(
        user_id="a", profile={}, pool=[("s00", 5.0)], query=[("s01", 5.0)], relevant=["s01"]
    )
    with pytest.raises(BadInput, match="training events are empty"):
        EvaluationSet.of(
            [lonely], split.train.with_interactions(split.train.interactions.frame.clear())
        )

    class Short(Constant):
        def score(self, requests):
            return super().score(requests)[:1]

    with pytest.raises(BadInput, match=r"Short gave scores of shape \(1, 24\) for \d+ requests"):
        learning_curve([Short(rated_world)], split)
