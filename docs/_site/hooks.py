"""What the site makes at build time: pages that lie outside docs/, the command line's and HTTP's
references, formulas as MathML (no script, no request to anywhere), and glossary links.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Files of the repository that are pages of the site too."""
LINK = re.compile(r"(?<!!)\[([^\]\n]+)\]\(([^)\s]+)\)")
BLOCK_MATH = re.compile(r"^\$\$\n(.+?)\n\$\$$", re.MULTILINE | re.DOTALL)
INLINE_MATH = re.compile(r"(?<![\\$`\w])\$(?!\s)([^$`\n]+?)(?<!\s)\$(?![\w$])")
CODE = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Every experiment has its place in the navigation."""
    folder = Path(config.docs_dir) / "experiments"
    pages = sorted((page.parent.name for page in folder.glob("*/README.md")), reverse=True)
    measured = ["experiments/README.md", *(f"experiments/{name}/README.md" for name in pages)]
    config.nav[-1] = {"Measured": measured}
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made here."""
    made = {
        **{page: _outside(name) for name, page in OUTSIDE.items()},
        "reference/cli.md": command_line(),
        "reference/http.md": http_interface(),
        "_site.css": ".md-typeset table:not([class]) {font-variant-numeric: tabular-nums}\n",
    }
    for path, content in made.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Formulas become MathML; links to files outside docs/ lead to their pages."""
    del config, files
    here = Path("docs") / page.file.src_uri
    markdown = LINK.sub(lambda found: _inside(found, here), markdown)
    if not page.file.src_uri.startswith(("concepts/", "project")):
        return markdown
    parts = CODE.split(markdown)
    return "".join(part if place % 2 else _with_math(part) for place, part in enumerate(parts))


def _inside(found: re.Match[str], here: Path) -> str:
    """A link as the site has it; of what lies outside docs/ only the name, for it has no page."""
    text, target = found[1], found[2]
    if re.match(r"\w+:|#", target):
        return found[0]
    place = os.path.normpath(here.parent / target.split("#")[0])
    if place.startswith("docs/"):
        return found[0]
    up = "../" * (len(here.parts) - 2)
    if place == "README.md" or place in OUTSIDE:
        return f"[{text}]({up}{OUTSIDE.get(place, 'index.md')})"
    return text


def _with_math(text: str) -> str:
    text = BLOCK_MATH.sub(lambda found: f"\n{convert(found[1], display='block')}\n", text)
    return INLINE_MATH.sub(lambda found: convert(found[1]), text)


def _outside(name: str) -> str:
    text = (ROOT / name).read_text("utf-8")
    return text.replace("](docs/", "](")


def command_line() -> str:
    """Every command's help, as `--help` prints it."""
    text = (ROOT / "tests" / "golden" / "cli_help.txt").read_text("utf-8")
    blocks = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    pages = [
        f"## {command.removesuffix(' --help')}\n\n```text\n{shown.strip()}\n```\n"
        for command, shown in (block.split("\n", 1) for block in blocks)
    ]
    return "# Command line\n\nEvery command takes `--json`, and exits 0 when done, 1 when it " + (
        "failed, 2 for bad input with one clear line.\n\n" + "\n".join(pages)
    )


def http_interface() -> str:
    """Every route of the service: what it takes and what it answers."""
    api = json.loads((ROOT / "docs" / "reference" / "openapi.json").read_text("utf-8"))
    lines = [
        "# HTTP",
        "",
        "[How to run, protect and update the service](../guide/serving.md). A running service",
        "shows this page with examples from its own catalog at `/docs`, and tells machines at",
        "`/openapi.json`.",
        "",
    ]
    for path, methods in api["paths"].items():
        for method, route in methods.items():
            lines += _route(path, method, route, api)
    lines += ["## Bodies", ""]
    for name, schema in api["components"]["schemas"].items():
        if schema.get("properties"):
            lines += [f"### {name}", "", schema.get("description", ""), "", *_fields(schema)]
    return "\n".join(lines)


def _route(path: str, method: str, route: dict[str, Any], api: dict[str, Any]) -> list[str]:
    lines = [f"## `{method.upper()} {path}`", "", route.get("summary", ""), ""]
    if route.get("description"):
        lines += [route["description"], ""]
    told = [
        (p["name"], _type(p["schema"]), p.get("description") or p["schema"].get("description", ""))
        for p in route.get("parameters", [])
    ]
    if told:
        lines += _table(("parameter", "type", "meaning"), told)
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {})
    if body.get("schema"):
        lines += [f"Body: {_type(body['schema'])}", ""]
    answers = [
        (code, _type(_schema(answer)), answer.get("description", ""))
        for code, answer in route["responses"].items()
    ]
    del api
    return lines + _table(("status", "answer", "when"), answers)


def _schema(answer: dict[str, Any]) -> dict[str, Any]:
    content = answer.get("content", {})
    return next(iter(content.values()), {}).get("schema", {})


def _fields(schema: dict[str, Any]) -> list[str]:
    needed = set(schema.get("required", ()))
    rows = [
        (
            f"`{name}`" + (" (required)" if name in needed else ""),
            _type(field),
            field.get("description", ""),
        )
        for name, field in schema["properties"].items()
    ]
    return _table(("field", "type", "meaning"), rows)


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if "enum" in schema:
        return ", ".join(f"`{one}`" for one in schema["enum"])
    return str(schema.get("type", "any"))


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    cells = [
        "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in row) + " |"
        for row in rows
    ]
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *cells, ""]
