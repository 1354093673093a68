"""How tests wait for what other threads and processes do: for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable


def eventually(
    condition: Callable[[], object], seconds: float = 120.0, pause: float = 0.05
) -> None:
    """Wait until `condition()` holds; a busy machine takes its time, so the limit is far away."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, f"it did not come true in {seconds:.0f} seconds"
        time.sleep(pause)
