"""The names of `import metarec` as a user meets them: typed for editors and mypy, and README's
Python block as written there, checked and run.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import metarec
from world import tiny_world

ROOT = Path(__file__).parent.parent
README_BLOCK = re.findall(
    r"^```python\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
)[0]


def mypy(code: str, folder: Path) -> str:
    """What mypy --strict says of `code`, which sees metarec as an installed package. It reads what
    `make lint` has kept of metarec, in a tenth of the time.
    """
    (folder / "user_code.py").write_text(code, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", str(folder / "user_code.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_type_checkers_see_the_types_of_readmes_code(tmp_path: Path) -> None:
    asked = ["data", "model", "slate", "slate.item_ids", "model.explain(user, item_id='1')"]
    code = README_BLOCK + "".join(f"reveal_type({one})\n" for one in asked)
    code += "try:\n    model.recommend([user], k=0)\nexcept metarec.BadInput as wrong:\n"
    code += "    reveal_type(wrong)\nmodel.recomend([user])\n"
    said = mypy(code, tmp_path)
    assert re.findall(r'Revealed type is "([^"]+)"', said) == [
        "metarec.data.dataset.Dataset",
        "metarec.recommender.Recommender",
        "metarec.recommendation.slate.Slate",
        "list[str]",
        "metarec.recommendation.explained.Explanation",
        "metarec.data.errors.BadInput",
    ]
    assert re.findall(r"error: (.*)", said) == [
        '"Recommender" has no attribute "recomend"; maybe "recommend"?  [attr-defined]'
    ]


def test_readmes_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a folder with the items and attributes README names, in the reader's working folder."""
    world = tiny_world(ratings=True)
    folder = tmp_path / "folder-or-config.toml"
    folder.mkdir()
    ids = dict(zip([*world.items_of_taste["space"]], ["50", "181", "1", "2"], strict=False))
    tables = {
        "interactions": world.data.interactions.frame,
        "items": world.data.items.frame,
        "users": world.data.users.frame,
    }
    for name, table in tables.items():
        if "item_id" in table.columns:
            table = table.with_columns(table["item_id"].replace(ids))
        table.write_parquet(folder / f"{name}.parquet")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(README_BLOCK, "README.md", "exec"), names)
    slate, model = names["slate"], names["model"]
    assert isinstance(slate, metarec.Slate)
    assert isinstance(model, metarec.Recommender)
    assert len(slate.item_ids) == len(slate.uncertainty) == 10
    assert {"50", "181"}.isdisjoint(slate.item_ids)


def test_each_public_name_is_loaded_from_its_home() -> None:
    for name in metarec.__all__:
        assert getattr(metarec, name) is not None
    assert metarec.Explanation.__module__ == "metarec.recommendation.explained"
