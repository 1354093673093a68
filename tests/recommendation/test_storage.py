"""A model that another version wrote is told apart from a fault of ours."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import metarec
from metarec.data.errors import BadInput, DataWarning
from metarec.models.names import RENAMED
from metarec.models.registry import MODELS
from metarec.recommendation.settings import Settings
from metarec.recommendation.storage import from_artifact
from metarec.recommender import Recommender
from metarec.runtime.artifacts import BrokenArtifact, read_artifact, write_artifact
from served_model import saved_model


def test_a_model_that_lacks_something_is_named_as_such():
    whole = read_artifact(saved_model())
    assert from_artifact(whole).version == whole.config["version"]
    without_text = {name: array for name, array in whole.arrays.items() if name != "text"}
    for lacking in (
        {"arrays": without_text},
        {"config": {**whole.config, "policy": {"color": 1}}},
    ):
        with pytest.raises(BrokenArtifact, match="another version of metarec wrote it; fit again"):
            from_artifact(replace(whole, **lacking))


def test_a_model_whose_support_sizes_are_saved_as_shots_loads():
    saved = read_artifact(saved_model())
    sizes = saved.config["horizon"].pop("support_sizes")
    saved.config["horizon"]["shots"] = sizes
    assert list(from_artifact(saved).horizon.support_sizes) == sizes


def test_a_model_saved_under_old_ids_loads_with_one_note(tmp_path: Path) -> None:
    old = {new: name for name, new in RENAMED.items()}
    whole = read_artifact(saved_model())
    write_artifact(
        tmp_path / "old",
        replace(
            whole,
            config={**whole.config, "scorers": [old.get(n, n) for n in whole.config["scorers"]]},
            arrays={
                re.sub(
                    r"^ensemble/([^/]+)/",
                    lambda found: f"ensemble/{old.get(found[1], found[1])}/",
                    name,
                ): array
                for name, array in whole.arrays.items()
            },
        ),
    )
    with pytest.warns(DataWarning, match="'neighbors' is now 'item_knn'") as notes:
        model = Recommender.load(tmp_path / "old")
    assert len(notes) == 1
    now, request = Recommender.load(saved_model()), metarec.Request()
    np.testing.assert_array_equal(model.score([request]), now.score([request]))
    assert list(model.score_components([request])) == list(now.score_components([request]))


def test_an_old_id_of_a_model_is_accepted_with_a_note() -> None:
    with pytest.warns(DataWarning, match="'people-as-text' is now 'user_text'"):
        assert Settings(learner="people-as-text").learner == "user_text"


def test_what_is_no_more_is_refused_and_says_what_to_take() -> None:
    whole = read_artifact(saved_model())
    config = {**whole.config, "scorers": [*whole.config["scorers"], "history_maml"]}
    said = "'history_maml' was removed; fit again with 'decoder_lora' in its place"
    with pytest.raises(BadInput, match=said):
        from_artifact(replace(whole, config=config))
    with pytest.raises(BadInput, match=said):
        Settings(learner="history_maml")
    assert "history_maml" not in MODELS
    assert "decoder_lora" in MODELS
