"""The documentation site's own parts: tutorials run, papers that the code names are listed."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
EPRINT = re.compile(r"eprint=\{([\d.]+)\}")
TITLE = re.compile(r"title=\{((?:[^{}]|\{[^{}]*\})*)\}")


def code(notebook: Path) -> str:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")


@pytest.mark.parametrize("notebook", TUTORIALS, ids=lambda path: path.stem)
def test_every_cell_of_a_tutorial_runs(notebook: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", code(notebook)],
        cwd=notebook.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("notebook", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_shows_what_its_cells_print(notebook: Path) -> None:
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    assert any(cell.get("outputs") for cell in cells)
    kinds = {one["output_type"] for cell in cells for one in cell.get("outputs", ())}
    assert "error" not in kinds


def test_every_entry_of_the_bibliography_is_on_its_page() -> None:
    entries = (ROOT / "docs" / "references.bib").read_text("utf-8")
    page = (ROOT / "docs" / "bibliography.md").read_text("utf-8")
    assert [title for title in TITLE.findall(entries) if title not in page] == []
    assert [number for number in EPRINT.findall(entries) if f"arXiv:{number}" not in page] == []


def test_every_public_name_is_in_the_reference() -> None:
    listed = (ROOT / "src" / "metarec" / "__init__.pyi").read_text("utf-8")
    names = re.findall(r"^from ([\w.]+) import (\w+) as", listed, re.MULTILINE)
    page = (ROOT / "docs" / "reference" / "python.md").read_text("utf-8").splitlines()
    homes = {f"::: {home}.{name}" for home, name in names}
    # A package that takes its name from a module below tells it from there.
    told = {line.rsplit(".", 1)[-1] for line in page if line.startswith("::: ")}
    assert {home for home in homes if home.rsplit(".", 1)[-1] not in told} == set()


def test_docs_name_no_machine_and_no_registry() -> None:
    pages = [*ROOT.glob("docs/**/*.md"), *TUTORIALS]
    told = {page.name: page.read_text("utf-8") for page in pages}
    assert [name for name, text in told.items() if re.search(r"/(tmp|root|work)/", text)] == []


def test_the_tables_of_readme_and_leaderboard_are_what_the_study_found():
    place = ROOT / "docs" / "_site" / "leaderboard.py"
    spec = importlib.util.spec_from_file_location("leaderboard", place)
    leaderboard = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(leaderboard)
    made = leaderboard.made()
    assert len(made) == 3
    assert [path.name for path, text in made.items() if path.read_text("utf-8") != text] == []
    study = tomllib.loads((leaderboard.PLACE / "study.toml").read_text("utf-8"))
    assert study["data"] == list(leaderboard.NAMES)
    assert f"metarec {study['presets'][0]}" == leaderboard.FIRST
