"""A column of refusals in known words for yes and no has no finding that they are unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

import metarec
from metarec.data.errors import DataWarning


def test_known_words_of_a_column_called_like_an_event_are_not_called_unknown(
    tmp_path: Path,
) -> None:
    rows = [f"L{i % 8},ep{i % 5},{'true' if i % 3 else 'false'}" for i in range(40)]
    table = tmp_path / "plays.csv"
    table.write_text("\n".join(["listener,episode_guid,skipped", *rows]), encoding="utf-8")

    with pytest.warns(DataWarning) as warned:
        metarec.read(table)
    findings = [str(warning.message) for warning in warned]

    assert any("'skipped'" in why and "they say no" in why for why in findings)
    assert not [why for why in findings if "not known as yes and no" in why]
