"""Find where users went, where the items may be classes of a service (`Standard`, `Deluxe`)."""

from __future__ import annotations

import re

import polars as pl

from metarec.data.names.column_names import plain

_GOALS = re.compile(
    r"^(destination|dropoff|arrival|to)(name|address|location|station|stop|zone|place)?$"
    r"|^(도착지|목적지|하차지|目的地|到着地|降車地|下车地点)$"
    r"|^(ziel|zielort|destino|destinazione|varış)$"
)
"""Names of columns of where users went, as `plain` returns them."""
MIN_ROWS = 20
"""Fewer rows do not tell."""
MAX_CLASSES = 6
"""Up to so many items may be classes of a service that brings users to where they go."""


def destination_column(frame: pl.DataFrame, item: str) -> str | None:
    """Return the column of where users went, where the few items may be classes of a service."""
    if frame.height < MIN_ROWS or frame.schema[item].is_nested():
        return None
    goals = [c for c in frame.columns if c != item and _GOALS.search(plain(c))]
    is_few = bool(goals) and frame[item].n_unique() <= MAX_CLASSES
    return goals[0] if is_few and frame[goals[0]].n_unique() > 1 else None
