"""The command line as a person meets it: exit codes, one clear line, and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from metarec.app import cli
from metarec.runtime.artefacts import Artefact, write_artefact
from world import World

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: exit code, stdout, stderr."""
    def run_words(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main(words)
        shown = capsys.readouterr()
        return int(end.value.code or 0), shown.out, shown.err

    return run_words


@pytest.fixture
def folder(tmp_path: Path, rated_world: World) -> Path:
    """The tiny world as a data folder."""
    rated_world.data.interactions.frame.write_csv(tmp_path / "interactions.csv")
    rated_world.data.items.frame.write_csv(tmp_path / "items.csv")
    rated_world.data.users.frame.write_parquet(tmp_path / "users.parquet")
    return tmp_path


def test_check_reports_and_changes_nothing(run: Run, folder: Path) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    code, out, _ = run("data", "check", str(folder), "--json")
    assert code == 0
    assert json.loads(out)["facts"]["users"] == 48
    code, out, _ = run("data", "check", str(folder), "--html", str(folder / "out" / "report.html"))
    assert code == 0
    assert "672 events read" in out
    assert "<h1>Data report" in (folder / "out" / "report.html").read_text()
    assert {name: (folder / name).read_bytes() for name in before} == before


@pytest.mark.parametrize(("words", "message"), [
    (["data", "check", "/no/such/folder"], "/no/such/folder does not exist; give a data folder"),
    (["data", "get", "nonesuch"], "no public data set 'nonesuch'; there are ml-100k"),
    (["data", "get"], "Missing argument 'NAME'.; see --help"),
    (["data", "check", "x", "--colour"], "No such option: --colour"),
    (["dance"], "No such command 'dance'"),
])
def test_bad_input_is_one_clear_line_and_exit_2(run: Run, words: list[str], message: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert err.startswith("metarec: ")


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A folder in the form of a model, enough for commands that do not score."""
    return write_artefact(tmp_path / "model", Artefact(config={"name": "empty"}))


def test_forget_deletes_and_gives_a_receipt(run: Run, model_folder: Path) -> None:
    from metarec.feedback import open_store
    from metarec.feedback.events import Event

    store = open_store(str(model_folder / "events.db"))
    store.append([Event(event_id="1", user_id="ann", item_id="x", kind="like", value=None, timestamp=1.0)]).result()
    store.close()
    code, out, _ = run("forget", str(model_folder), "--user", "ann", "--json")
    assert code == 0
    assert json.loads(out)["rows_deleted"]["events"] == 1
    assert b"ann" not in (model_folder / "events.db").read_bytes()
    assert run("forget", str(model_folder / "nowhere"), "--user", "ann")[0] == 2


def test_a_model_that_is_none_cannot_be_served(run: Run, tmp_path: Path) -> None:
    code, _, err = run("serve", str(tmp_path / "nowhere"))
    assert code == 2
    assert "no model folder" in err
    code, _, err = run("serve", str(tmp_path), "--host", "0.0.0.0")
    assert code == 2
    assert "lets anyone read and forget users" in err


def test_a_fault_of_ours_is_exit_1_and_asks_to_be_reported() -> None:
    code, line = cli.explain_failure(KeyError("x"))
    assert code == 1
    assert line == "unexpected KeyError: 'x'; set METAREC_TRACEBACK=1 to see where, and please report it"
    try:
        int("three")
    except ValueError as error:  # raised by Python for a fault of ours, so not the caller's
        assert cli.explain_failure(error)[0] == 1


def test_a_missing_extra_names_the_command() -> None:
    from metarec.runtime.extras import MissingExtra, require

    try:
        require("no_such_library", "ann")
    except MissingExtra as error:
        assert cli.explain_failure(error) == (1, "no_such_library is not installed; get it with: pip install 'metarec[ann]'")


def test_odd_data_are_noted_in_one_line(run: Run, tmp_path: Path) -> None:
    pl.DataFrame({"user_id": ["a", "b", None], "item_id": ["x", "y", "z"]}).write_csv(tmp_path / "interactions.csv")
    code, out, err = run("data", "check", str(tmp_path), "--json")
    assert code in (0, 2)
    assert "Traceback" not in err
    assert code or json.loads(out)["events_removed"] == 1
