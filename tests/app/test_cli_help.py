"""Help is part of the face: what it says is kept in tests/golden, renewed by `make golden` and read
in review.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from metarec.app.cli import app
from metarec.app.help_language import translate_help, translated_help
from metarec.runtime.language import broken, display_width

GOLDEN = Path(__file__).parent.parent / "golden" / "cli_help.txt"


def paths(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, as the words that call it."""
    yield words
    for name, inner in getattr(command, "commands", {}).items():
        yield from paths(inner, (*words, name))


def everything() -> str:
    runner = CliRunner(env={"COLUMNS": "100", "NO_COLOR": "1", "TERMINAL_WIDTH": "100"})
    pages = []
    for words in paths(typer.main.get_command(app)):
        shown = runner.invoke(app, [*words, "--help"], prog_name="metarec", terminal_width=100)
        assert shown.exit_code == 0, shown.output
        pages.append(f"$ metarec {' '.join([*words, '--help'])}\n{shown.output}")
    return "\n".join(pages)


def test_help_is_as_reviewed() -> None:
    now = everything()
    if os.environ.get("METAREC_RENEW_GOLDEN"):
        GOLDEN.write_text(now, encoding="utf-8")
    assert now == GOLDEN.read_text(encoding="utf-8"), (
        "help has changed: run `make golden` and read the difference"
    )


def test_every_command_takes_json() -> None:
    root = typer.main.get_command(app)
    for words in paths(root):
        command: Any = root
        for word in words:
            command = command.commands[word]
        if not hasattr(command, "commands"):
            assert any("--json" in parameter.opts for parameter in command.params), " ".join(words)


def test_every_option_is_explained() -> None:
    root = typer.main.get_command(app)
    for words in paths(root):
        command: Any = root
        for word in words:
            command = command.commands[word]
        for parameter in command.params:
            assert getattr(parameter, "help", None), (
                f"metarec {' '.join(words)}: {parameter.name} says nothing of itself"
            )


def test_help_is_chinese_where_that_is_asked_for() -> None:
    """Every text of every command; lines fit a terminal, but for words that cannot be broken."""
    root = typer.main.get_command(app)
    missing = {
        text
        for words in paths(root)
        for text in texts_of(command_at(root, words))
        if translated_help(text, "zh") == " ".join(text.split())
    }
    assert not missing, "add them to translations/zh/help.toml"
    translate_help(root, "zh")
    for words in paths(root):
        page = command_at(root, words).get_help(
            typer.Context(command_at(root, words), info_name="metarec", terminal_width=80)
        )
        assert "用法：" in page
        assert not re.search(r"Options:|Arguments:|Usage:|\[default|\[required|Show this", page)
        for line in page.split("\n"):
            cut = max(map(len, line.split()), default=0)
            assert display_width(line) <= 82 or cut > 40, line


def texts_of(command: Any) -> set[str]:
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    own = {*paragraphs, command.short_help, command.epilog}
    return {text for text in {*own, *(getattr(p, "help", None) for p in command.params)} if text}


def command_at(root: Any, words: tuple[str, ...]) -> Any:
    for word in words:
        root = root.commands[word]
    return root


def test_chinese_lines_break_by_places_and_keep_words_whole() -> None:
    lines = broken("用户喜欢过的物品，按 --near 排", 12)
    assert lines == ["用户喜欢过的", "物品，按", "--near 排"]
    assert broken("一二三。四", 6) == ["一二三。", "四"]
