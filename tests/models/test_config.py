"""Hyper-parameters of models: checked by name, set from Python and TOML, saved with the model."""

from __future__ import annotations

import ast
import json
import pickle
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

import metarec
from metarec.data.errors import BadInput, DataWarning
from metarec.models import registry
from metarec.models.config import ModelConfig
from metarec.models.ease.config import EaseConfig
from metarec.models.few_shot.learners import LEARNERS, own_settings
from metarec.models.item_knn import ItemKnnConfig
from metarec.models.registry import MODELS
from metarec.recommendation.configs import BESIDE, config_of
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.storage import from_artifact, to_artifact
from metarec.recommender import Recommender
from world import World


@pytest.mark.parametrize("name", [*MODELS, *BESIDE])
def test_every_model_has_a_config_whose_fields_are_told(name: str) -> None:
    config = config_of(name)
    assert isinstance(config, ModelConfig) and type(config).__doc__
    source = Path(__import__(type(config).__module__, fromlist=["x"]).__file__).read_text("utf-8")
    for one in fields(config):
        told = source.split(f"    {one.name}: ", 1)
        assert len(told) == 1 or '"""' in told[1].split("\n    @", 1)[0], one.name


def test_every_hyper_parameter_is_read() -> None:
    """One that is accepted and ignored would change nothing, without a word."""
    sources = Path(metarec.__file__).parent.rglob("*.py")
    read = {name for path in sources for name in re.findall(r"\.(\w+)", path.read_text("utf-8"))}
    for name in (*MODELS, *BESIDE):
        ignored = [one.name for one in fields(config_of(name)) if one.name not in read]
        assert not ignored, f"{name}: nobody reads {ignored}"


def test_numbers_beside_models_say_why_nobody_sets_them() -> None:
    """A hyper-parameter belongs in a config; what stands as a constant is a limit or a guard."""
    for path in Path(registry.__file__).parent.rglob("*.py"):
        body = ast.parse(path.read_text("utf-8")).body
        for one, after in zip(body, [*body[1:], None], strict=True):
            if not isinstance(one, ast.Assign) or isinstance(one.value, ast.Call | ast.Dict):
                continue
            numbers = [type(c.value) for c in ast.walk(one.value) if isinstance(c, ast.Constant)]
            if set(numbers) & {int, float}:
                said = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
                assert said, f"{path.name}, line {one.lineno}: say which bound or guard this is"


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        (
            "ease",
            {"regularisation": 1},
            "models.ease has no setting 'regularisation'; did you mean 'regularization'",
        ),
        ("ease", {"regularization": -1.0}, "models.ease.regularization must be above 0, got -1.0"),
        ("ease", {"kept": 0}, "models.ease.kept must be 1 or more, got 0"),
        ("ease", {"kept": 1.5}, "models.ease.kept must be a whole number, got 1.5"),
        ("ease", {"kept": True}, "models.ease.kept must be a whole number, got True"),
        ("ease", {"regularization": "much"}, "models.ease.regularization must be a number"),
        ("ease", {"regularization": float("nan")}, "models.ease.regularization must be a number"),
        ("ease", ItemKnnConfig(), "models.ease is set by EaseConfig, got ItemKnnConfig"),
        ("ease", 3, "models.ease must be a table of settings, got 3"),
        ("markov", {"recencies": 0.5}, "models.markov.recencies must be a list of numbers"),
        ("markov", {"recencies": []}, "models.markov.recencies must be a list of numbers"),
        ("markov", {"recencies": [0.5, 1]}, "models.markov.recencies must be below 1, got 1.0"),
        ("rating", {"nois": 1.0}, "models.rating has no setting 'nois'; did you mean 'noise'"),
        ("trend", {"cuts": [0.5, 1.0]}, "models.trend.cuts must be below 1, got 1.0"),
        ("gate", {"lr": 0}, "models.gate.lr must be above 0, got 0"),
        ("refusals", {"min_user": 2}, "models.refusals has no setting 'min_user'; did you mean"),
        ("eas", {}, "there is no model 'eas' .did you mean 'ease'"),
        ("gaet", {}, "there is no model 'gaet' .did you mean 'gate'"),
        (
            "maml",
            {"inner_step": 2},
            "models.maml has no setting 'inner_step'; did you mean 'inner_s",
        ),
        ("cavia", {"inner_lr": 0}, "models.cavia.inner_lr must be above 0, got 0.0"),
        ("tanp", {"clusters": 0}, "models.tanp.clusters must be 1 or more, got 0"),
        ("r2d2", {"dim": "wide"}, "models.r2d2.dim must be a whole number, got 'wide'"),
        ("r2d2", {"name": "maml"}, "models.r2d2 has no setting 'name'"),
    ],
)
def test_wrong_settings_are_refused_by_name(name: str, given: object, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        config_of(name, given)  # type: ignore[arg-type]


def test_a_config_is_read_saved_and_printed(rated_world: World, tmp_path: Path) -> None:
    def fit(**more: object) -> Recommender:
        return Recommender.fit(rated_world.data, "tiny", encoder="none", **more)  # type: ignore

    request = [metarec.Request(history=rated_world.history("space", 3))]
    plain, same = fit(), fit(models={"item_knn": {"shrinkage": 20, "neighbors": 1000}})
    np.testing.assert_array_equal(plain.score(request), same.score(request))
    other = fit(models={"item_knn": ItemKnnConfig(shrinkage=0.0), "ease": {"kept": 7}})
    assert list(other.ensemble.scorers)[-1] == "ease" and "ease" not in plain.ensemble.scorers
    assert not np.array_equal(
        other.score_components(request)["item_knn"], plain.score_components(request)["item_knn"]
    )
    assert "repeat_weight 0.25, shrinkage 0, neighbors 1000" in other.card()
    other.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    assert again.ensemble.configs == other.ensemble.configs
    assert again.settings == other.settings and again.settings.models["ease"] == EaseConfig(kept=7)
    np.testing.assert_array_equal(again.score(request), other.score(request))


def test_predicted_ratings_and_the_trend_are_set_like_models(
    rated_world: World, tmp_path: Path
) -> None:
    given = {"rating": {"noise": 9.0, "dim": 3}, "trend": {"moments": 2}}
    plain, other = (
        Recommender.fit(rated_world.data, "tiny", encoder="none", models=models)
        for models in ({}, given)
    )
    assert "rating" not in other.ensemble.scorers and "trend" not in other.ensemble.scorers
    request = [metarec.Request(history=rated_world.history("space", 3))]
    asked = [list(plain.vocabulary.ids[:5])]
    assert not np.array_equal(plain.rate(request, asked)[0], other.rate(request, asked)[0])
    assert "rating: dim 3," in other.card() and "rating: dim 12," in plain.card()
    other.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    assert again.ratings is not None and again.ratings.config.noise == 9.0
    for alone in ({"models": {"transferred": {}}}, {"learner": "transferred"}):
        with pytest.warns(DataWarning, match="transferred takes no part: it reads a prior"):
            lone = Recommender.fit(rated_world.data, "tiny", encoder="none", **alone)
        assert "transferred" not in lone.ensemble.scorers
    with pytest.warns(DataWarning, match="cannot teach cold_items: it takes no part"):
        Recommender.fit(rated_world.data, "tiny", encoder="none", models={"cold_items": {}})
    np.testing.assert_array_equal(again.rate(request, asked)[0], other.rate(request, asked)[0])


def test_the_gate_and_what_it_reads_are_set_like_models(world: World, tmp_path: Path) -> None:
    given = {
        "gate": {"ranking_steps": 2, "likelihood_steps": 1, "folds": 2, "top": 3},
        "given": {"min_tasks": 2, "ranking_steps": 1},
        "item_statistics": {"smoothing": 9.0},
    }
    models = ({"gate": {"ranking_steps": 2, "likelihood_steps": 1, "folds": 2, "top": 4}}, given)
    plain, other = (
        Recommender.fit(world.data, "tiny", encoder="none", models=one) for one in models
    )
    request = [metarec.Request(history=world.history("space", 2))]
    assert not np.array_equal(plain.score(request), other.score(request))
    assert "gate: folds 2," in other.card() and "gate" not in other.ensemble.scorers
    other.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    assert again.settings.models == other.settings.models
    assert set(again.settings.models) == set(given)


def test_numbers_of_a_learner_of_its_own_have_a_range() -> None:
    for name, method in LEARNERS.items():
        for setting, one in own_settings(method).items():
            ends = {one.metadata["at_least"], one.metadata["above"]}
            assert ends != {None}, f"{name}: say from which number on {setting} makes sense"


def test_a_learner_s_own_numbers_are_set_in_toml_like_those_of_a_model(tmp_path: Path) -> None:
    rows = [f"u{u},i{(u * k) % 7},{k}" for u in range(12) for k in range(1, 6)]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    (tmp_path / "metarec.toml").write_text(
        "[models.maml]\ninner_steps = 1\ninner_lr = 0.2\nouter_steps = 1\n\n"
        '[[sources]]\ninteractions = "events.csv"\n'
    )
    model = Recommender.fit(metarec.read(tmp_path), "tiny", encoder="none")
    maml = model.ensemble.scorers["maml"]
    learner = maml.learner.learner  # type: ignore[attr-defined]  # of few-shot scorers alone
    assert maml.inner_steps == 1 and learner.adaptation.inner_lr == 0.2
    assert "inner_steps 1, inner_lr 0.2, kappa 1" in model.card()
    config = model.settings.models["maml"]
    assert pickle.loads(pickle.dumps(config)) == config  # as it goes to workers
    whole = to_artifact(model)
    once = json.loads(json.dumps(whole.config))
    for saved in (once["models"]["maml"], once["settings"]["models"]["maml"]):
        saved["learner"] = {name: saved.pop(name) for name in ("inner_steps", "inner_lr")}
    for facts in (whole.config, once):  # that of an earlier version too
        again = from_artifact(replace(whole, config=facts))
        assert again.settings == model.settings
        assert again.ensemble.configs == model.ensemble.configs


def test_a_toml_file_sets_models_and_arguments_go_before_it(tmp_path: Path) -> None:
    rows = [f"u{u},i{(u * k) % 7},{k}" for u in range(12) for k in range(1, 6)]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    (tmp_path / "metarec.toml").write_text(
        "[models.item_knn]\nshrinkage = 3\n\n[models.content]\nsharpness = 2\n\n"
        '[models.friends]\nkept = 3\n\n[[sources]]\ninteractions = "events.csv"\n'
    )
    data = metarec.read(tmp_path)
    with pytest.warns(DataWarning, match="these data cannot teach friends: it takes no part"):
        model = Recommender.fit(
            data, "tiny", encoder="none", models={"content": {"sharpness": 4.0}}
        )
    assert model.ensemble.configs["item_knn"] == ItemKnnConfig(shrinkage=3.0)
    assert model.settings.models["content"].sharpness == 4.0  # type: ignore[attr-defined]
    (tmp_path / "metarec.toml").write_text(
        'models = { ease = 3 }\nsources = [{ interactions = "events.csv" }]'
    )
    with pytest.raises(BadInput, match="holds a table for each model, got ease = 3"):
        metarec.read(tmp_path)


def test_former_names_of_settings_load_as_the_current_ones() -> None:
    former = {"told": 0.25, "min_told": 7, "max_placed": 9}
    config = config_of("gate", former)

    assert isinstance(config, GateConfig)
    assert (config.revealed, config.min_revealed, config.max_located) == (0.25, 7, 9)
