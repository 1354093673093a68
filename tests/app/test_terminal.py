"""What commands look like on a terminal, and where there is none."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from metarec.app.commands.options import colored, fitted, show, shown_anyway, table


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


JOINED = "\U0001f469\u200d\U0001f527"
"""A woman and a wrench, joined by an invisible letter."""


def test_what_an_id_holds_neither_breaks_a_table_nor_drives_the_terminal(capsys):
    """A title with a line end forged a row of a slate, and its escapes colored the screen."""
    cells = [
        "new\nline",
        "\x1b[31mred",
        "x\u202ey",
        "a\u2028b",
        "tab\there",
        "\U0001f469\u200d\U0001f527",
    ]
    show({}, table(["", "title"], [[str(n), cell] for n, cell in enumerate(cells)]), as_json=False)
    assert capsys.readouterr().out.split("\n") == [
        "   title",
        "0  new\\nline",
        "1  \\x1b[31mred",
        "2  x\\u202ey",
        "3  a\\u2028b",
        "4  tab\\there",
        f"5  {JOINED}",
        "",
    ]
    show({}, "1 because you liked \x1b]0;title\x07", as_json=False)
    assert capsys.readouterr().out == "1 because you liked \\x1b]0;title\\x07\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_result_is_shown_although_its_page_cannot_be_written(capsys):
    """A full disk lost the result of an evaluation of hours."""
    with pytest.raises(OSError, match="No space left"), shown_anyway({}, "ndcg", as_json=False):
        Path("/dev/full").write_text("page")
    assert capsys.readouterr().out == "ndcg\n"
