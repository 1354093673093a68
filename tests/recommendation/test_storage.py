"""A model that another version wrote is told apart from a fault of ours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metarec.recommendation.storage import from_artefact
from metarec.runtime.artefacts import BrokenArtefact, read_artefact
from served_model import saved_model


def test_a_model_that_lacks_something_is_named_as_such():
    whole = read_artefact(saved_model())
    assert from_artefact(whole)["version"] == whole.config["version"]
    without_text = {name: array for name, array in whole.arrays.items() if name != "text"}
    for lacking in (
        {"arrays": without_text},
        {"config": {**whole.config, "policy": {"colour": 1}}},
    ):
        with pytest.raises(BrokenArtefact, match="another version of metarec wrote it; fit again"):
            from_artefact(replace(whole, **lacking))
