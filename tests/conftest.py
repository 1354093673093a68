"""What every test may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Compiled code is kept whatever the machine's habit: the programs that tests start, some hundreds,
# would each compile all of metarec again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from shape_checks import check_all  # noqa: E402  # once bytecode is kept

check_all()  # before anything of metarec is imported

from world import World, tiny_world  # noqa: E402

TESTS = Path(__file__).parent
LISTED = {
    mark: frozenset((TESTS / f"{mark}_only.txt").read_text(encoding="utf-8").split("\n"))
    for mark in ("full", "long")
}
"""Folders, files and tests left out by `make test-fast`; those of `long` by `make test` too."""

# How long a case takes depends on what else the machine does.
settings.register_profile("metarec", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("metarec")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is listed whole and left out is not even imported."""
    left_out = [LISTED[mark] for mark in LISTED if f"not {mark}" in config.option.markexpr]
    return True if any(_places(collection_path) & listed for listed in left_out) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what the lists name, and run the files that they name first: of two processes, one would
    else be left alone with the longest.
    """
    for item in items:
        for mark, listed in LISTED.items():
            if (_places(item.path) | {item.nodeid.split("[")[0]}) & listed:
                item.add_marker(mark)
    every = frozenset().union(*LISTED.values())
    first = {path for path in {item.path for item in items} if _places(path) & every}
    items.sort(key=lambda item: item.path not in first)


def _places(path: Path) -> set[str]:
    """A file and the folders it lies in, as the lists name them."""
    if not path.is_relative_to(TESTS):
        return set()
    inside = path.relative_to(TESTS.parent)
    return {place.as_posix() for place in (inside, *inside.parents)}


@pytest.fixture(scope="session")
def world() -> World:
    """Two tastes, acts without values."""
    return tiny_world()


@pytest.fixture(scope="session")
def rated_world() -> World:
    """Two tastes, stated ratings."""
    return tiny_world(ratings=True)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Tiny tensors are fastest on one thread, and the machine is shared."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
