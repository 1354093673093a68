"""What others add by name: the examples of the guide run, and wrong parts are refused."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import metarec
from metarec.data.errors import BadInput, DataWarning
from metarec.evaluation.baselines import BASELINES
from metarec.evaluation.papers.leave_last_out import evaluate_last_out, leave_last_out_split
from metarec.evaluation.report import to_text
from metarec.features.encoders import encode
from metarec.models.als import Als
from metarec.models.few_shot.learners import LEARNERS
from metarec.models.registry import _MODELS, MODELS, model_class
from metarec.recommender import Recommender
from metarec.runtime.artifacts import BrokenArtifact
from world import World

GUIDE = Path(__file__).parent.parent / "docs" / "guide" / "extending.md"


@pytest.fixture
def added() -> Iterator[dict[str, Any]]:
    """The guide's parts, registered; afterwards they are not."""
    tables = (MODELS, LEARNERS, BASELINES, encode._ENCODERS.table)
    before = [dict(table) for table in tables]
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S):
        exec(block, names)
    yield names
    for table, kept in zip(tables, before, strict=True):
        table.clear()
        table.update(kept)


def test_the_guides_model_and_encoder_are_fitted_saved_and_loaded(
    added: dict[str, Any], rated_world: World, tmp_path: Path
) -> None:
    model = Recommender.fit(rated_world.data, "tiny", encoder="hashed", models={"recent": {}})
    requests = [metarec.Request(), metarec.Request(history=rated_world.history("space", 3))]
    parts = model.score_components(requests)
    assert np.ptp(parts["recent"]) > 0 and "recent" in model.ensemble.gate.names
    model.save(tmp_path / "model")
    again = Recommender.load(tmp_path / "model")
    np.testing.assert_array_equal(again.score(requests), model.score(requests))
    grown = again.with_items(pl.DataFrame({"item_id": ["fresh"], "title": ["a rocket"]}))
    assert grown.score(requests).shape == (2, len(model.catalog) + 1)

    del MODELS["recent"]
    with pytest.raises(BrokenArtifact, match="'recent' takes part .* or register_learner"):
        Recommender.load(tmp_path / "model")
    MODELS["recent"] = added["Recent"]
    del encode._ENCODERS.table["hashed"]
    with pytest.raises(BrokenArtifact, match="'hashed'.*register_encoder"):
        Recommender.load(tmp_path / "model")


def test_the_guides_learner_joins_a_model(added: dict[str, Any], rated_world: World) -> None:
    model = Recommender.fit(rated_world.data, "tiny", encoder="none", learner="careful")
    assert np.ptp(model.score_components([metarec.Request()])["careful"]) > 0


def test_the_guides_baseline_is_one_in_every_sentence(
    added: dict[str, Any], rated_world: World
) -> None:
    class Ours(added["Newest"]):
        name = "ours"

    found = metarec.evaluate(rated_world.data, models=[Ours()], baselines=["Newest"])
    assert found.baselines == ["Newest"] and found.models == ["ours"]
    comparison = found.comparison()
    assert comparison is not None and {s.best for s in comparison.differences} == {"Newest"}
    assert "Newest" in to_text(found)
    assert "Newest" in metarec.evaluate(rated_world.data).baselines
    rows = evaluate_last_out(leave_last_out_split(rated_world.data), [], baselines=["Newest"])
    assert [row.model for row in rows] == ["Newest"]


@pytest.mark.parametrize(
    ("register", "name", "part", "said"),
    [
        ("register_model", "ease", object, "the name 'ease' is taken"),
        ("register_model", "wish", object, "the name 'wish' is taken"),
        ("register_model", "network", object, "the name 'network' is taken"),
        ("register_model", "r2d2", object, "the name 'r2d2' is taken"),
        ("register_model", "a/b", object, "has letters, digits and _, got 'a/b'"),
        ("register_model", "mine", object, "the model 'mine' lacks reads, config, fit, evidence"),
        ("register_learner", "maml", LEARNERS["maml"], "the name 'maml' is taken"),
        ("register_learner", "mine", 3, "a meta-learner is registered as a Method, got 3"),
        ("register_encoder", "tfidf", object, "the name 'tfidf' is taken"),
        ("register_encoder", "mine", object, "the encoder 'mine' lacks fit, encode"),
        ("register_baseline", "EASE", object, "the name 'EASE' is taken"),
        ("register_baseline", "mine", object, "the baseline 'mine' lacks name, fit, score"),
        ("register_baseline", "mine", BASELINES["EASE"], "'mine' calls itself 'EASE'"),
    ],
)
def test_taken_names_and_wrong_parts_are_refused(
    register: str, name: str, part: Any, said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        getattr(metarec, register)(name, part)
    assert name != "mine" or not any(name in t for t in (MODELS, LEARNERS, BASELINES))


def test_entry_points_are_loaded_when_a_name_is_looked_up(
    added: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rated_world: World
) -> None:
    for name, table in (("recent", MODELS), ("careful", LEARNERS), ("Newest", BASELINES)):
        del table[name]
    info = tmp_path / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[metarec.models]\nbroken = no_such_package:Model\nrecent = shop_parts:Recent\n"
        "als = shop_parts:Recent\n"
        "[metarec.baselines]\nNewest = shop_parts:Newest\n"
    )
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE.read_text("utf-8"), re.M | re.S)
    code = re.sub(r"^metarec\.register_.*$", "", "\n".join(blocks), flags=re.M)
    (tmp_path / "shop_parts.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    _MODELS.own.append("als")  # it may have been warned of others in this process
    with pytest.warns(DataWarning, match="metarec.models: als = .* is not used: the name 'als'"):
        assert model_class("als") is Als
    model = Recommender.fit(rated_world.data, "tiny", encoder="none", models={"recent": {}})
    assert type(model.ensemble.scorers["recent"]).__module__ == "shop_parts"
    assert "Newest" in metarec.evaluate(rated_world.data, baselines=["Newest"]).baselines
    with pytest.raises(BadInput, match=r"no model 'brokem' \(did you mean 'broken'\?\)"):
        model_class("brokem")
    with pytest.raises(BadInput, match="broken = no_such_package:Model cannot be loaded"):
        Recommender.fit(rated_world.data, "tiny", models={"broken": {}})
    sys.modules.pop("shop_parts")
