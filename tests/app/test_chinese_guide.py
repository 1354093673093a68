"""The Chinese guide is true: its commands print what it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "guide" / "chinese.zh-CN.md").read_text(encoding="utf-8")
STEPS = re.findall(r"^ {4}(metarec [^\n]*)\n(?:\n```\n(.*?)^```)?", PAGE, re.MULTILINE | re.DOTALL)
"""Each command, and what is shown below it."""


def same(line: str) -> str:
    """A line without scores and spaces."""
    return re.sub(r"\s+", "", re.sub(r"[-+]?\d+\.\d+.*", "", line))


def test_its_commands_print_what_it_shows(
    run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("METAREC_LANG", "zh")
    monkeypatch.chdir(ROOT)
    assert len(STEPS) == 7
    for command, shown in STEPS:
        words = [str(tmp_path / "model") if w == "MODEL" else w for w in shlex.split(command)[1:]]
        code, out, error = run(*words)
        assert (code == 2) == shown.startswith("metarec: "), error
        printed = [same(line) for line in (out + error).splitlines()]
        missing = [line for line in shown.splitlines() if same(line) not in printed]
        assert not missing, f"{command}: {printed}"


def test_the_tables_are_those_that_the_script_writes() -> None:
    head = (ROOT / "examples" / "chinese-shop" / "interactions.csv").read_text("utf-8")
    assert all(line in head for line in re.findall(r"^用户,.*\n.*\n.*$", PAGE, re.MULTILINE))
