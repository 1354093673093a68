"""Read tables in memory: a polars or pandas frame of events, or several frames by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metarec.data.events.rows import Place, RawTable
from metarec.data.frames import as_polars
from metarec.data.schema import BadInput
from metarec.data.sources.canonical_tables import Reading, tables_of
from metarec.data.tables import Tables

NAMES = ("interactions", "items", "users", "friends", "searches")


def read_frames(frames: Any, reading: Reading) -> Tables:
    """Read a frame of events, or `{"interactions": ..., "items": ..., "users": ..., "friends": ...,
    "searches": ...}`; None for a table is allowed, except for the interactions.

    Raises:
        BadInput: if a name is none of these, or there are no interactions.
    """
    by_name = dict(frames) if isinstance(frames, Mapping) else {"interactions": frames}
    odd = [n for n in by_name if n not in NAMES]
    if odd or "interactions" not in by_name:
        raise BadInput(f"frames are named {', '.join(NAMES)}, got {', '.join(map(str, by_name))}")
    if by_name["interactions"] is None:
        raise BadInput("interactions must be a polars or pandas frame, got NoneType")
    raw: dict[str, RawTable] = {
        name: (as_polars(frame, name), Place(name), [])
        for name, frame in by_name.items()
        if frame is not None
    }
    return tables_of(
        raw["interactions"],
        raw.get("items"),
        raw.get("users"),
        replace(reading, is_whole=len(raw) == 1),  # several frames are a table each
        "frames",
        friends=raw.get("friends"),
        searches=raw.get("searches"),
    )
