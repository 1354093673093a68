"""The map of the code is true: each path is there and holds the names that stand after it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
START, END = PAGE.index("## Where is X?"), PAGE.index("### What is written by hand")
ROWS = PAGE[START:END].split("\n")[6:]
CODE = re.compile(r"`([^`]+)`")
LONGEST_FUNCTION, LONGEST_MODULE = 40, 400
"""Lines; of a function without its docstring."""


def homes() -> list[tuple[str, str, list[str]]]:
    """(question, path, names said to be there) of every path in the second and third column."""
    found = []
    for row in filter(str.strip, ROWS):
        question, home, callers = (cell.strip() for cell in row.strip("|").split(" | "))
        for cell in (home, callers):
            path = ""
            for said in CODE.findall(cell):
                if re.search(r"\.(py|pyi|js)$", said):
                    path = said
                    found.append((question, path, []))
                elif path and said.isidentifier() and cell is home:
                    found[-1][2].append(said)
    return found


def place_of(path: str) -> Path:
    """Where a path of the page lies: from the root, in the package, or beside the one before."""
    places = [ROOT / path, ROOT / "src" / "metarec" / path, *(ROOT / "src").rglob(f"**/{path}")]
    return next((place for place in places if place.is_file()), ROOT / path)


@pytest.mark.parametrize(("question", "path", "names"), homes())
def test_each_home_is_there_and_holds_what_is_said(
    question: str, path: str, names: list[str]
) -> None:
    assert place_of(path).is_file(), f"{question}: there is no {path}"
    text = place_of(path).read_text("utf-8")
    for name in names:
        defined = re.search(rf"^(class|def) {name}\b|^{name}\b[^\n]*=", text, re.MULTILINE)
        assert defined, f"{question}: {path} defines no {name}"


def test_every_question_is_asked_once() -> None:
    questions = [row.split(" | ")[0] for row in filter(str.strip, ROWS)]
    assert len(questions) == len(set(questions)) > 30


def test_the_recommender_is_only_wiring() -> None:
    source = (ROOT / "src" / "metarec" / "recommender.py").read_text("utf-8")
    assert source.count("\n") < 200


def test_no_line_of_code_is_longer_than_100_columns() -> None:
    """The formatter lets lines with a remark to a checker be longer; they need not be."""
    long = [
        f"{path.relative_to(ROOT)}:{number}"
        for folder in ("src", "tests", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*.py")
        for number, line in enumerate(path.read_text("utf-8").split("\n"), 1)
        if len(line) > 100
    ]
    assert long == []


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its decorators and docstring."""
    first = function.body[0]
    has_docstring = ast.get_docstring(function) is not None
    docstring = first.end_lineno - first.lineno + 1 if has_docstring else 0
    return function.end_lineno - function.lineno + 1 - docstring


def long_ones(path: str, text: str) -> Iterator[str]:
    """The module, if it is too long, and its functions that are."""
    if text.count("\n") > LONGEST_MODULE:
        yield path
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            if lines_of(node) > LONGEST_FUNCTION:
                yield f"{path} {node.name}"


def test_the_search_for_long_ones_finds_them() -> None:
    body = "    x = 1\n" * 40
    assert list(long_ones("a.py", f"def f():\n{body}")) == ["a.py f"]
    assert list(long_ones("a.py", f'def f():\n    """One\n    or two."""\n{body[:-10]}')) == []
    assert list(long_ones("a.py", "x = 1\n" * 401)) == ["a.py"]


def test_functions_and_modules_are_short() -> None:
    """Name the steps of a long function, or move an idea of a long module to its own file."""
    source = ROOT / "src" / "metarec"
    found = {
        one
        for path in sorted(source.rglob("*.py"))
        for one in long_ones(str(path.relative_to(source)), path.read_text("utf-8"))
    }
    assert sorted(found) == []


def test_every_room_says_what_it_does() -> None:
    rooms = [file.parent for file in (ROOT / "src" / "metarec").rglob("__init__.py")]
    read = (ast.parse((room / "__init__.py").read_text("utf-8")) for room in rooms)
    said = dict(zip(rooms, map(ast.get_docstring, read), strict=True))
    assert len(said) > 40
    assert not [str(room.relative_to(ROOT)) for room, text in said.items() if not text]
