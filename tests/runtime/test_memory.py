"""What was freed goes back to the system."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from metarec.runtime.memory import release


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux")
def test_freed_memory_goes_back_though_later_pieces_are_in_use() -> None:
    pieces = [np.ones(12_500) for _ in range(1000)]  # 100 KB each, below what is mapped alone
    kept = pieces[::100]
    full = _resident()
    del pieces
    release()
    assert full - _resident() > 50
    assert all(piece.all() for piece in kept)


def _resident() -> float:
    """MiB that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20
