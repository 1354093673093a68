"""The command line as a user meets it: exit codes, one clear line, and JSON."""

from __future__ import annotations

import errno
import json
import re
import shutil
import socket
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from metarec.app import cli
from metarec.recommender import Recommender
from metarec.runtime.artifacts import Artifact, write_artifact
from metarec.runtime.report_page import STYLE
from world import World

Run = Callable[..., tuple[int, str, str]]
TINY = ["--preset", "tiny", "--encoder", "tfidf"]


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


def test_check_refuses_settings_of_models_that_fit_would_refuse(run: Run, folder: Path) -> None:
    file = folder / "shop.toml"
    file.write_text(
        "[models.ease]\nregularizatoin = 50\n[[sources]]\ninteractions = 'interactions.csv'\n"
    )
    code, _, said = run("data", "check", str(file))
    assert code == 2
    assert "did you mean 'regularization'?" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["data", "check", "/no/such/folder"],
            "/no/such/folder does not exist; give a data folder",
        ),
        (["data", "get", "nonesuch"], "no public data set 'nonesuch'; there are ml-100k"),
        (["data", "get"], "Missing argument 'NAME'; see --help"),
        (["data", "check", "x", "--color"], "No such option: --color"),
        (["dance"], "No such command 'dance'; see --help"),
    ],
)
def test_bad_input_is_one_clear_line_and_exit_2(run: Run, words: list[str], message: str) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert message in err
    assert err.startswith("metarec: ")


@pytest.fixture
def model_folder(tmp_path: Path) -> Path:
    """A folder in the form of a model, enough for commands that do not score."""
    return write_artifact(tmp_path / "model", Artifact(config={"name": "empty"}))


def test_forget_deletes_and_gives_a_receipt(run: Run, model_folder: Path) -> None:
    from metarec.feedback import open_store
    from metarec.feedback.events import Event

    store = open_store(str(model_folder / "events.db"))
    store.append(
        [Event(event_id="1", user_id="ann", item_id="x", kind="like", value=None, timestamp=1.0)]
    ).result()
    store.close()
    code, out, _ = run("forget", str(model_folder), "--user", "ann", "--json")
    assert code == 0
    assert json.loads(out)["rows_deleted"]["events"] == 1
    assert b"ann" not in (model_folder / "events.db").read_bytes()
    assert run("forget", str(model_folder / "nowhere"), "--user", "ann")[0] == 2
    code, out, _ = run("forget", str(model_folder), "--user", "ann")
    assert code == 0
    assert "\ndeleted: nothing: the store holds no event, slate or attribute of this user\n" in out


def test_nobody_is_forgotten_in_a_store_that_is_not_there(
    run: Run, model_folder: Path, tmp_path: Path
) -> None:
    for words, file in (
        ((), model_folder / "events.db"),
        (("--store", f"sqlite:///{tmp_path / 'other.db'}"), tmp_path / "other.db"),
    ):
        assert run("forget", str(model_folder), "--user", "ann", *words) == (
            2,
            "",
            f"metarec: there is no event store at '{file}'; name yours with --store\n",
        )
        assert not file.exists()


def test_a_store_that_is_away_is_no_fault_of_ours(run: Run, model_folder: Path) -> None:
    pytest.importorskip("psycopg")
    code, out, err = run(
        "forget",
        str(model_folder),
        "--user",
        "ann",
        "--store",
        "postgresql://nobody:secret@127.0.0.1:1/none",
    )
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith("metarec: cannot open the store postgresql")
    assert "secret" not in err


def test_a_model_that_is_none_cannot_be_served(run: Run, tmp_path: Path) -> None:
    code, _, err = run("serve", str(tmp_path / "nowhere"))
    assert code == 2
    assert "no model folder" in err
    code, _, err = run("serve", str(tmp_path), "--host", "0.0.0.0")
    assert code == 2
    assert "lets anyone read and forget users" in err


def test_a_port_in_use_is_told_before_anything_is_served(
    run: Run, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("uvicorn")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for workers in ("1", "2"):
            assert run("serve", str(model_folder), "--port", str(port), "--workers", workers) == (
                2,
                "",
                f"metarec: port {port} of 127.0.0.1 is in use; stop what listens there, or give "
                f"another --port\n",
            )
    monkeypatch.setenv("METAREC_OPEN_TO_ALL", "yes")
    code, out, err = run(
        "serve", str(model_folder), "--host", "192.0.2.1", "--port", "8000"
    )  # an address kept for documents
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("metarec: cannot listen at 192.0.2.1, port 8000 (")


def test_a_server_that_ends_by_itself_has_said_why() -> None:
    assert cli.explain_failure(SystemExit(3)) == (1, "")


@pytest.mark.parametrize(
    ("name", "said", "line"),
    [
        ("DEVICE", "nix", "METAREC_DEVICE must be one of cpu, auto, cuda, mps, got 'nix'"),
        ("ONLINE", "off", "METAREC_ONLINE must be one of 1, true, yes, 0, false, no, got 'off'"),
        (
            "TRACEBACK",
            "on",
            "METAREC_TRACEBACK must be one of 1, true, yes, 0, false, no, got 'on'",
        ),
        ("HOME", __file__, f"METAREC_HOME must name a folder, got {__file__!r}"),
        ("HOME", f"{__file__}/in", f"METAREC_HOME must name a folder, got '{__file__}/in'"),
        ("LANG", "tlh", "METAREC_LANG must be one of en, zh, got 'tlh'"),
        ("ONLIEN", "0", "METAREC_ONLIEN is no setting; did you mean METAREC_ONLINE?"),
        ("DEVCE", "cpu", "METAREC_DEVCE is no setting; did you mean METAREC_DEVICE?"),
    ],
)
def test_a_wrong_variable_is_refused_by_commands_that_do_not_read_it(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, said: str, line: str
) -> None:
    monkeypatch.setenv(f"METAREC_{name}", said)
    assert run("data", "list", "--json") == (2, "", f"metarec: {line}\n")


def test_every_variable_is_documented_in_both_languages() -> None:
    guide = Path(__file__).parent.parent.parent / "docs" / "guide"
    for page in ("settings.md", "settings.zh-CN.md"):
        text = (guide / page).read_text("utf-8")
        assert [name for name in cli.READ_BY_ALL if f"| `{name}` |" not in text] == []


def test_variables_may_be_empty_and_no_means_no(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DEVICE", "HOME", "LANG", "ONLINE", "TRACEBACK"):
        monkeypatch.setenv(f"METAREC_{name}", "")
    assert run("data", "list", "--json")[0] == 0
    monkeypatch.setenv("METAREC_TRACEBACK", "0")
    assert "Traceback" not in run("fit", "nowhere", "--out", "m")[2]


def test_an_old_option_in_an_unknown_language_is_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAREC_LANG", "tlh")
    code, _, error = run("fit", "nowhere", "--person-template", "x")
    assert (code, error) == (2, "metarec: METAREC_LANG must be one of en, zh, got 'tlh'\n")


def test_a_fault_of_ours_is_exit_1_and_asks_to_be_reported() -> None:
    code, line = cli.explain_failure(KeyError("x"))
    assert code == 1
    assert (
        line
        == "unexpected KeyError: 'x'; set METAREC_TRACEBACK=1 to see where, and please report it"
    )
    try:
        int("three")
    except ValueError as error:  # raised by Python for a fault of ours, so not the caller's
        assert cli.explain_failure(error)[0] == 1
    for line, exit_code in (("first, second = [1]", 1), ("raise ValueError('k is 1 or more')", 2)):
        try:
            exec(line, {"__name__": "metarec.data.tables"})
        except ValueError as error:
            assert cli.explain_failure(error)[0] == exit_code, line


def test_a_disk_that_takes_nothing_is_told_with_the_way_out() -> None:
    assert cli.explain_failure(OSError(errno.ENOSPC, "No space left on device")) == (
        1,
        "the disk is full; make room and run it again",
    )
    assert cli.explain_failure(OSError(errno.EROFS, "Read-only file system", "m/retrain.lock")) == (
        1,
        "the disk is read-only at 'm/retrain.lock'; make it writable or name another place",
    )


def test_a_missing_extra_names_the_command() -> None:
    from metarec.runtime.extras import MissingExtra, require

    try:
        require("no_such_library", "ann")
    except MissingExtra as error:
        assert cli.explain_failure(error) == (
            1,
            "no_such_library is not installed; get it with: pip install 'metarec[ann]'",
        )


def test_odd_data_are_noted_in_one_line(run: Run, tmp_path: Path) -> None:
    pl.DataFrame({"user_id": ["a", "b", None], "item_id": ["x", "y", "z"]}).write_csv(
        tmp_path / "interactions.csv"
    )
    code, out, err = run("data", "check", str(tmp_path), "--json")
    assert code in (0, 2)
    assert "Traceback" not in err
    assert code or json.loads(out)["events_removed"] == 1


@pytest.fixture(scope="session")
def fitted(tmp_path_factory: pytest.TempPathFactory, rated_world: World) -> tuple[Path, Path]:
    """A data folder of the tiny world, and a model fitted on it by the command, without a quarter
    of the users.
    """
    place = tmp_path_factory.mktemp("cli")
    rated_world.data.interactions.frame.write_parquet(place / "interactions.parquet")
    rated_world.data.items.frame.write_parquet(place / "items.parquet")
    rated_world.data.users.frame.write_parquet(place / "users.parquet")
    with pytest.raises(SystemExit) as end:
        cli.main(
            [
                "fit",
                str(place),
                "--out",
                str(place / "model"),
                *TINY,
                "--hold-out",
                "0.25",
                "--json",
            ]
        )
    assert not end.value.code
    return place, place / "model"


def test_fit_keeps_users_out_and_says_what_it_did(
    fitted: tuple[Path, Path], rated_world: World
) -> None:
    from metarec.recommender import Recommender

    learned = set(Recommender.load(fitted[1]).trained_on["user_id"])
    assert len(learned) == 36
    assert learned < set(rated_world.taste_of_user)


def test_recommend_heeds_taste_filter_bans_and_wish(
    run: Run, fitted: tuple[Path, Path], rated_world: World
) -> None:
    _, model = fitted
    likes = [word for item_id, _ in rated_world.history("space", 4) for word in ("--like", item_id)]
    code, out, _ = run("recommend", str(model), *likes, "-k", "8", "--json")
    assert code == 0
    items = json.loads(out)["items"]
    assert all(
        1.0 <= item["interval"][0] < item["predicted"] <= item["interval"][1] <= 5.0
        for item in items
    )
    assert "rating (9 in 10)" in run("recommend", str(model), *likes)[1]
    shown = [item["item_id"] for item in items]
    assert sorted(shown) == rated_world.items_of_taste["space"][4:]
    limits = ["--ban", shown[0], "--filter", 'genre = "space" and year > 1990']
    code, out, _ = run("recommend", str(model), *likes, "-k", "3", *limits, "--json")
    kept = [item["item_id"] for item in json.loads(out)["items"]]
    assert shown[0] not in kept
    assert all(int(item_id[1:]) > 5 for item_id in kept)
    code, out, _ = run("recommend", str(model), "--wish", "a garden, no space", "-k", "5")
    assert code == 0
    assert len(out.splitlines()) == 7
    assert out.splitlines()[-1].startswith("note: not wanted: 'space'")
    assert run("recommend", str(model), "--pin", "g03", "-k", "2", "--json")[1].count('"g03"') == 1


def test_a_dislike_counts_against_more_than_a_low_rating(
    run: Run, fitted: tuple[Path, Path], rated_world: World
) -> None:
    words = [
        word
        for item_id, _ in rated_world.history("space", 4)
        for word in ("--like", f"{item_id}=1")
    ]
    by_value = json.loads(run("recommend", str(fitted[1]), *words, "--json")[1])
    by_name = json.loads(
        run(
            "recommend",
            str(fitted[1]),
            *["--dislike" if w == "--like" else w.split("=")[0] for w in words],
            "--json",
        )[1]
    )
    of_taste = set(rated_world.items_of_taste["space"])
    rated, refused = (
        sum(item["item_id"] in of_taste for item in slate["items"]) for slate in (by_value, by_name)
    )
    assert refused == 0 <= rated
    liked = json.loads(
        run("recommend", str(fitted[1]), *[w.split("=")[0] for w in words], "--json")[1]
    )
    assert liked != by_name


def test_explain_says_why_and_draws(run: Run, fitted: tuple[Path, Path], tmp_path: Path) -> None:
    code, out, _ = run(
        "explain",
        str(fitted[1]),
        "--item",
        "s05",
        "--like",
        "s01",
        "--like",
        "s02",
        "--trace",
        str(tmp_path / "trace.svg"),
    )
    assert code == 0
    assert "because" in out
    assert "<svg" in (tmp_path / "trace.svg").read_text()


def test_explain_follows_inner_steps_and_maps_users(
    run: Run, fitted: tuple[Path, Path], rated_world: World, tmp_path: Path
) -> None:
    asked = ["--item", "s05", "--like", "s01", "--trace", str(tmp_path / "t.svg")]
    code, _, err = run("explain", str(fitted[1]), *asked, "--learner", "item_knn")
    assert code == 2 and "item_knn takes no inner steps" in err and err.count("\n") == 1
    for words in (["--map", "x.png"], ["--by", "home"]):
        code, _, err = run("explain", str(fitted[1]), *asked, *words)
        assert code == 2 and "--map FILE and --by COLUMN go together" in err
    code, _, err = run("explain", str(fitted[1]), *asked[:4], "--learner", "item_knn")
    assert code == 2 and "add --trace FILE, --map FILE or --out FILE" in err
    quick = {"anil": {"outer_steps": 10}}
    model = Recommender.fit(
        rated_world.data, preset="tiny", encoder="none", learner="anil", models=quick
    )
    model.save(tmp_path / "m")
    picture, page = tmp_path / "users.png", tmp_path / "why.html"
    asked += ["--out", str(page), "--map", str(picture), "--by", "home"]
    code, out, err = run("explain", str(tmp_path / "m"), *asked)
    assert code == 0, err
    assert "inner steps of anil" in out and "training users by what anil moved" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "Inner loop of anil" in (tmp_path / "t.svg").read_text()
    assert ">Inner steps of anil</h2>" in page.read_text("utf-8")


def test_an_explanation_is_a_page_of_the_reports_family(
    run: Run, fitted: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("explain", str(fitted[1]), "--item", "s05", "--like", "s01", "--bought", "s02")
    code, out, _ = run(*asked, "--out", str(tmp_path / "new" / "why.html"))
    page = (tmp_path / "new" / "why.html").read_text("utf-8")
    assert code == 0 and out.rstrip().endswith("why.html")
    assert STYLE in page and page.count('<figure class="narrow">') == 2
    assert "lost without it" in page and 'download="trace.csv"' in page
    told = {line.strip() for line in out.splitlines() if line.startswith("  because")}
    assert told and all(escape(line, quote=False) in page for line in told)
    assert not re.findall(r"<script|(?:src|href)=.https?:", page)
    monkeypatch.setenv("METAREC_LANG", "zh")
    assert run(*asked, "--out", str(tmp_path / "zh.html"))[0] == 0
    page = re.sub(
        r"<(style|svg)\b.*?</\1>", "", (tmp_path / "zh.html").read_text("utf-8"), flags=re.DOTALL
    )
    assert "每个分数分量的作用" in page
    assert "lost without it" not in page and "because" not in page


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--like", "nonesuch"], "(24 items); `metarec recommend MODEL --json` names items"),
        (["--ban", "S00"], "item 'S00' is not in the catalog (24 items); did you mean 's00'?"),
        (["--seed", "-1"], "--seed must be 0 or more, got -1"),
        (["--profile", "age"], "--profile takes NAME=VALUE, got 'age'"),
        (["--quota", "spase=2"], "--quota: no item has the tag 'spase'; did you mean 'space'?"),
        (["--quota", "space=few"], "--quota space: 'few' is not a number"),
        (["--quota", "space=1.5"], "--quota space must be a whole number, got '1.5'"),
        (["--filter", "color = 3"], "the catalog has no column 'color'"),
        (["-k", "0"], "k must be 1 or more, got 0"),
        (["--like", "s01=great"], "--like: 'great' is not a number"),
    ],
)
def test_bad_words_of_recommend_are_named(
    run: Run, fitted: tuple[Path, Path], words: list[str], message: str
) -> None:
    code, out, err = run("recommend", str(fitted[1]), *words)
    assert (code, out) == (2, "")
    assert message in err


def test_evaluate_evaluates_beside_baselines(
    run: Run, fitted: tuple[Path, Path], tmp_path: Path
) -> None:
    bars = ["--baseline", "Popular", "--baseline", "Random"]
    code, out, _ = run(
        "evaluate", str(fitted[0]), *TINY, *bars, "--out", str(tmp_path / "report.html"), "--json"
    )
    assert code == 0
    found = json.loads(out)
    assert found["models"] == ["metarec"]
    assert found["baselines"] == ["Popular", "Random"]
    last = {
        row["model"]: row["mean"]
        for row in found["curves"]["all"]["table"]
        if row["metric"] == "ndcg@10" and row["events"] == 3
    }
    assert last["metarec"] > 0.9 > last["Random"]
    assert "metarec" in (tmp_path / "report.html").read_text()
    code, _, err = run("evaluate", str(fitted[0]), "--learner", "nonesuch")
    assert code == 2
    assert "nonesuch" in err


def test_what_is_found_out_about_a_model_is_kept_with_it(
    run: Run, fitted: tuple[Path, Path], tmp_path: Path
) -> None:
    data, model = fitted[0], shutil.copytree(fitted[1], tmp_path / "model")
    code, out, err = run(
        "evaluate", str(data), "--model", str(model), "--baseline", "Random", "--json"
    )
    assert code == 0, err
    assert (
        json.loads(out)["facts"]["test_users"] == 8
    )  # of 12 not met, a third chooses the baselines' settings
    assert run("audit", str(model), str(data), "--by", "home")[0] == 0
    kept = {path.stem: json.loads(path.read_text()) for path in (model / "reports").iterdir()}
    assert {name: report["kept"]["by"] for name, report in kept.items()} == {
        "data": "metarec fit",
        "learning-curve": "metarec evaluate",
        "audit": "metarec audit",
    }
    assert kept["learning-curve"]["curves"]["all"]["table"]
    assert kept["audit"]["users"] == 12
    assert kept["data"]["events_read"] == 672
    code, out, _ = run("fit", str(data), "--out", str(model), *TINY)
    assert code == 0  # reports do not stand in the way of a new model, and go with the old
    assert "\ntexts read by " in out and f"what they cost here: metarec data check {data}\n" in out
    assert [path.stem for path in (model / "reports").iterdir()] == ["data"]
    code, _, err = run("evaluate", str(data), "--model", str(model))
    assert (code, "only 0 users" in err, "--hold-out" in err) == (2, True, True)
    code, _, err = run("evaluate", str(data), "--model", str(model), "--all")
    assert (code, "--model evaluates a model as it is" in err) == (2, True)


def test_audit_evaluates_users_the_model_never_met(run: Run, fitted: tuple[Path, Path]) -> None:
    code, out, err = run("audit", str(fitted[1]), str(fitted[0]), "--by", "home", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["users"] == 12
    assert {row["group"] for row in found["groups"]} == {"north", "south"}


def test_items_and_users_are_written_as_one_says(run: Run, folder: Path, tmp_path: Path) -> None:
    learned = (*TINY, "--learner", "user_text")
    code, out, err = run(
        "fit",
        str(folder),
        "--out",
        str(tmp_path / "m"),
        *learned,
        "--item-template",
        "{title}. {text}",
        "--user-template",
        "{profile} | {liked}",
        "--json",
    )
    assert code == 0, err
    assert json.loads(out)["notes"] == ["users written as text: 48 of 48"]
    code, out, err = run("explain", str(tmp_path / "m"), "--like", "s00", "--item", "s05", "--json")
    assert code == 0, err
    assert "user_text" in json.loads(out)["components"]
    for words, why in (
        (
            (*learned, "--item-template", "{plot}"),
            "item template names the column 'plot', which the catalog lacks (colu",
        ),
        (
            (*learned, "--user-template", "{age}"),
            "user template '{age}' names 'age'; there are {profile}, {liked}, ",
        ),
        ((*TINY, "--user-template", "{liked}"), "add --learner user_text"),
        (
            ("--encoder", "none", "--learner", "user_text"),
            "with encoder 'none', which reads nothing",
        ),
    ):
        code, _, err = run("fit", str(folder), "--out", str(tmp_path / "x"), *words)
        assert (code, why in err.splitlines()[-1]) == (2, True), err
    assert run("evaluate", str(folder), *TINY, "--user-template", "{liked}")[0] == 2
    assert (
        "names the column 'plot'"
        in run("evaluate", str(folder), *TINY, "--item-template", "{plot}")[2]
    )


def test_pictures_are_read_by_what_one_names(run: Run, folder: Path, tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "pictures").mkdir()
    for n in range(12):
        for taste, color in (("s", (10, 10, 90 + 10 * n)), ("g", (200 - 10 * n, 200, 10))):
            Image.new("RGB", (16, 16), color).save(tmp_path / "pictures" / f"{taste}{n:02d}.png")
    words = (
        "fit",
        str(folder),
        "--out",
        str(tmp_path / "m"),
        "--preset",
        "tiny",
        "--encoder",
        "none",
        "--pictures",
        str(tmp_path / "pictures"),
    )
    code, _, err = run(*words, "--picture-encoder", "colors")
    assert code == 0, err
    assert "picture 1" in pl.read_parquet(tmp_path / "m" / "catalog.parquet").columns
    code, _, err = run(*words, "--picture-encoder", str(tmp_path / "nowhere"))
    assert (code, "does not exist" in err.splitlines()[-1]) == (2, True)


def test_fit_refuses_what_it_would_overwrite_before_the_work(
    run: Run, fitted: tuple[Path, Path]
) -> None:
    code, _, err = run("fit", str(fitted[0]), "--out", str(fitted[0]))
    assert code == 2
    assert "is no metarec model; give another folder" in err
    assert (fitted[0] / "interactions.parquet").exists()
    assert run("fit", str(fitted[0]), "--out", str(fitted[0] / "x"), "--hold-out", "1")[0] == 2
    assert run("fit", str(fitted[0]), "--out", str(fitted[0] / "x"), "--preset", "huge")[0] == 2
    words = ("fit", "no-data", "--out", str(fitted[0] / "x"))  # what is wrong goes before reading
    assert "--tune takes minutes above 0, got -1" in run(*words, "--tune", "-1")[2]
    for command in (words, ("evaluate", "no-data")):
        code, _, err = run(*command, "--picture-encoder", "colors")
        assert (code, "and none are given; add --pictures FOLDER" in err) == (2, True)


def test_values_of_a_profile_of_which_nothing_was_learned_are_named(
    run: Run, fitted: tuple[Path, Path]
) -> None:
    words = ("recommend", str(fitted[1]), "-k", "3", "--json", "--profile", "age=31")
    code, out, _ = run(*words, "--profile", "home=Mars")
    assert code == 0
    notes = [note for note in json.loads(out)["notes"] if "learned nothing" in note]
    assert notes == ["the model learned nothing of home=Mars, so it was ignored"]
    assert not [n for n in json.loads(run(*words)[1])["notes"] if "learned nothing" in n]


@pytest.fixture(scope="module")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users who view and buy, in a shop that says it is one."""
    folder, rng, rows = tmp_path_factory.mktemp("shop"), np.random.default_rng(0), []
    for user in range(60):
        taste, at = "ab"[user % 2], 1_700_000_000 + 100_000 * user
        for step, item in enumerate(rng.permutation(14)[:10]):
            rows.append(f"u{user},{taste}{item},{at + 100 * step},view")
            if step % 2:
                rows.append(f"u{user},{taste}{item},{at + 100 * step + 50},purchase")
    table = "\n".join(["user_id,item_id,timestamp,kind", *rows])
    (folder / "events.csv").write_text(table, encoding="utf-8")
    (folder / "metarec.toml").write_text(
        'domain = "e-commerce"\n[[sources]]\ninteractions = "events.csv"\n', encoding="utf-8"
    )
    return folder


def test_evaluate_evaluates_by_a_kind_at_chosen_numbers_of_events(
    run: Run, shop_folder: Path
) -> None:
    words = ["evaluate", str(shop_folder), "--preset", "tiny", "--encoder", "none"]
    few = ["--baseline", "Popular", "--support", "0", "--support", "2"]
    code, out, _ = run(*words, *few, "--kind", "Purchase", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["curves"]["all"]["support_sizes"] == [0, 2]
    assert found["domain"] == "e-commerce" and found["domain_metric"]["name"] == "recall@20"
    assert all(user["liked_later"] <= 4 for user in found["new_users"])  # purchases alone
    code, out, err = run(*words, "--kind", "donate")
    assert code == 2 and "no event of" in err and "purchase, view" in err
    assert run(*words, "--support", "-1")[0] == 2


def test_refused_items_stay_away_from_the_command_line(
    run: Run, shop_folder: Path, tmp_path
) -> None:
    model = str(tmp_path / "model")
    assert (
        run("fit", str(shop_folder), "--out", model, "--preset", "tiny", "--encoder", "none")[0]
        == 0
    )
    words = [word for n in range(3) for word in ("--dislike", f"a{n}")]
    slate = json.loads(run("recommend", model, *words, "-k", "10", "--json")[1])["items"]
    assert sum(item["item_id"].startswith("a") for item in slate) <= 1
    bought = json.loads(
        run("recommend", model, "--viewed", "b1", "--bought", "a1", "-k", "8", "--json")[1]
    )["items"]
    assert sum(item["item_id"].startswith("a") for item in bought) >= 5


def test_a_killed_fit_goes_on_at_the_next_same_words(
    run: Run, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    model = tmp_path / "models" / "one"
    words = ["fit", str(folder), "--out", str(model), "--preset", "tiny", "--encoder", "none"]
    steps = model.parent / ".one.steps"
    solve = np.linalg.solve

    def stop_after_a_step(*given: Any, **more: Any) -> Any:
        return stop() if any(steps.glob("[!.]*")) else solve(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr("numpy.linalg.solve", stop_after_a_step)
        assert run(*words)[0] == 130
    assert list(steps.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr("numpy.linalg.solve", stop)
        assert run(*words, "--no-resume")[0] == 130
    code, _, said = run(*words)
    assert code == 0
    assert "finished steps of a fit that was killed" in said
    assert "where data and settings are the same" in said  # those of another fit are ignored
    assert [path.name for path in model.parent.iterdir()] == ["one"]


def test_a_plan_says_what_a_fit_costs_and_fits_nothing(run: Run, folder: Path) -> None:
    code, out, _ = run("fit", str(folder), "--plan", "--preset", "tiny", "--json")
    assert code == 0
    planned = json.loads(out)
    assert planned["events"] == 672
    assert planned["memory_mib"] > 0
    code, out, _ = run("fit", str(folder), "--plan")
    assert "deep_set" in out and "not counted: ease" not in out
    code, _, said = run("fit", str(folder))
    assert code == 2
    assert "--out MODEL is missing" in said
    code, out, _ = run("data", "check", str(folder), "--json")
    checked = json.loads(out)["plans"]["tiny"]
    assert checked["seconds"].keys() == planned["seconds"].keys()
    measured = ("seconds", "seconds_total")  # of the machine at the moment
    assert checked == {**planned, **{name: checked[name] for name in measured}}


@pytest.mark.parametrize("old", ["--person-template", "--person-template={age}"])
def test_an_option_by_its_old_name_works_and_a_note_says_the_new_one(
    old: str, run: Run, folder: Path, tmp_path: Path
) -> None:
    words = [old] if "=" in old else [old, "{age}"]
    learned = (*TINY, "--learner", "user_text")
    code, _, err = run("fit", str(folder), "--out", str(tmp_path / "x"), *learned, *words)
    assert code == 2
    assert "note: --person-template is now --user-template" in err
    assert "user template '{age}' names 'age'" in err
    assert run("evaluate", str(folder), "--people-as-text", "--encoder", "none")[0] == 2


def test_tuning_is_bounded_told_and_refused_where_it_cannot_be(
    run: Run, shop_folder: Path, tmp_path: Path
) -> None:
    model = str(tmp_path / "model")
    words = ["fit", str(shop_folder), "--preset", "tiny", "--encoder", "none"]
    code, out, _ = run(*words, "--out", model, "--tune", "0.001", "--json")
    assert code == 0
    assert json.loads(out)["tuned"]["fits"] == 1  # no time for a second one
    for given, told in (("0", "minutes above 0"), ("nan", "must be a number, got 'nan'")):
        code, _, said = run(*words, "--out", model, "--tune", given)
        assert (code, told in said) == (2, True)
    code, _, said = run(*words, "--plan", "--tune", "3")
    assert (code, "give one of them" in said) == (2, True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--overfitting --support 2", "--overfitting is a comparison of its own"),
        ("--overfitting --item-template {title}", "--overfitting is a comparison of its own"),
        ("--overfitting --gains strength", "goes without --gains"),
        ("--folds 3 --support 2", "--support chooses numbers of events"),
        ("--protocol leave-last-out --support 2", "--support chooses numbers of events"),
        ("--scenario domain-cold --prior MODEL --kind like", "--item-template and --kind"),
        ("--scenario domain-cold --prior MODEL --overfitting", "--overfitting is a comparison"),
    ],
)
def test_no_option_of_evaluate_is_passed_over(
    run: Run, folder: Path, given: str, told: str
) -> None:
    code, _, said = run("evaluate", str(folder), *given.split())
    assert (code, told in said) == (2, True), said
