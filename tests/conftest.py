"""What every test may use."""

from __future__ import annotations

import pytest

from world import World, tiny_world


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
