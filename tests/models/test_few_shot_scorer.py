"""Any meta-learner may join the gate: `fit(learner=NAME)`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from episodes import histories_of
from metarec import Recommender, Request
from metarec.data.cold_users import SHORT
from metarec.data.schema import BadInput
from metarec.features.behavior import Behavior
from metarec.models.few_shot.learners import LEARNERS, get_learner
from metarec.models.few_shot.learners.tanp import TaNP
from metarec.models.few_shot.tasks import FewShotTasks
from metarec.models.few_shot.training import Training
from metarec.models.registry import MODELS
from world import evidence_of, tiny_world


@pytest.fixture(scope="module", autouse=True)
def _short_training():
    patch = pytest.MonkeyPatch()
    for name, method in LEARNERS.items():
        patch.setitem(
            LEARNERS,
            name,
            replace(method, training=Training(outer_steps=40, tasks_per_step=16, outer_lr=2e-2)),
        )
    yield
    patch.undo()


@pytest.fixture(scope="module")
def model():
    return Recommender.fit(
        tiny_world(ratings=True).data, preset="tiny", encoder="none", learner="r2d2"
    )


def test_the_learner_is_a_part_under_its_own_name(model, rated_world):
    requests = [Request(), Request(history=rated_world.history("garden", 3))]
    parts = model.score_components(requests)
    assert list(model.ensemble.scorers) == [
        "profile",
        "item_knn",
        "markov",
        "content",
        "support_ridge",
        "r2d2",
    ]
    np.testing.assert_allclose(
        sum(part.astype(np.float64) for part in parts.values()), model.score(requests), atol=1e-4
    )
    own = model.vocabulary.indexes(
        [i for i in rated_world.items_of_taste["garden"] if i not in dict(requests[1].history)]
    )
    other = model.vocabulary.indexes(rated_world.items_of_taste["space"])
    evidence = evidence_of(model.ensemble.scorers["r2d2"], *_asked(model, requests[1]))
    assert evidence[0, own].min() > evidence[0, other].max()


def test_it_is_saved_loaded_and_grown_with_the_rest(model, rated_world, tmp_path):
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    requests = [Request(), Request(history=rated_world.history("space", 4))]
    np.testing.assert_array_equal(again.score(requests), model.score(requests))
    assert again.settings.learner == "r2d2"
    grown = again.with_items(pl.DataFrame({"item_id": ["fresh"], "title": ["a rocket"]}))
    assert grown.score_components(requests)["r2d2"].shape == (2, len(model.catalog) + 1)


def test_a_transformer_over_events_joins_the_same_way(rated_world):
    model = Recommender.fit(
        rated_world.data,
        preset="tiny",
        encoder="none",
        learner="decoder",
        models={"decoder": {"steps": 60, "users_per_step": 24, "check_every": 30}},
    )
    assert list(model.ensemble.scorers)[-1] == "decoder" and model.settings.learner == "decoder"
    parts = model.score_components([Request(history=rated_world.history("garden", 3))])
    assert parts["decoder"].shape == (1, len(model.catalog)) and np.ptp(parts["decoder"]) > 0


def test_without_one_the_model_is_the_presets(rated_world):
    plain = Recommender.fit(rated_world.data, preset="tiny", encoder="none")
    assert "r2d2" not in plain.ensemble.scorers
    with pytest.raises(BadInput, match="no meta-learner .protonet. .*; there are .*gru4rec, caser"):
        Recommender.fit(rated_world.data, preset="tiny", encoder="none", learner="protonet")


def test_too_few_users_to_make_tasks_of_are_no_error():
    alone = Behavior(
        histories=histories_of([[(0, 1.0)], [(1, 1.0)]]),
        profiles=np.zeros((2, 0), np.float32),
        content=np.zeros((2, 1), np.float32),
        relevant_from=-np.inf,
        horizon=SHORT,
    )
    model = MODELS["r2d2"].fit(alone, np.random.default_rng(0))
    evidence = evidence_of(model, histories_of([[]]), np.zeros((1, 0), np.float32))
    assert evidence.shape == (1, 2)
    assert np.isfinite(evidence).all()


def test_every_field_of_a_learner_is_a_setting():
    assert get_learner("tanp", dim=8, divergence=0.5) == TaNP(dim=8, divergence=0.5)
    with pytest.raises(BadInput, match="tanp cannot be made with .*: .*dimm"):
        get_learner("tanp", dimm=8)


def test_every_learner_is_a_scorer_of_its_own():
    assert {MODELS[name].method for name in LEARNERS} == set(LEARNERS)


def test_users_are_drawn_by_their_weights():
    users = histories_of([[(n, 1.0), (n, 1.0)] for n in range(4)])
    tasks = FewShotTasks(histories=users, n_items=4, weights=np.array([6.0, 0.5, 0.5, 1.0]))
    drawn = tasks.sample(400, np.random.default_rng(0)).query.items[:, 0].numpy()
    assert np.bincount(drawn, minlength=4)[0] > 250


def _asked(model, request):
    users, _ = model.users([request])
    return users.support, users.profiles
