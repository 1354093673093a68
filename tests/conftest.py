"""What every test may use."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

# Compiled code is kept whatever the machine's habit: the programs that tests start, some hundreds,
# would each compile all of metarec again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from shape_checks import check_all  # noqa: E402  # once bytecode is kept

check_all()  # before anything of metarec is imported

from world import World, tiny_world  # noqa: E402

TESTS = Path(__file__).parent
LISTED = frozenset((TESTS / "full_only.txt").read_text(encoding="utf-8").split("\n"))
"""Folders, files and tests that `make test-fast` leaves out."""


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """What is listed whole is not even imported by `make test-fast`."""
    leaves_out = "not full" in config.option.markexpr
    return True if leaves_out and _places(collection_path) & LISTED else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark `full` what `full_only.txt` lists, and run the files that it lists first: of two
    processes, one would else be left alone with the longest.
    """
    for item in items:
        if (_places(item.path) | {item.nodeid.split("[")[0]}) & LISTED:
            item.add_marker("full")
    listed = {path for path in {item.path for item in items} if _places(path) & LISTED}
    items.sort(key=lambda item: item.path not in listed)


def _places(path: Path) -> set[str]:
    """A file and the folders it lies in, as `full_only.txt` names them."""
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
