"""`fit --mitigate NAME --by COLUMN` saves a model trained with a mitigation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from metarec.app import cli
from metarec.data.read import read
from metarec.data.schema import BadInput
from metarec.fairness.mitigation.training import TRAINING_MITIGATIONS, mitigated
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "domains" / "travel"


def test_a_repaired_model_is_saved_and_differs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {}
    for name, more in (
        ("plain", []),
        ("mitigated", ["--mitigate", "upsampling", "--by", "companions"]),
    ):
        with pytest.raises(SystemExit) as end:
            cli.main(["fit", str(EXAMPLE), "--preset", "tiny", "--encoder", "none", "--json",
                      "--out", str(tmp_path / name), *more])  # fmt: skip
        assert not end.value.code
        facts = json.loads(capsys.readouterr().out)
        model = Recommender.load(tmp_path / name)
        scores[name] = model.score([Request(history=["V103"])])
        assert (facts["mitigation"] is None) is (name == "plain")
        assert facts["held_out"] == 0
    assert "users copied, so that groups of 'companions' are of one size" in facts["mitigation"]
    assert not np.array_equal(scores["plain"], scores["mitigated"])


@pytest.mark.parametrize("name", TRAINING_MITIGATIONS)
def test_each_gives_something_to_fit_on(name: str) -> None:
    data, by = read(EXAMPLE), None if name == "inverse-propensity" else "companions"
    found = mitigated(data, name, by, np.random.default_rng(0))
    users = data.interactions.frame["user_id"].n_unique()
    assert found.summary
    if found.weights is None:
        assert found.data.interactions.frame["user_id"].n_unique() > users
    else:
        assert len(found.weights) == users
        assert np.isclose(np.mean(list(found.weights.values())), 1.0)


@pytest.mark.parametrize(
    ("name", "by", "said"),
    [("magic", "companions", "must be one of reweighting"), ("gan", None, "needs --by COLUMN"),
     ("inverse-propensity", "companions", "takes no --by"), ("reweighting", "shoe", "shoe")],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(name: str, by: str | None, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        mitigated(read(EXAMPLE), name, by, np.random.default_rng(0))
