"""Meta-learners as evaluated recommenders, on the world of two tastes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metarec.data.cold_users import split_cold_users
from metarec.data.schema import BadInput
from metarec.evaluation.adapters import UNADAPTED, learners_for
from metarec.evaluation.interface import Evaluated, Rates
from metarec.models.few_shot.learners import LEARNERS
from metarec.models.few_shot.training import Training
from metarec.models.registry import ADAPTIVE_DECODERS, BEHAVIOR_ENCODERS
from metarec.models.transformer.scorer import TransformerConfig
from metarec.recommendation.slate import Request


@pytest.fixture(autouse=True)
def _short_training(monkeypatch):
    for name, method in LEARNERS.items():
        monkeypatch.setitem(
            LEARNERS,
            name,
            replace(method, training=Training(outer_steps=60, tasks_per_step=16, outer_lr=2e-2)),
        )


def fitted(world, name, encoder="none"):
    split = split_cold_users(world.data, rng=np.random.default_rng(0))
    model = learners_for([name], encoder=encoder)[0]
    model.fit(split.train, split.validation, np.random.default_rng(0))
    return model, split


@pytest.mark.parametrize("name", ["bayesian_ridge", "matching"])
def test_a_new_user_gets_what_they_lack_of_their_taste(name, rated_world):
    model, _ = fitted(rated_world, name)
    assert isinstance(model, Evaluated)
    assert isinstance(model, Rates)
    for taste in ("space", "garden"):
        request = Request(history=rated_world.history(taste, 5), profile={})
        scores = model.score([request])[0]
        own = [scores[model.vocabulary.indexes([i])[0]] for i in rated_world.items_of_taste[taste]]
        other = [
            s
            for i, s in zip(model.vocabulary.ids, scores, strict=True)
            if i not in rated_world.items_of_taste[taste]
        ]
        assert min(own) > max(other)
        other_taste = "garden" if taste == "space" else "space"
        request = Request(
            history=[
                *rated_world.history(taste, 5),
                *rated_world.history(other_taste, 2, value=1.0),
            ]
        )
        values = model.rate(
            [request],
            [[*rated_world.items_of_taste["space"], *rated_world.items_of_taste["garden"]]],
        )[0]
        tastes = values[:12].mean() - values[12:].mean()
        assert tastes > 0.5 if taste == "space" else tastes < -0.5


def test_acts_are_ranked_and_never_rated(world):
    model, split = fitted(world, "prototypical")
    assert model.score([Request()]).shape == (1, len(split.train.items))
    with pytest.raises(BadInput, match="no scale to rate on"):
        model.rate([Request()], [["s00"]])


def test_unknown_items_are_overlooked(rated_world):
    model, _ = fitted(rated_world, "r2d2")
    known = rated_world.history("space", 3)
    ours, theirs = model.score(
        [Request(history=known), Request(history=[("nobody's", 5.0), *known])]
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
    rates = model.rate([Request(history=known)], [["nobody's", "s00"]])[0]
    assert rates[0] == pytest.approx(model.rater.scale.mean)


def test_the_unadapted_one_answers_everyone_alike(rated_world, monkeypatch):
    for name in [name for name in LEARNERS if name not in ("bayesian_ridge", "r2d2")]:
        monkeypatch.delitem(LEARNERS, name)
    split = split_cold_users(rated_world.data, rng=np.random.default_rng(0))
    models = learners_for(None, encoder="none")
    both = [f"{name}{how}" for name in ADAPTIVE_DECODERS for how in ("", ", not adapted")]
    alone = [*BEHAVIOR_ENCODERS, *both]
    assert [m.name for m in models] == ["bayesian_ridge", "r2d2", *alone, UNADAPTED]
    for model in (models[0], models[-1]):
        model.fit(split.train, split.validation, np.random.default_rng(0))
    assert models[0].inputs is models[-1].inputs
    requests = [Request(history=rated_world.history(taste, 4)) for taste in ("space", "garden")]
    same = models[-1].score(requests)
    np.testing.assert_array_equal(same[0], same[1])
    assert np.abs(np.diff(models[0].score(requests), axis=0)).max() > 1e-3


def test_a_name_that_is_none_is_told_before_fitting():
    with pytest.raises(BadInput, match="no meta-learner 'protonet'.*there are .*maml.*gru4rec"):
        learners_for(["protonet"])
    with pytest.raises(BadInput, match=r"no meta-learner 'gru4rek' .did you mean 'gru4rec'"):
        learners_for(["gru4rek"])


def test_a_behavior_encoder_stands_alone(world):
    split = split_cold_users(world.data, rng=np.random.default_rng(0))
    [model] = learners_for(["gru4rec"], encoder="none")
    model.config = TransformerConfig(steps=20, users_per_step=24)
    model.fit(split.train, split.validation, np.random.default_rng(0))
    assert isinstance(model, Evaluated)
    score = model.score([Request(), Request(history=world.history("garden", 4))])
    assert score.shape == (2, 24)
    np.testing.assert_allclose(score.sum(1), 1.0, rtol=1e-5)
    assert np.abs(score[0] - score[1]).max() > 1e-6


def test_single_models_are_set_as_the_data_s_file_says(world):
    given = {
        "fomaml": {"inner_steps": 1, "inner_lr": 0.3, "outer_steps": 2, "factors": 5},
        "gru4rec": {"steps": 1, "dim": 8},
    }
    split = split_cold_users(replace(world.data, models=given), rng=np.random.default_rng(0))
    learner, encoder = learners_for(["fomaml", "gru4rec"], encoder="none")
    for model in (learner, encoder):
        model.fit(split.train, split.validation, np.random.default_rng(0))
    adaptation = learner.ranker.learner.adaptation
    assert (adaptation.inner_steps, adaptation.inner_lr) == (1, 0.3)
    assert learner.ranker.columns.factors.shape[1] == 5 < learner.inputs.columns.factors.shape[1]
    assert encoder.scorer.config.steps == 1 and encoder.scorer.network.sizes.dim == 8
    wrong = replace(split.train, models={"fomaml": {"inner_lrr": 1.0}})
    with pytest.raises(BadInput, match="models.fomaml has no setting 'inner_lrr'"):
        learner.fit(wrong, split.validation, np.random.default_rng(0))
