"""Benchmarks take the options that they read and that their docstrings name.

Most of them need data or minutes and run in no test, so a renamed option would break them unseen.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted((ROOT / "benchmarks").rglob("*.py"))
OF_ATTACKS = "json"
"""Option of the parser that `benchmarks/attack/bounds.py` makes for other files."""


def options_of(tree: ast.Module) -> set[str]:
    """Names of the options that a file declares."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id == "arguments":
            found.add(OF_ATTACKS)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            flags = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            long = [flag for flag in flags if str(flag).startswith("--")] or flags
            found.add(str(long[0]).lstrip("-").replace("-", "_"))
    return found


def read_options(tree: ast.Module) -> set[str]:
    """Attributes that a file reads of parsed options, under whatever name these have."""
    names = {"options", "args", "given"}
    parsers = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and "ArgumentParser(" in ast.unparse(node.value)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in names - parsers
    }


def wrong_options(text: str) -> list[str]:
    """Options that a file reads, or names in commands of its docstring, and does not declare."""
    tree = ast.parse(text)
    declared = options_of(tree)
    if not declared:
        return []
    commands = re.findall(
        r"^ *python benchmarks/.*(?:\n +\S.*)*", ast.get_docstring(tree) or "", re.M
    )
    named = {flag for command in commands for flag in re.findall(r"--([a-z][a-z-]*)", command)}
    return sorted((read_options(tree) | {flag.replace("-", "_") for flag in named}) - declared)


def test_the_search_finds_options_that_are_not_declared() -> None:
    text = '"""Ti.\n\n    python benchmarks/parts.py DATA --new users\n"""\np = ArgumentParser()\n'
    text += 'p.add_argument("data")\np.add_argument("--new-users")\noptions = p.parse_args()\n'
    assert wrong_options(text + "options.data, options.new_users, options.judges") == [
        "judges",
        "new",
    ]
    assert wrong_options(text.replace("--new users", "--new-users 3") + "options.new_users") == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_options_of_benchmarks_are_declared(path: Path) -> None:
    assert wrong_options(path.read_text("utf-8")) == []
