"""What a spawned process does in tests; it imports them by the name of their module."""

from __future__ import annotations

from metarec.runtime.rng import derive


def draw(item: int) -> float:
    return float(derive(7, "job", item).standard_normal())


def divide(item: int) -> float:
    return 1 / item
