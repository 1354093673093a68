"""How tests are written: they import no other tests, and do not replace functions of metarec.

Limits in capitals (rows at once, seconds to wait) may be lowered, so that a test reaches them.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
FILES = sorted(TESTS.rglob("*.py"))


def imported_tests(tree: ast.Module) -> list[str]:
    """Modules of tests that a file imports."""
    names = [
        name
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    ]
    return [name for name in names if name.split(".")[-1].startswith("test_")]


def replaced(tree: ast.Module) -> list[str]:
    """Functions and classes of metarec that a file replaces by `setattr`."""
    ours = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("metarec")
        for alias in node.names
    }
    ours |= {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.startswith("metarec")
    }
    found = []
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        if node.func.attr not in ("setattr", "patch", "object") or not node.args:
            continue
        first = node.args[0]
        texts = [arg.value for arg in node.args[:2] if isinstance(arg, ast.Constant)]
        root = first
        while isinstance(root, ast.Attribute):
            root = root.value
        is_ours = isinstance(root, ast.Name) and root.id in ours
        is_named = isinstance(first, ast.Constant) and str(first.value).startswith("metarec.")
        name = str(texts[0]).split(".")[-1] if texts else ""
        if (is_ours or is_named) and not name.isupper():
            found.append(f"line {node.lineno}: {name}")
    return found


def test_the_search_finds_what_it_is_for():
    tree = ast.parse(
        "from metarec.runtime import jobs\nimport test_jobs\nfrom models.test_ease import x\n"
        "m.setattr(jobs, 'run_jobs', 1)\nm.setattr('metarec.a.b', 1)\nm.setattr(jobs, 'MAX', 1)\n"
        "m.setattr(jobs.Job, 'run', 1)\nm.setattr(time, 'time', 1)\n"
    )
    assert imported_tests(tree) == ["test_jobs", "models.test_ease"]
    assert replaced(tree) == ["line 4: run_jobs", "line 5: b", "line 7: run"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_tests_import_no_tests_and_replace_none_of_our_functions(path: Path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not imported_tests(tree)
    assert not replaced(tree)
