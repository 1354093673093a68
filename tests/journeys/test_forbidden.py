"""No surface shows what a policy forbids: a folder is fitted as its TOML file says, without a flag,
and the tables themselves say what is forbidden.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

from policy_worlds import write_world  # noqa: E402

SCRIPT = Path(__file__).parent.parent.parent / "benchmarks" / "forbidden.py"


@pytest.fixture(scope="module")
def counting() -> ModuleType:
    found = importlib.util.spec_from_file_location("forbidden", SCRIPT)
    assert found is not None
    assert found.loader is not None
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def no_forbidden_item(counting: ModuleType, folder: Path, users: int, seed: int) -> None:
    told = counting.count(folder, users, seed)
    assert told["forbidden_in_catalog"] > users
    assert len(told["surfaces"]) >= 15
    for surface, counted in told["surfaces"].items():
        assert counted["forbidden"] == 0, surface
        assert counted["shown"] > 0, surface


@pytest.mark.parametrize("domain", ["health", "finance", "education"])
def test_no_surface_shows_what_is_forbidden(
    counting: ModuleType, tmp_path: Path, domain: str
) -> None:
    no_forbidden_item(counting, write_world(tmp_path / domain, domain), users=30, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("domain", ["health", "finance", "education"])
def test_no_surface_shows_it_to_500_users(
    counting: ModuleType, tmp_path: Path, domain: str
) -> None:
    no_forbidden_item(counting, write_world(tmp_path / domain, domain, 1), users=500, seed=1)
