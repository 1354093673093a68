"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest

from shape_checks import check_all

check_all()  # before anything of metarec is imported

from world import World, tiny_world  # noqa: E402

FULL_ONLY = Path(__file__).parent / "full_only.txt"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark `full` what `full_only.txt` lists, which `make test-fast` leaves out."""
    listed = set(FULL_ONLY.read_text(encoding="utf-8").split("\n"))
    for item in items:
        if {item.nodeid.split("[")[0], item.nodeid.split("::")[0]} & listed:
            item.add_marker("full")


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
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
