"""`metarec ab` on a real model: the guide's own commands, and what goes wrong in one line."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from metarec.feedback.registry import Registry  # noqa: E402
from served_model import fitted_model, save_two_versions  # noqa: E402

GUIDE = Path(__file__).parents[2] / "docs" / "guide" / "ab-testing.md"


@pytest.fixture
def model(tmp_path):
    return save_two_versions(tmp_path / "model")


@pytest.fixture
def ab(run, model):
    """Run `metarec ab ...` of the guide's wording on the model."""
    version = fitted_model(1).version

    def running(line):
        words = shlex.split(line.replace("VERSION", version))
        return run(*(str(model) if word == "MODEL" else word for word in words[1:]))

    return running


def test_the_guides_commands_run(ab, model):
    lines = re.findall(r"^ {4}(metarec ab .*)$", GUIDE.read_text("utf-8"), re.MULTILINE)
    first, second, shown, promoted, back, stopped, listed = lines
    code, out, err = ab(first)
    assert (code, err) == (0, "")
    versions = list(Registry(model).folders())
    assert out == f"new-model runs: control 50% ({versions[0]}), new 50% ({versions[1]})\n"
    code, out, _ = ab(shown)
    assert code == 0
    assert "new, all users: too few to say (0 counted)" in out
    assert "compared by the share of users who c" in out
    assert " hours are over count, each once" in out
    assert ab(promoted)[1] == "new-model is promoted, arm new: more clicks, no more returns\n"
    assert Registry(model).current() == versions[1]
    assert ab(back)[1].startswith("new-model is rolled back, arm new: complaints")
    assert Registry(model).current() == versions[0]
    assert ab(second)[0] == 0
    assert ab(stopped)[1].startswith("explore-more is stopped: too slow (arm 'explore' was stopped")
    code, out, _ = ab(listed)
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [
        ["explore-more", "stopped"],
        ["new-model", "rolled"],
    ]


def test_it_speaks_chinese(ab, monkeypatch):
    monkeypatch.setenv("METAREC_LANG", "zh")
    started = ab("metarec ab start MODEL front --arm control=0.5 --arm new=0.5,explore=1")[1]
    assert started.startswith("front 正在运行：control 50% (")
    assert ab("metarec ab stop MODEL front")[1] == "front 已停止：由命令行要求\n"
    ab("metarec ab start MODEL more --arm a=0.3 --arm b=0.3 --arm c=0.3")
    goes_on = "more 继续运行，不再有分组 b：由命令行要求\n"
    assert ab("metarec ab stop MODEL more --arm b")[1] == goes_on
    ended = "对照组以外已没有别的分组，实验随之结束"
    said = f"由命令行要求（分组 'c' 已停止；{ended}）"
    assert ab("metarec ab stop MODEL more --arm c")[1] == f"more 已停止：{said}\n"


def test_the_list_speaks_chinese_but_for_names(ab, monkeypatch):
    monkeypatch.setenv("METAREC_LANG", "zh")
    ab("metarec ab start MODEL stopped --arm control=0.5 --arm new=0.5,explore=1")
    assert ab("metarec ab list MODEL")[1].splitlines()[1].split()[:2] == ["stopped", "正在运行"]
    ab("metarec ab stop MODEL stopped")
    head, row = (line.split() for line in ab("metarec ab list MODEL")[1].splitlines())
    assert head[:2] == ["名称", "状态"]
    assert row[:2] == ["stopped", "已停止"]


def test_the_arm_that_ends_an_experiment_is_told(ab):
    ab("metarec ab start MODEL more --arm a=0.3 --arm b=0.3 --arm c=0.3")
    said = "more runs on without arm b: slow\n"
    assert ab("metarec ab stop MODEL more --arm b --reason slow")[1] == said
    why = "slow (arm 'c' was stopped; the experiment ended with its last arm beside the control)"
    assert ab("metarec ab stop MODEL more --arm c --reason slow")[1] == f"more is stopped: {why}\n"
    assert why in ab("metarec ab list MODEL")[1]


def test_an_experiment_is_a_page_of_the_reports_family(ab, tmp_path):
    first = next(
        line for line in GUIDE.read_text("utf-8").splitlines() if "metarec ab start" in line
    )
    assert ab(first.strip())[0] == 0
    code, _, _ = ab(f"metarec ab show MODEL new-model --out {tmp_path / 'ab.html'}")
    (tmp_path / "items.csv").write_text("item_id")
    refused = ab(f"metarec ab show MODEL new-model --out {tmp_path / 'items.csv'}")
    assert (refused[0], "so FILE ends in .html; got" in refused[2]) == (2, True)
    assert (tmp_path / "items.csv").read_text() == "item_id"
    page = (tmp_path / "ab.html").read_text("utf-8")
    assert code == 0
    assert "<h1>Experiment new-model</h1>" in page
    assert "too few to say" in page
    assert '<td class="text">control</td>' in page


def test_as_json(ab):
    ab("metarec ab start MODEL x --arm a=0.5 --arm b=0.5,explore=2,filter='title = 1, 2'")
    ab("metarec ab start MODEL x --arm a=0.5 --arm b=0.5,explore=2")
    told = json.loads(ab("metarec ab show MODEL x --json")[1])
    assert told["experiment"]["arms"][1]["settings"]["explore"] == 2.0
    assert [arm["users"] for arm in told["results"]["arms"]] == [0, 0]
    assert json.loads(ab("metarec ab list MODEL --json")[1])["experiments"][0]["name"] == "x"
    assert json.loads(ab("metarec ab stop MODEL x --json")[1])["status"] == "stopped"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("start MODEL x --arm a=0.5 --arm b=0.5,model=old", "no model version 'old'; there are:"),
        ("start MODEL x --arm a=0.5 --arm b=0.6", "shares come to 1.1; they may be 1 together"),
        ("start MODEL x --arm a=0.5 --arm b=half", "--arm b: share: 'half' is not a number"),
        ("start MODEL x --arm a=0.5 --arm b", "--arm takes NAME=SHARE,SETTING=VALUE,..., got 'b'"),
        ("start MODEL x --arm a=0.5 --arm b=0.5,k=3", "an arm sets model, diversity"),
        ("start MODEL x --arm a=0.5 --arm b=0.5 --guardrail luck=1", "no guardrail luck"),
        (
            "start MODEL x --arm a=0.5 --arm b=0.5 --guardrail max_refusals=few",
            "--guardrail max_refusals: 'few' is not a number",
        ),
        ("start MODEL x --arm a=0.5 --arm b=0.5,filter=hue=1", "hue"),
        ("stop MODEL x", "there is no experiment 'x'"),
        ("show MODEL x", "there is no experiment 'x'"),
        ("promote MODEL x b", "there is no experiment 'x'"),
        ("roll-back MODEL x", "there is no experiment 'x'"),
    ],
)
def test_what_does_not_go_is_told_in_one_line(ab, line, says):
    code, out, err = ab(f"metarec ab {line}")
    assert (code, out) == (2, "")
    assert says in err and err.count("\n") == 1
