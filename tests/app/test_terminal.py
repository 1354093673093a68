"""What commands look like on a terminal, and where there is none."""

from __future__ import annotations

import io

import pytest

from metarec.app.commands.options import colored, fitted


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colors_are_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert colored("metarec:", "red", Terminal()) == "\x1b[31m\x1b[1mmetarec:\x1b[0m"
    assert colored("metarec:", "red", io.StringIO()) == "metarec:"


def test_no_color_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert colored("metarec:", "red", Terminal()) == "metarec:"


def test_notes_fit_a_terminal_and_are_one_line_for_programs() -> None:
    said = "a note " * 20 + "--with-a-long-option"
    lines = fitted(said, Terminal()).split("\n")
    assert max(map(len, lines)) <= 80
    assert " ".join(lines) == said
    assert fitted("one\n\ntwo", Terminal()) == "one\n\ntwo"
    assert fitted(said, io.StringIO()) == said
