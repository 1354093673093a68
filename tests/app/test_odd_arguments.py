"""What a stranger types wrong: one line, exit code 2, and nothing on disk has changed."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from metarec.app.commands.options import as_json_text
from served_model import saved_model
from world import World

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def place(tmp_path: Path, rated_world: World, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a model, its data, and things that are neither."""
    shutil.copytree(saved_model(), tmp_path / "model")
    (tmp_path / "data").mkdir()
    rated_world.data.interactions.frame.write_csv(tmp_path / "data" / "interactions.csv")
    rated_world.data.items.frame.write_csv(tmp_path / "data" / "items.csv")
    (tmp_path / "text.txt").write_text("hello\n")
    (tmp_path / "notes.db").write_text("this is not a database " * 90)
    (tmp_path / "odd.toml").write_text("portt = 5\n")
    (tmp_path / "open.toml").write_text("a = [\n")
    (tmp_path / "study.toml").write_text('data = ["nowhere"]\npresets = ["tiny"]\n')
    (tmp_path / "latin.toml").write_bytes("name = 'é'\n".encode("latin-1"))
    (tmp_path / "empty.db").touch()
    with closing(sqlite3.connect(tmp_path / "shop.db")) as shop:
        shop.execute("CREATE TABLE orders (user TEXT)")
    with closing(sqlite3.connect(tmp_path / "events.db")) as shop:
        shop.execute("CREATE TABLE events (user TEXT)")
    users = {f"u{user}": {"item_id": f"i{user}", "value": user} for user in range(600)}
    (tmp_path / "by_user.json").write_text(json.dumps([users]))
    (tmp_path / "known.toml").write_text('data = ["data"]\npresets = ["tiny"]\n')
    (tmp_path / "seeds.toml").write_text('data = ["data"]\npresets = ["tiny"]\nseeds = [-1]\n')
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "config.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def files(place: Path) -> dict[str, bytes]:
    """What lies there, but for locks and the records of jobs that failed."""
    return {
        str(path.relative_to(place)): path.read_bytes() if path.is_file() else b""
        for path in place.rglob("*")
        if path.suffix != ".lock" and "jobs" not in path.parts
    }


ITEM = "--item s00"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("serve nowhere", "no model folder 'nowhere'"),
        ("serve data", "'data' is no metarec model"),
        ("serve old", "is not the configuration of a metarec model"),
        ("serve model --port -1", "port must be 0 or more, got -1"),
        ("serve model --port 99999999", "port must be 65535 or less"),
        ("serve model --workers 0", "workers must be 1 or more"),
        ("serve model --workers 99999999", "workers must be 1024 or less, got 99999999"),
        ("serve model --store data", "the event store 'data' is a folder; name a file in it"),
        ("serve model --store notes.db", "'notes.db': the store is damaged (file is not a"),
        ("serve model --store no/where/e.db", "there is no folder 'no/where' for the event store"),
        ("serve model --store ftp://x/y", "no event store of kind 'ftp'"),
        ("serve model --settings nowhere.toml", "'nowhere.toml': No such file or directory"),
        ("serve model --settings data", "cannot read the settings 'data': Is a directory"),
        ("serve model --settings open.toml", "cannot read the settings 'open.toml'"),
        ("serve model --settings odd.toml", "no setting 'portt'; did you mean 'port'?"),
        ("import model nowhere", "nowhere does not exist; give a data folder"),
        ("import model text.txt", "no column 'user_id' among 'hello'"),
        ("import nowhere data", "no model folder 'nowhere'"),
        ("import model data --store data", "the event store 'data' is a folder"),
        ("import model data --store notes.db", "the store is damaged"),
        ("import model data --store no/e.db", "there is no folder 'no' for the event store"),
        ("import model data --store mysql://x/y", "no event store of kind 'mysql'"),
        ("retrain model", "there is no event store at 'model/events.db'; name yours"),
        ("retrain model --store missing.db", "there is no event store at 'missing.db'"),
        ("retrain model --store data", "the event store 'data' is a folder"),
        ("retrain nowhere", "no model folder 'nowhere'"),
        ("retrain model --seed x", "--seed must be a whole number, got 'x'"),
        ("serve model --port abc", "--port must be a whole number, got 'abc'"),
        ("serve model --port=80.5", "--port must be a whole number, got '80.5'"),
        ("recommend model --within-km near", "--within-km must be a number, got 'near'"),
        ("recommend model --explore inf", "--explore must be a number, got 'inf'"),
        ("evaluate nowhere --support 1 --support one", "must be a whole number, got 'one'"),
        ("ab list nowhere", "there is no folder 'nowhere' for the event store"),
        ("ab list data", "there is no event store at 'data/events.db'"),
        ("ab show model nope", "there is no experiment 'nope': there is no event store at"),
        ("ab stop model nope --store notes.db", "the store is damaged"),
        ("ab start model e --arm a", "--arm takes NAME=SHARE,SETTING=VALUE"),
        ("ab start model e --arm a=x --arm b=.5", "--arm a: share: 'x' is not a number"),
        ("ab start nowhere e --arm a=.5 --arm b=.5", "there is no folder 'nowhere'"),
        ("store check data", "the event store 'data' is a folder"),
        ("store check notes.db", "the store is damaged"),
        ("store migrate nowhere.db", "there is no event store at 'nowhere.db'"),
        ("store erase notes.db", "the store is damaged"),
        (f"explain data {ITEM}", "'data' is no metarec model"),
        (f"explain old {ITEM}", "is not the configuration of a metarec model"),
        ("explain model --item nope", "item 'nope' is not in the catalog"),
        (f"explain model {ITEM} --like nope", "item 'nope' is not in the catalog"),
        (f"explain model {ITEM} --near 999,999", "is out of range"),
        (f"explain model {ITEM} --out data", "'data' is a folder; name a file"),
        (f"explain model {ITEM} --trace data", "'data' is a folder; name a file"),
        (f"explain model {ITEM} --trace why.html", "FILE ends in .svg; got why.html"),
        ("audit model nowhere", "nowhere does not exist; give a data folder"),
        ("audit data model", "'data' is no metarec model"),
        ("audit model data --by nope", "no user states 'nope'"),
        ("audit model data --metric nope", "metric 'nope' was not measured; there are: ndcg@10"),
        ("audit model data --items-by nope", "items have no column 'nope' to group by"),
        ("audit model data --out text.txt", "'text.txt' exists and is no folder"),
        ("study nowhere.toml --out o", "there is nothing at 'nowhere.toml'; check the path"),
        ("study data --out o", "'data' is a folder; name a file"),
        ("study open.toml --out o", "open.toml is no TOML file"),
        ("study study.toml --out o", "nowhere does not exist; give a data folder"),
        ("study study.toml --out o --data model", "nowhere does not exist; give a data folder"),
        ("study study.toml --out o --workers -2", "workers must be 1 or more"),
        ("domains nope", "no domain 'nope'; there are e-commerce"),
        ("reproduce nope", "there is no table 'nope'; there are melu"),
        ("reproduce beauty nowhere", "nowhere is not there; beauty needs"),
        ("reproduce beauty text.txt", "text.txt line 1: 2 or more words are expected, got 1"),
        ("reproduce beauty data", "data is a folder; name the file in it"),
        ("reproduce tanp-lastfm data", "is missing; fetch all files of the table"),
        ("forget model --user u1 --store data", "the event store 'data' is a folder"),
        ("recommend model --pin nope", "item 'nope' is not in the catalog"),
        ("recommend model --ban nope", "item 'nope' is not in the catalog"),
        ("recommend model --quota camping", "--quota takes NAME=VALUE"),
        ("recommend model -k -5", "k must be 1 or more, got -5"),
        ("data check old/none.csv", "does not exist; give a data folder"),
        ("fit data --out text.txt", "'text.txt' exists and is no metarec model"),
        ("fit nowhere --out o --hold-out 1.5", "--hold-out must lie in [0, 1), got 1.5"),
        ("fit nowhere --out o --by age", "--by names the groups of a mitigation"),
        ("fit nowhere --out o --mitigate gan", "--mitigate gan needs --by COLUMN"),
        ("evaluate nowhere --out text.txt", "'text.txt' exists and is no folder; name another"),
        ("audit model data --by x --by x", "--by names 'x' twice; once is enough"),
        ("audit model data --items-by x --items-by x", "--items-by names 'x' twice; once is"),
        ("study known.toml --out model", "'model' is the folder of a model; give another one"),
        ("study known.toml --out o --data nowhere", "there is no folder 'nowhere' of data sets"),
        ("study seeds.toml --out o", "seeds of a study must be 0 or more, got -1"),
        ("forget model --user a --store shop.db", "holds tables of others (orders); give metarec"),
        ("forget model --user a --store empty.db", "'empty.db' holds no event store yet; name"),
        ("forget model --user a --user b --store shop.db", "--user is given twice; it takes one"),
        ("forget model --user= --store shop.db", "--user is empty; give a value"),
        ("forget model --user a --store=", "--store is empty; give a value, or leave"),
        ("forget model --user a --settings latin.toml", "cannot read the settings 'latin.toml'"),
        ("store check shop.db", "holds tables of others (orders); give metarec"),
        ("store check events.db", "holds tables of others (events); give metarec"),
        ("store migrate shop.db", "holds tables of others (orders); give metarec"),
        ("store erase empty.db", "'empty.db' holds no event store yet; name"),
        ("import model data --store events.db", "holds tables of others (events); give metarec"),
        ("retrain model --store shop.db", "holds tables of others (orders); give metarec"),
        ("ab start model x --arm a=.5 --arm b=.5 --store events.db", "holds tables of others"),
        ("ab start model x --arm a=.5 --arm b=.5 --guardrail min_slates=nan", "is not a finite"),
        ("ab start model x --arm a=.5 --arm b=.5,explore=1,explore=2", "'explore' twice"),
        ("ab start model x --arm a=.5 --arm b=.5,filter=", "--arm b: filter is empty; give a"),
        ("ab start model x --arm a=.5 --arm b=.5,model=", "--arm model= is empty; give a value"),
        ("ab start model x --arm a=.5 --arm b=.5 --guardrail min_slates=1.5", "whole number, got"),
        (f"explain model {ITEM} --out data/items.csv", "FILE ends in .html; got data/items.csv"),
        ("data check data --html data/items.csv", "so FILE ends in .html; got data/items.csv"),
        ("data check by_user.json", "a row has 1,200 fields in objects, at most 1,000 are read"),
        ("data check bad\udcff.csv", "is no name in UTF-8; rename it"),
        ("recommend model --like s00=nan", "--like: 'nan' is not a finite number"),
        (f"recommend model -k {10**20}", f"-k must be {2**63 - 1} or less, got {10**20}"),
        ("recommend model --context hour=", "--context hour= is empty; give a value, or leave"),
        ("recommend model --profile age=", "--profile age= is empty; give a value, or leave"),
        ("recommend model --did view=", "--did view= is empty; give a value, or leave it out"),
        ("recommend model --quota a=", "--quota a= is empty; give a value, or leave it out"),
        ("recommend model --profile =x", "--profile takes NAME=VALUE, got '=x'"),
        ("recommend model --profile a=1 --profile a=2", "--profile states 'a' twice; once is"),
        ("recommend model --quota a=1 --quota a=2", "--quota states 'a' twice; once is enough"),
        ("recommend model --wish tea --wish tent", "--wish is given twice; it takes one value"),
        ("recommend model --filter=", "--filter is empty; give a value, or leave"),
        ("evaluate nowhere --support -3", "0 or more and one above 0, got -3"),
        ("fit data --out o --domain nope", "no domain 'nope'; there are"),
    ],
)
def test_it_is_told_in_one_line_and_nothing_changes(
    run: Run, place: Path, line: str, said: str
) -> None:
    before = files(place)
    code, out, err = run(*line.split())
    assert said in err
    assert (code, out, len(err.strip().splitlines())) == (2, "", 1)
    assert files(place) == before


def test_what_cannot_be_heeded_is_told(run: Run, place: Path) -> None:
    def notes(*words: str) -> list[str]:
        return json.loads(run("recommend", "model", "--json", *words)[1])["notes"]

    assert place.is_dir()
    assert notes("--pin", "s00", "--ban", "s00") == [
        "'s00' is pinned but may not be shown: it is banned too"
    ]
    assert notes("--pin", "s00", "--filter", "title = 'none'")[0].startswith(
        "'s00' is pinned but may not be shown: it was seen or excluded"
    )
    assert notes("--pin", "s00") == []


def test_explanations_tell_what_was_ignored_as_slates_do(run: Run, place: Path) -> None:
    assert place.is_dir()
    said = ["--json", "--friend", "nobody", "--near", "1,1"]
    notes = json.loads(run("recommend", "model", *said)[1])["notes"]
    told = json.loads(run("explain", "model", "--item", "s00", *said)[1])["notes"]
    assert len(notes) == 2
    assert set(notes) <= set(told)


def test_nobody_is_forgotten_without_an_id(run: Run, place: Path) -> None:
    before = files(place)
    blank, empty = "blank; give a value", "empty; give a value"
    assert run("forget", "model", "--user", " ") == (2, "", f"metarec: --user is {blank}\n")
    assert run("forget", "model", "--user", "") == (2, "", f"metarec: --user is {empty}\n")
    said = "metarec: an argument is empty; is a variable of the shell not set?\n"
    assert run("audit", "model", "") == (2, "", said)
    assert files(place) == before


@pytest.mark.parametrize(
    "words",
    [
        ("recommend", "model", "--filter", " "),
        ("recommend", "model", "--wish=\t"),
        ("serve", "model", "--store", " "),
        ("fit", "data", "--out", "  "),
    ],
)
def test_a_blank_value_of_an_option_is_refused(run: Run, place: Path, words: list[str]) -> None:
    """A blank filter filtered nothing, without a word."""
    before = files(place)
    name = next(word.partition("=")[0] for word in words if word.startswith("--"))
    said = f"metarec: {name} is blank; give a value, or leave the option out\n"
    assert run(*words) == (2, "", said)
    assert files(place) == before


@pytest.mark.parametrize(
    "command", [("evaluate", "data"), ("audit", "model", "data"), ("demo", "--data", "data")]
)
def test_where_a_result_goes_is_checked_before_the_work(
    run: Run, place: Path, command: list[str]
) -> None:
    """An evaluation of hours ended with one line that its report could not be written."""
    (place / "file").write_text("a")
    before = files(place)
    said = "metarec: 'file/out' lies in what is a file, not a folder; name another place\n"
    assert run(*command, "--out", "file/out") == (2, "", said)
    assert files(place) == before


MAY_NOT = """
import os, sys
from pathlib import Path
from metarec.runtime.folders import check_target
os.geteuid() or os.setuid(65534)  # root may write everywhere
try:
    check_target(Path(sys.argv[1]), is_folder=True)
except PermissionError as error:
    print(error.filename)
"""


def test_a_folder_that_may_not_be_written_is_seen_before_the_work() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o555)
        inside = str(Path(folder, "out"))
        done = subprocess.run(
            [sys.executable, "-c", MAY_NOT, inside], capture_output=True, text=True, check=True
        )
        Path(folder).chmod(0o755)
    assert done.stdout == f"{inside}\n"


def test_rules_take_lists_of_ids() -> None:
    from metarec import BadInput
    from metarec.recommendation.ordering.rules import Rules

    for wrong in ({"pin": "B1"}, {"ban": "B1"}, {"ban": [None]}, {"quota": ["a"]}):
        with pytest.raises(BadInput):
            Rules(**wrong)  # type: ignore[arg-type]


def test_a_database_that_is_empty_is_a_store_to_be(run: Run, place: Path) -> None:
    sqlite3.connect(place / "new.db").close()
    (place / "empty.db").touch()
    for name in ("new.db", "empty.db"):
        assert run("import", "model", "data", "--store", name)[0] == 0


def test_numbers_that_are_not_known_are_null_in_json() -> None:
    told = json.loads(as_json_text({"gap": {"left": float("nan"), "size": np.float64(0.5)}}))
    assert told == {"gap": {"left": None, "size": 0.5}}
