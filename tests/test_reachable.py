"""Public code is reached: from a command, a route of the service, the names of `import metarec`, or
a name that documentation gives as code.

Names are followed, not types: a function counts as used where reached code says its name, a method
where reached code says `.name`. So some dead code may go unseen, but nothing alive is called dead.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "metarec"

CALLED_BY_LIBRARIES = {
    *("forward", "setup_context", "backward", "vmap", "extra_repr"),  # torch
    *("emit", "format", "filter"),  # logging
    *(
        "init_processes",
        "keep_subprocess_alive",
        "join_all",
        "send_400_response",
        "to_string",
    ),  # uvicorn, starlette
}

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def names_in(nodes: list[ast.AST]) -> set[str]:
    """Every name and attribute that code says; in `__init__` an import alone uses nothing."""
    found: set[str] = set()
    for node in (inner for one in nodes for inner in ast.walk(one)):
        if isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found |= set(re.findall(r"\w+", node.value)) if ":" in node.value[:80] else set()
            found |= {node.value} if node.value.isidentifier() else set()
    return found


def without_docstrings(tree: ast.Module) -> ast.Module:
    """A docstring mentions code but does not use it."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [
                line
                for line in body
                if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
            ] or [ast.Pass()]
    return tree


def named(node: ast.stmt) -> list[str]:
    """What a statement of a module defines: a function, a class, or constants."""
    if isinstance(node, Definition):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


class Code:
    """What each definition of the package says, and what every module says besides."""

    def __init__(self) -> None:
        self.says: dict[tuple[str, str], set[str]] = {}
        self.public: dict[tuple[str, str], list[str]] = {}
        self.loose: dict[str, set[str]] = {}
        self.aliases: dict[str, dict[str, str]] = {}
        self.roots: set[tuple[str, str]] = set()
        for path in sorted(SOURCE.rglob("*.py")):
            self._read(str(path.relative_to(SOURCE)), path)

    def _read(self, module: str, path: Path) -> None:
        tree = without_docstrings(ast.parse(path.read_text(encoding="utf-8")))
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
        self.aliases[module] = {
            alias.asname: alias.name.rsplit(".")[-1]
            for node in imports
            for alias in node.names
            if alias.asname
        }
        self.loose[module] = names_in(
            [node for node in tree.body if not named(node) and node not in imports]
        )
        for node in tree.body:
            for name in named(node):
                self.says[module, name] = names_in([node])
            if isinstance(node, ast.ClassDef):
                self.public[module, node.name] = list(_methods(node))
            elif isinstance(node, Definition):
                self.public[module, node.name] = []
                if node.decorator_list:  # a command, a route
                    self.roots.add((module, node.name))


def _methods(node: ast.ClassDef) -> Iterator[str]:
    """Public methods and properties, without those that a framework calls (pydantic validators)."""
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            hooked = any(isinstance(one, ast.Call) for one in inner.decorator_list)
            if not hooked and not inner.name.startswith("_"):
                yield inner.name


def documented() -> set[str]:
    """Names that documentation gives as code, and the public names."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    text = "\n".join(page.read_text("utf-8") for page in pages if "experiments" not in page.parts)
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    dotted = re.findall(r"`[^`\n]*?\b(metarec(?:\.\w+)+|\.\w+)[^`\n]*`", text)
    listed = re.findall(r"import (\w+) as", (SOURCE / "__init__.pyi").read_text("utf-8"))
    return {"main", *listed, *re.findall(r"\w+", "\n".join(blocks + dotted))}


def reached(code: Code) -> tuple[set[tuple[str, str]], set[str]]:
    """Definitions that are used, and every name that used code says."""
    by_name: dict[str, list[tuple[str, str]]] = {}
    for module, name in code.says:
        by_name.setdefault(name, []).append((module, name))
    said, live, modules = documented(), set(code.roots), set()
    waiting = [*live, *(one for name in said for one in by_name.get(name, ()))]
    while waiting:
        one = waiting.pop()
        live.add(one)
        new = set(code.says[one])
        if one[0] not in modules:
            modules.add(one[0])
            new |= code.loose[one[0]]
        new |= {code.aliases[one[0]][name] for name in new if name in code.aliases[one[0]]}
        for name in new - said:
            waiting += [found for found in by_name.get(name, ()) if found not in live]
        said |= new
    return live, said


def dead(code: Code) -> Iterator[str]:
    """`module name` of public functions, classes and methods that nothing reaches."""
    live, said = reached(code)
    for (module, name), methods in code.public.items():
        if (module, name) in live:
            unused = [one for one in methods if one not in said | CALLED_BY_LIBRARIES]
            yield from (f"{module} {name}.{method}" for method in unused)
        elif not name.startswith("_"):
            yield f"{module} {name}"


def test_all_public_code_is_reached() -> None:
    assert sorted(dead(Code())) == []
