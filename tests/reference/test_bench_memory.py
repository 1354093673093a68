from __future__ import annotations

import sys

import numpy as np
import pytest
from benchmarks.meta.memory import keep_freed_memory, peak_memory


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_peak_memory_sees_what_is_freed_again():
    peak = peak_memory(lambda: np.ones(8_000_000).sum())
    assert peak is None or 50 < peak < 110  # 61 MiB held for a moment


def test_keeping_freed_memory_is_said_or_declined():
    assert keep_freed_memory() in {True, False}
