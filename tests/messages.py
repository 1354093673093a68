"""The sentences that source code says, as templates with `{}` where something is filled in."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

ERRORS = {
    "BadEnvironment",
    "BadInput",
    "BrokenArtifact",
    "CannotServe",
    "EventConflict",
    "ExperimentConflict",
    "Fault",
    "FileExistsError",
    "FileNotFoundError",
    "HTTPException",
    "MissingExtra",
    "NoEligibleUsers",
    "NobodyToRead",
    "NothingToDo",
    "StoreUnavailable",
    "UnknownDevice",
    "UnknownLanguage",
}
"""Raised with a sentence for the caller."""
SENTENCE = re.compile(r"[a-z]+ [a-z{]|\{\} [a-z]+")
"""Two words, or a word behind a hole."""


def raised(source: str) -> set[str]:
    """What is said with an error."""
    calls = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return {
        text
        for call in calls
        if getattr(call.func, "id", getattr(call.func, "attr", "")) in ERRORS
        for argument in call.args[:2]
        for text in templates(argument)
        if re.search("[a-z]{2}", text.replace("{}", ""))
    }


def said(source: str) -> set[str]:
    """Every sentence that is neither documentation nor an error."""
    return {text for text in _said(ast.parse(source)) if SENTENCE.search(text)}


def headings(source: str) -> set[str]:
    """Headings of pages: in HTML, and those that become one, `sections[...]` and `heading`."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant | ast.JoinedStr):
            for text in templates(node):
                found |= set(re.findall(r"<h[1-4][^<>]*>([^<>]+)</h", text))
        if isinstance(node, ast.Assign) and _name(node.targets[0]) == "heading":
            found |= set(templates(node.value))
        if isinstance(node, ast.Subscript) and _name(node.value) == "sections":
            found |= set(templates(node.slice))
    return {text for text in found if re.search("[a-z]{2}", text)}


def _name(node: ast.expr) -> str:
    return str(getattr(node, "id", getattr(node, "attr", "")))


def _said(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Raise | ast.Subscript):
        return
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return
    found = templates(node) if isinstance(node, ast.expr) else []
    yield from found
    if found and not isinstance(node, ast.JoinedStr):
        return
    for child in ast.iter_child_nodes(node):
        if not found:
            yield from _said(child)
        elif isinstance(child, ast.FormattedValue) and not _choices(child.value):
            yield from _said(child.value)


def templates(node: ast.expr) -> list[str]:
    """All that a string expression may say, line by line, as it is translated."""
    lines = dict.fromkeys(line for text in _choices(node) for line in text.split("\n"))
    said_ = (re.sub(r"(\{\})+", "{}", " ".join(line.split())) for line in lines)
    return [text for text in said_ if text not in ("", "{}")]


def _choices(node: ast.expr) -> list[str]:
    if isinstance(node, ast.Constant):
        return [node.value] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        parts = [_part(part) for part in node.values]
        return ["".join(chosen) for chosen in itertools.product(*parts)]
    if isinstance(node, ast.IfExp):
        both = [_choices(node.body), _choices(node.orelse)]
        return [text for one in both for text in one or ["{}"]] if any(both) else []
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        left, right = _choices(node.left), _choices(node.right)
        pairs = itertools.product(left or ["{}"], right or ["{}"])
        return ["".join(pair) for pair in pairs] if left or right else []
    return []


def _part(part: ast.expr) -> list[str]:
    if isinstance(part, ast.Constant):
        return [str(part.value)]
    assert isinstance(part, ast.FormattedValue)
    nested = isinstance(part.value, ast.IfExp | ast.JoinedStr)
    return (_choices(part.value) if nested else []) or ["{}"]


def sources(root: Path) -> Iterator[tuple[str, str]]:
    """Name and text of every module below a folder."""
    for path in sorted(root.rglob("*.py")):
        yield path.relative_to(root).as_posix().removesuffix(".py"), path.read_text()
