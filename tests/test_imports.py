"""What loads what: the quick start of the command line, and the one direction of imports."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = (
    "torch",
    "transformers",
    "ray",
    "fastapi",
    "sqlalchemy",
    "sklearn",
    "scipy",
    "pandas",
    "matplotlib",
    "captum",
    "polars",
    "numpy",
)


def loaded_by(code: str) -> set[str]:
    """Which heavy libraries a fresh interpreter holds after running `code`."""
    listing = (
        f"{code}\nimport sys\nsys.stderr.write(chr(10).join(m for m in {HEAVY!r} if m in "
        f"sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", listing], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


def test_import_metarec_loads_nothing_heavy() -> None:
    assert loaded_by("import metarec; metarec.__version__; dir(metarec)") == set()


@pytest.mark.parametrize(
    "words", [[], ["--help"], ["data", "--help"], ["data", "get", "--help"], ["--version"]]
)
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    code = (
        f"from metarec.app.cli import main\ntry:\n    main({words!r})\nexcept SystemExit as "
        f"end:\n    assert not end.code"
    )
    assert loaded_by(code) == set()


def test_python_runs_the_command_line_by_the_package_s_name() -> None:
    command = [sys.executable, "-m", "metarec", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == version("metarec")


def test_help_is_quick() -> None:
    """Of CPU, against a bare interpreter in the same minute: a busy machine does not decide."""
    resource = pytest.importorskip("resource")

    def fastest(code: str) -> float:
        taken = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(taken)

    bare = fastest("import json, subprocess")
    ours = fastest("from metarec.app.cli import main; main(['--help'])")
    assert ours - bare < max(0.3, 6 * bare)


def test_names_at_the_root_are_the_stages_own() -> None:
    import metarec
    from metarec.data.dataset import Dataset

    assert metarec.Dataset is Dataset
    assert set(metarec.__all__) <= set(dir(metarec))
    with pytest.raises(
        AttributeError, match="has no attribute 'Recommendr'; it offers .*Recommender"
    ):
        _ = metarec.Recommendr


def test_each_layer_imports_only_layers_below_it() -> None:
    linter = Path(sys.executable).parent / "lint-imports"
    plain = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(
        [str(linter), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=plain,
    )
    assert done.returncode == 0, done.stdout + done.stderr
