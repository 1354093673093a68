"""Slates for all users: every user once, whoever computes them and however often it is killed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import metarec
from metarec.app import batch, cli
from metarec.app.batch import BatchConfig, recommend_all
from metarec.data.dataset import Dataset
from metarec.data.domains import Policy
from metarec.data.relations import Relations
from metarec.data.schema import BadInput
from metarec.recommender import Recommender
from world import World


@pytest.fixture(scope="module")
def data(rated_world: World) -> Dataset:
    """The tiny world and a user of whom only a profile is known."""
    users = rated_world.data.users.frame
    alone = users.head(1).with_columns(user_id=pl.lit("nobody-yet"))
    return Dataset(
        interactions=rated_world.data.interactions,
        items=rated_world.data.items,
        users=pl.concat([users, alone]),
    )


@pytest.fixture(scope="module")
def model(data: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("batch") / "model"
    Recommender.fit(data, "tiny", encoder="none").save(place)
    return place


CONFIG = BatchConfig(k=3, users_per_file=10)


def rows(out: Path) -> pl.DataFrame:
    return pl.read_parquet(sorted(out.glob("part-*.parquet")))


def test_every_user_gets_one_slate_with_or_without_events(
    model: Path, data: Dataset, tmp_path: Path
) -> None:
    told: list[float] = []
    summary = recommend_all(
        model, data, tmp_path / "out", CONFIG, progress=lambda _, done, note="": told.append(done)
    )
    found = rows(tmp_path / "out")
    assert summary["users"] == 49 == found["user_id"].n_unique()
    assert summary["rows"] == found.height
    assert (
        found.group_by("user_id").agg(pl.col("rank").sort())["rank"].to_list() == [[1, 2, 3]] * 49
    )
    assert told[-1] == 1.0
    assert len(told) == summary["files"] == 5
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["rows"] == found.height
    seen = data.interactions.frame.select("user_id", "item_id")
    assert found.join(seen, on=["user_id", "item_id"], how="semi").is_empty()


def test_slates_are_those_of_one_user_asked_alone(
    model: Path, data: Dataset, tmp_path: Path
) -> None:
    recommend_all(model, data, tmp_path / "out", CONFIG)
    found = rows(tmp_path / "out")
    loaded = Recommender.load(model)
    for user in (data.interactions.frame["user_id"][0], "nobody-yet"):
        request = batch.requests_of(data, [user])[0]
        scores = loaded.recommend([request], 3)[0].scores
        own = found.filter(pl.col("user_id") == user)["score"].to_numpy()
        np.testing.assert_allclose(own, scores, rtol=1e-5)


def test_a_search_speaks_until_so_many_acts_followed_as_in_the_service() -> None:
    acts = [("ann", f"i{n}", "buy" if n < 4 else "impression", 10.0 * n) for n in range(9)]
    asked = [("ann", f"query {n}", 10.0 * n - 15) for n in range(9)]
    of_events, of_searches = (
        ["user_id", "item_id", "kind", "timestamp"],
        ["user_id", "query", "timestamp"],
    )
    data = Dataset(
        interactions=pl.DataFrame(acts, of_events, orient="row"),
        relations=Relations.of(searches=pl.DataFrame(asked, of_searches, orient="row")),
    )
    found = {last: batch.requests_of(data, ["ann"], last)[0].searches for last in (1, 2, 5)}
    assert found[1] == [f"query {n}" for n in range(5, 9)]
    assert found[2] == found[5] == [f"query {n}" for n in range(4, 9)]  # five at most


def test_a_killed_run_goes_on_with_the_parts_that_are_missing(
    model: Path, data: Dataset, tmp_path: Path
) -> None:
    whole, out = tmp_path / "whole", tmp_path / "out"
    recommend_all(model, data, whole, CONFIG)

    def dies(_stage: str, done: float, _note: str = "") -> None:
        if done == 2 / 5:
            (out / ".part-00002.parquet.1.draft").write_bytes(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recommend_all(model, data, out, CONFIG, progress=dies)
    assert not (out / "summary.json").exists()
    kept = (out / "part-00000.parquet").stat().st_mtime_ns
    summary = recommend_all(model, data, out, CONFIG)
    assert summary["files_found"] == 2
    assert (out / "part-00000.parquet").stat().st_mtime_ns == kept
    assert not list(out.glob(".part-*"))
    assert rows(out).equals(rows(whole))


def test_two_processes_write_the_same(model: Path, data: Dataset, tmp_path: Path) -> None:
    recommend_all(model, data, tmp_path / "one", CONFIG)
    recommend_all(model, data, tmp_path / "two", CONFIG, workers=2)
    assert rows(tmp_path / "two").equals(rows(tmp_path / "one"))


@pytest.mark.ray
def test_ray_writes_the_same(model: Path, data: Dataset, tmp_path: Path) -> None:
    recommend_all(model, data, tmp_path / "one", CONFIG)
    recommend_all(model, data, tmp_path / "ray", CONFIG, workers=2, backend="ray")
    assert rows(tmp_path / "ray").equals(rows(tmp_path / "one"))


def test_a_folder_of_other_slates_or_of_anything_else_is_refused(
    model: Path, data: Dataset, tmp_path: Path
) -> None:
    recommend_all(model, data, tmp_path / "out", CONFIG)
    with pytest.raises(BadInput, match=r"another run \(other k\)"):
        recommend_all(model, data, tmp_path / "out", BatchConfig(k=4, users_per_file=10))
    fewer = data.with_interactions(data.interactions.frame.head(100))
    with pytest.raises(BadInput, match=r"another run \(other data\)"):
        recommend_all(model, fewer, tmp_path / "out", CONFIG)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter.txt").write_text("dear")
    with pytest.raises(BadInput, match="holds no slates"):
        recommend_all(model, data, tmp_path / "home", CONFIG)
    with pytest.raises(ValueError, match="workers must be 1 or more"):
        recommend_all(model, data, tmp_path / "new", CONFIG, workers=0)


def test_the_policy_is_heeded_and_empty_slates_are_counted(data: Dataset, tmp_path: Path) -> None:
    sold_out = pl.int_range(pl.len()) % 2 == 0
    items = data.items.frame.with_columns(in_stock=~sold_out, weight=pl.lit(5.0))
    grown = Dataset(interactions=data.interactions, items=items, users=data.users)
    policy = Policy(available="in_stock")
    Recommender.fit(grown, "tiny", encoder="none", policy=policy).save(tmp_path / "model")
    recommend_all(tmp_path / "model", data, tmp_path / "out", BatchConfig(k=3, users_per_file=50))
    gone = items.filter(~pl.col("in_stock"))
    assert rows(tmp_path / "out").height > 0
    assert rows(tmp_path / "out").join(gone, on="item_id", how="semi").is_empty()
    none = BatchConfig(k=3, users_per_file=50, where="weight < 5")
    summary = recommend_all(tmp_path / "model", data, tmp_path / "none", none)
    assert summary["empty_slates"] == 49
    assert rows(tmp_path / "none").is_empty()


def test_the_command_writes_and_tells(
    model: Path, rated_world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = tmp_path / "interactions.csv", tmp_path / "out"
    rated_world.data.interactions.frame.write_csv(source)
    words = ["recommend", str(model), "--all-users", str(source), "-k", "2"]
    with pytest.raises(SystemExit) as end:
        cli.main([*words, "--out", str(out), "--json"])
    assert not end.value.code
    told = json.loads(capsys.readouterr().out)
    assert told["users"] == 48
    assert told["rows"] == rows(out).height == 96
    for more, message in (
        ([], "needs --out"),
        (["--out", str(out), "--like", "x"], "takes what is known of each user"),
        (["--out", str(out), "--backend", "moon"], "backend must be one of here, ray"),
        (["--out", str(out), "--workers", "0"], "workers must be 1 or more"),
    ):
        with pytest.raises(SystemExit) as end:
            cli.main([*words, *more])
        assert end.value.code == 2
        assert message in capsys.readouterr().err
    assert metarec.read(str(source)) is not None


def test_slates_of_a_model_fitted_on_other_items_are_no_part_of_the_run(
    data: Dataset, model: Path, tmp_path: Path
) -> None:
    """Corrected columns of items, or of users, make another model."""
    recommend_all(model, data, tmp_path / "out", CONFIG)
    items = data.items.frame.with_columns(allergens=pl.lit("nuts"))
    other = Dataset(interactions=data.interactions, items=items, users=data.users)
    Recommender.fit(other, "tiny", encoder="none").save(tmp_path / "other")
    with pytest.raises(BadInput, match="holds slates of another run \\(other version\\)"):
        recommend_all(tmp_path / "other", data, tmp_path / "out", CONFIG)
