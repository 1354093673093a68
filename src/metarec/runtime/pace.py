"""Speed of this machine, under the load that it has now."""

from __future__ import annotations

import time

import numpy as np

REFERENCE = 0.135
"""CPU seconds of the work of `pace` where the rates of `fit --plan` hold."""
RUNS = 3
"""Number of times the work is done; the median counts."""


def pace() -> float:
    """Return the CPU time of a fixed piece of work on this machine, over that where the rates of
    `fit --plan` hold: 2 where all takes twice as long. Other processes that share caches and cores
    slow the work as they slow a fit. It takes about half a second.
    """
    return float(np.median([_seconds() for _ in range(RUNS)])) / REFERENCE


def _seconds() -> float:
    """CPU seconds of steps that fits are made of: Python, products, sorting; on arrays that do not
    fit the caches, as in a fit.
    """
    rng = np.random.default_rng(0)
    table = rng.standard_normal((20_000, 64), np.float32)
    began = time.process_time()
    counts: dict[int, int] = {}
    for number in range(300_000):
        counts[number % 1_000] = counts.get(number % 1_000, 0) + number
    for start in range(0, 64, 8):
        scores = table @ table[start : start + 8].T
        np.log1p(np.abs(scores, out=scores), out=scores)
    drawn = rng.integers(0, 50_000, 500_000)
    np.argsort(drawn, kind="stable")
    np.unique(drawn)
    return time.process_time() - began
