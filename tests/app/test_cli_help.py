"""Help is part of the face: what it says is kept in tests/golden, renewed by `make golden` and read
in review.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from metarec.app.cli import app

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
