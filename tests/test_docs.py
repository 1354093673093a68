"""Documentation is tested: links lead somewhere, commands are ones the program has, the two READMEs
say the same.
"""

from __future__ import annotations

import ast
import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

from metarec.app.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "README.zh-CN.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
BLOCK = re.compile(r"^```\w*\n(.*?)^```|((?:^ {4}.*\n)+)", re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[str]:
    """Lines of code blocks that a reader would type into a shell, without their comments."""
    blocks = [
        fenced or indented for fenced, indented in BLOCK.findall(page.read_text(encoding="utf-8"))
    ]
    lines = [line.strip() for block in blocks for line in block.splitlines()]
    return [
        re.sub(r"\s+#.*$", "", line)
        for line in lines
        if re.match(r"(metarec|make|pip|python3?|\.venv/bin/\w+) ", line)
    ]


def python_blocks(page: Path) -> list[str]:
    return re.findall(
        r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_every_page_is_reachable_from_the_index() -> None:
    seen, waiting = set(), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in seen or not page.exists() or page.suffix != ".md":
            continue
        seen.add(page)
        waiting += [
            (page.parent / target).resolve()
            for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8"))
        ]
    assert {page.resolve() for page in PAGES} - {page.resolve() for page in seen} == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_metarec_commands_are_ones_the_program_has(page: Path) -> None:
    root = typer.main.get_command(app)
    for line in commands(page):
        words = shlex.split(line)
        if words[0] != "metarec":
            continue
        command, rest = root, words[1:]
        while hasattr(command, "commands"):
            assert rest, f"{page.name}: {line!r} names no command"
            assert rest[0] in command.commands, (
                f"{page.name}: {line!r}: there is no command {rest[0]!r}"
            )
            command, rest = command.commands[rest[0]], rest[1:]
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for word in rest:
            option = word.split("=")[0]
            assert not option.startswith("-") or option in known, (
                f"{page.name}: {line!r}: {command.name} has no option {option}"
            )


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_make_targets_and_extras_named_are_there(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for line in commands(page):
        if line.startswith("make "):
            assert line.split()[1] in targets, f"{page.name}: {line!r}"
        for named in re.findall(r"metarec\[([\w,-]+)\]", line):
            assert set(named.split(",")) <= set(extras), f"{page.name}: {line!r}"


def test_the_readme_lists_every_extra() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    rows = re.findall(
        r"^\| (`.*?`) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} >= set(extras)


def test_the_chinese_readme_has_the_same_commands_and_code() -> None:
    english, chinese = PAGES[:2]
    assert commands(english) == commands(chinese)
    assert len(commands(english)) >= 10
    ours, theirs = (
        [ast.dump(ast.parse(block)) for block in python_blocks(page)] for page in (english, chinese)
    )
    assert ours == theirs != []


def test_a_chinese_page_leads_to_no_english_page_that_is_there_in_chinese() -> None:
    pages = sorted((ROOT / "docs").rglob("*.zh-CN.md"))
    named = {
        f"{page.relative_to(ROOT)}: {link}"
        for page in pages
        for label, link in re.findall(r"\[([^\]]+)\]\(([\w./-]+)\.md", page.read_text("utf-8"))
        if not link.endswith(".zh-CN") and label != "English" and "英文" not in label
        if (page.parent / f"{link}.zh-CN.md").resolve() in pages
    }
    assert named == set()


@pytest.mark.parametrize(
    "name",
    ["your-data", "ab-testing", "settings", "policies", "deploying", "extending"]
    + ["auditing-and-mitigating-bias"],
)
def test_a_chinese_guide_says_what_the_english_one_says(name: str) -> None:
    english, chinese = (ROOT / "docs" / "guide" / f"{name}{end}" for end in (".md", ".zh-CN.md"))
    assert commands(english) == commands(chinese)
    # The packs' columns are data, printed in either language by `metarec domains`
    texts = [
        re.sub(r"<!-- packs.*<!-- /packs -->", "", page.read_text("utf-8"), flags=re.DOTALL)
        for page in (english, chinese)
    ]
    for block in ("python", "nginx"):
        ours, theirs = (re.findall(rf"^```{block}\n.*?^```", t, re.M | re.DOTALL) for t in texts)
        assert ours == theirs
    for part in (r"^```toml\n(.*?)^```", r"^##", r"^\|", r"^\| (`[^`]+`) \|"):
        found = [re.findall(part, text, re.MULTILINE | re.DOTALL) for text in texts]
        ours, theirs = (
            [tomllib.loads(one) for one in each] if "toml" in part else each for each in found
        )
        assert ours == theirs, part


def test_names_the_readme_uses_are_public() -> None:
    import metarec

    for name in re.findall(
        r"metarec\.(\w+)\(|metarec\.(\w+)\.", "\n".join(python_blocks(PAGES[0]))
    ):
        assert (name[0] or name[1]) in metarec.__all__


def test_every_setting_and_endpoint_of_the_service_is_documented() -> None:
    from dataclasses import fields

    from metarec.app.service.settings import ServiceSettings

    page = (ROOT / "docs" / "guide" / "serving.md").read_text(encoding="utf-8")
    missing = [field.name for field in fields(ServiceSettings) if f"`{field.name}`" not in page]
    sources = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (ROOT / "src" / "metarec" / "app" / "service" / "routes").glob("*.py")
    )
    found = re.findall(r'@route\(\s*"(GET|POST|PUT|PATCH|DELETE)",\s*"([^"]+)"', sources)
    routes = [
        (verb, re.sub(r":\w+}", "}", path)) for verb, path in found
    ]  # without what kind of text an address takes there
    missing += [f"{verb} {path}" for verb, path in routes if f"{verb} {path}" not in page]
    assert len(routes) > 10
    assert missing == []


SOURCES = [*(ROOT / "src").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
PACKAGES = {path.name for path in (ROOT / "src" / "metarec").iterdir() if path.is_dir()}


@pytest.mark.parametrize("page", [*PAGES, *SOURCES], ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_modules_named_are_there(page: Path) -> None:
    """`models/ease/model.py`, `recommendation/`, `metarec.models.ease.model.Ease` and `models.ease`
    lead to a file; so does `benchmarks/serve.py`.
    """
    text = page.read_text(encoding="utf-8")
    named = re.findall(
        r"(?:`|python )((?:src/metarec/|benchmarks/)?[a-z_]+/[a-z_/]*(?:\.py)?)", text
    )
    places = [ROOT / one for one in named if one.startswith(("src/metarec/", "benchmarks/"))]
    places += [ROOT / "src/metarec" / one for one in named if one.split("/")[0] in PACKAGES]
    for dotted in re.findall(r"`(?:metarec\.)?([a-z_]+(?:\.[A-Za-z_]+)+)", text):
        if dotted.split(".")[0] in PACKAGES and not dotted.endswith(".json"):
            places.append(ROOT / "src/metarec" / "/".join(dotted.split(".")[:2]))
    missing = [
        str(place.relative_to(ROOT))
        for place in places
        if not (place.exists() or place.with_suffix(".py").exists())
    ]
    assert missing == [], f"{page.name} names {missing}"


@pytest.mark.parametrize("name", ["full_only.txt", "long_only.txt"])
def test_every_test_left_out_is_there(name: str) -> None:
    listed = (ROOT / "tests" / name).read_text(encoding="utf-8").splitlines()
    for line in listed:
        if not line.startswith("#"):
            place, _, test = line.partition("::")
            path = ROOT / place
            said = path.read_text(encoding="utf-8") if path.is_file() else ""
            assert path.exists() and (not test or f"def {test}(" in said), line


def test_test_files_import_no_test_files() -> None:
    for path in (ROOT / "tests").rglob("*.py"):
        found = re.findall(
            r"^(?:from|import) (?:\w+\.)*test_\w+.*", path.read_text(encoding="utf-8"), re.MULTILINE
        )
        assert found == [], f"{path.name}: {found}"
