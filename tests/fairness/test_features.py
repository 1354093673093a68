"""`audit --features`: the column that decides is named, one that says nothing is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from metarec.app import cli
from metarec.data.cold_users import split_cold_users
from metarec.data.dataset import Dataset
from metarec.evaluation.measure import EvaluationSet
from metarec.fairness.features import _shuffled, audit_features
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Users take what their city takes; their shoe size says nothing, and neither does a color."""
    rng = np.random.default_rng(0)
    items = pl.DataFrame(
        {
            "item_id": [f"i{n:02d}" for n in range(40)],
            "categories": [f"topic {n % 4}" for n in range(40)],
            "color": rng.choice(["red", "blue"], 40),
        }
    )
    users = pl.DataFrame(
        {
            "user_id": [f"u{n:03d}" for n in range(160)],
            "city": [f"city {n % 4}" for n in range(160)],
            "shoe": rng.integers(36, 46, 160),
        }
    )
    events = pl.DataFrame(
        {"user_id": [f"u{n:03d}" for n in range(160) for _ in range(7)],
         "item_id": [f"i{i:02d}" for n in range(160)
                     for i in rng.permutation(np.arange(n % 4, 40, 4))[:7]]},
    )  # fmt: skip
    return Dataset(interactions=events, items=items, users=users)


def test_the_column_that_decides_is_named(data: Dataset) -> None:
    split = split_cold_users(data, rng=np.random.default_rng(0))
    model = Recommender.fit(split.train, preset="tiny", encoder="none")
    found = audit_features(model, EvaluationSet.of(split.test, split.train), (0, 1))
    worth = {(one.of, one.column): one.loss for one in found.columns}
    assert worth["users", "city"].low > 0.05
    assert worth["users", "city"].mean > 5 * abs(worth["users", "shoe"].mean)
    assert {("items", "categories"), ("items", "color")} < {*worth}
    assert found.columns[0].column == "city"
    lines = {line.split()[1]: line for line in found.to_text().splitlines()[1:]}
    assert "no clear difference" not in lines["city"]
    assert "no clear difference" in lines["color"]


def test_shuffled_items_are_asked_with_other_content(data: Dataset) -> None:
    split = split_cold_users(data, rng=np.random.default_rng(0))
    model, evaluation_set = (
        Recommender.fit(split.train, preset="tiny", encoder="none"),
        EvaluationSet.of(split.test, split.train),
    )
    requests = [Request(history=["i00", "i04"])]
    for of, column, asked, shown in _shuffled(model, evaluation_set, np.random.default_rng(0)):
        same = np.array_equal(asked.score(requests), model.score(requests))
        assert same is (of == "users"), column
        assert [n.profile for n in shown.cold_users] != [
            n.profile for n in evaluation_set.cold_users
        ] or (of == "items")


def test_the_command_prints_it(
    data: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("interactions", "items", "users"):
        getattr(data, name).frame.select(
            pl.selectors.exclude("value", "timestamp", "kind")
        ).write_parquet(tmp_path / f"{name}.parquet")
    for words in (
        ["fit", str(tmp_path), "--preset", "tiny", "--encoder", "none", "--hold-out", "0.3",
         "--out", str(tmp_path / "model")],
        ["audit", str(tmp_path / "model"), str(tmp_path), "--by", "city", "--features", "--json"],
    ):  # fmt: skip
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        assert not end.value.code, capsys.readouterr().err
    found = json.loads(capsys.readouterr().out)["features"]
    assert found["columns"][0]["column"] == "city"
    assert all(one["low"] <= one["mean"] <= one["high"] for one in found["columns"])
