"""A study: cells are kept, done once, and tabulated with corrected differences."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import polars as pl
import pytest

from metarec.app import cli
from metarec.data.schema import BadInput
from metarec.evaluation.study import Study
from world import World


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, world: World) -> Path:
    """A folder with data and a study of it."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "shop").mkdir()
    world.data.interactions.frame.write_parquet(folder / "shop" / "interactions.parquet")
    world.data.items.frame.write_parquet(folder / "shop" / "items.parquet")
    (folder / "study.toml").write_text(
        'data = ["shop"]\npresets = ["tiny"]\nencoders = ["none"]\nseeds = [0, 1]\n'
        'baselines = ["Popular", "ItemKNN"]\nmetrics = ["ndcg@10", "recall@20"]\n',
        encoding="utf-8",
    )
    return folder


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as end:
        cli.main(words)
    return int(end.value.code or 0)


def test_a_study_is_done_once_and_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("study", str(place / "study.toml"), "--out", str(place / "out"), "--json")
    assert run(*words) == 0
    found = json.loads(capsys.readouterr().out)
    table = pl.DataFrame(found["table"])
    assert set(table["model"]) == {"metarec tiny", "Popular", "ItemKNN"}
    assert set(table["metric"]) == {"ndcg@10", "recall@20"}
    assert table["seeds"].to_list() == [2] * table.height
    assert (table["low"] <= table["mean"]).all() and (table["mean"] <= table["high"]).all()
    differences = pl.DataFrame(found["differences"])
    assert set(differences["other"]) == {"Popular", "ItemKNN"}
    assert (differences["p_holm"] >= differences["p"]).all()
    means = {(r["model"], r["metric"], r["events"]): r["mean"] for r in found["table"]}
    for row in found["differences"]:
        key = (row["metric"], row["events"])
        expected = means["metarec tiny", *key] - means[row["other"], *key]
        assert row["mean"] == pytest.approx(expected, abs=1e-6)

    cells = sorted((place / "out" / "cells").iterdir())
    assert [cell.name for cell in cells] == ["0-none-0.json", "0-none-1.json"]
    cells[1].write_text('{"asked":')  # as a disk that was full left it
    before = cells[0].stat().st_mtime_ns
    assert run(*words) == 0
    again = json.loads(capsys.readouterr().out)
    assert cells[0].stat().st_mtime_ns == before
    for row in (*found["table"], *again["table"]):
        del row["fit_cpu_seconds"]
    assert again == found


def test_data_sets_may_lie_in_another_folder(place: Path, tmp_path: Path) -> None:
    shutil.copy(place / "study.toml", tmp_path)
    words = ("study", str(tmp_path / "study.toml"), "--out", str(tmp_path / "out"))
    assert run(*words) == 2  # there is no `shop` here
    assert run(*words, "--data", str(place)) == 0
    assert set(pl.read_csv(tmp_path / "out" / "table.csv")["data"]) == {"shop"}


def test_cells_of_another_study_are_done_anew(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "study.toml"
    text = (place / "study.toml").read_text().replace("seeds = [0, 1]", "seeds = [0]")
    for more, others in (("", 2), ('learners = ["bayesian_ridge"]\n', 3)):
        file.write_text(text.replace('"shop"', f'"{place / "shop"}"') + more)
        assert run("study", str(file), "--out", str(tmp_path / "out")) == 0
        table = pl.read_csv(tmp_path / "out" / "table.csv")
        assert table["model"].n_unique() == others + 1


@pytest.mark.parametrize("backend", ["here", pytest.param("ray", marks=pytest.mark.ray)])
def test_workers_give_the_same_study(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], backend: str
) -> None:
    words = ("study", str(place / "study.toml"), "--json", "--out")
    tables = []
    for out, how in (("one", ()), ("two", ("--workers", "2", "--backend", backend))):
        assert run(*words, str(tmp_path / out), *how) == 0
        found = json.loads(capsys.readouterr().out)
        tables.append(pl.DataFrame(found["table"]).drop("fit_cpu_seconds"))
    assert tables[0].equals(tables[1])


def test_workers_out_of_range_are_refused(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("study", str(place / "study.toml"), "--out", str(tmp_path))
    assert run(*words, "--workers", "0") == 2
    assert run(*words, "--backend", "moon") == 2
    assert "'moon'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "a study needs data"),
        ({"data": ["x"], "sead": [1]}, "has no 'sead'"),
        ({"data": ["x"], "seeds": ["one"]}, "whole numbers, got 'one'"),
        ({"data": ["x"], "presets": ["huge"]}, "tiny, small; got 'huge'"),
        ({"data": ["x"], "metrics": ["ndgc"]}, "got 'ndgc'"),
        ({"data": ["x"], "baselines": ["KNN"]}, "got 'KNN'"),
        ({"data": ["x"], "learners": ["mmal"]}, "mmal"),
        ({"data": ["x"], "scenario": "cold"}, "got 'cold'"),
        ({"data": ["x"], "seeds": []}, "one value at least"),
        ({"data": ["x", "y", "x"]}, "data of a study name 'x' twice"),
        ({"data": ["x"], "seeds": [1, 1]}, "seeds of a study name 1 twice"),
    ],
)
def test_what_a_study_does_not_have_is_named(given: dict[str, object], told: str) -> None:
    with pytest.raises(BadInput, match=told):
        Study.of(given)


def test_one_value_alone_is_a_list_of_one() -> None:
    assert Study.of({"data": "x", "seeds": 3}) == Study(data=("x",), seeds=(3,))


def test_a_file_that_is_no_toml_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "study.toml").write_text("data = [")
    assert run("study", str(tmp_path / "study.toml"), "--out", str(tmp_path)) == 2
    assert "is no TOML file" in capsys.readouterr().err
    assert run("study", str(tmp_path / "none.toml"), "--out", str(tmp_path)) == 2


def test_the_page_of_a_study_carries_its_tables(place: Path, tmp_path: Path) -> None:
    assert run("study", str(place / "study.toml"), "--out", str(place / "out")) == 0
    page = (place / "out" / "report.html").read_text(encoding="utf-8")
    assert "What does it come to?" in page
    assert "ndcg@10, " in page
    assert page.count("data:text/csv;base64,") == 2
