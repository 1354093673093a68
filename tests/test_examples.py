"""`examples/project.py` runs as its page says: losses fall, adapting helps new users."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
PROJECT = ROOT / "examples" / "project.py"


def test_the_project_of_the_article_learns_to_adapt(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    main = runpy.run_path(str(PROJECT))["main"]
    found = main(str(ROOT / "examples" / "domains" / "education"), 100)
    mean, plain, adapted = found["errors"]
    assert np.mean(found["losses"][-20:]) < 0.75 * np.mean(found["losses"][:20])
    assert adapted < 0.8 * plain
    assert adapted < 0.8 * mean
    text = capsys.readouterr().out
    assert "texts read by " in text
    assert len(re.findall(r"^step +\d+: squared error", text, re.MULTILINE)) == 5
    assert len(re.findall(r"^  predicted \(truth\): 0\.\d\d \([01]\.00\)", text, re.MULTILINE)) == 3


def test_the_project_stays_one_page() -> None:
    assert len(PROJECT.read_text(encoding="utf-8").splitlines()) <= 120


def test_both_pages_tell_the_same_formulas() -> None:
    pages = [
        (ROOT / "docs" / name).read_text("utf-8") for name in ("project.md", "project.zh-CN.md")
    ]
    formulas = [re.findall(r"`([^`\n]*[σ∇θ][^`\n]*)`", page) for page in pages]
    assert len(formulas[0]) >= 6
    assert [len(one) for one in formulas] == [len(formulas[0])] * 2
    blocks = [re.findall(r"^```\n.*?^```", page, re.MULTILINE | re.DOTALL) for page in pages]
    assert blocks[0] == blocks[1] != []
