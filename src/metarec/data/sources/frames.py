"""Tables already in memory: polars or pandas frames, alone (events) or by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from metarec.data.kinds import Kinds
from metarec.data.schema import BadInput, Catalog, Dataset, DataWarning, Profiles, as_polars
from metarec.data.sources.folder import RawTable, Reading, tables_of
from metarec.data.tables import Tables
from metarec.data.validity import Place

NAMES = ("interactions", "items", "users")


def checked(interactions: Any, items: Any, users: Any, kinds: Kinds | None) -> Dataset:
    """Frames as a data set, as through `metarec.read`; what was left out is warned of."""
    from metarec.data.read import open_tables  # which reads frames through this module

    sides = {"items": items, "users": users}
    ready = {n: s for n, s in sides.items() if isinstance(s, Catalog | Profiles)}
    frames = {"interactions": interactions} | {
        n: s.frame if isinstance(s, Catalog | Profiles) else s for n, s in sides.items()
    }
    tables = open_tables(frames, reading=Reading(kinds=kinds or Kinds.default()))
    for finding in tables.findings:
        warnings.warn(finding.line(), DataWarning, stacklevel=4)
    data = tables.dataset()
    return Dataset(
        interactions=data.interactions,
        items=ready.get("items", data.items),
        users=ready.get("users", data.users),
    )


def read_frames(frames: Any, reading: Reading) -> Tables:
    """Read a frame of events, or `{"interactions": ..., "items": ..., "users": ...}`.

    Raises:
        BadInput: if a name is none of the three, or there are no interactions.
    """
    given = dict(frames) if isinstance(frames, Mapping) else {"interactions": frames}
    odd = [n for n in given if n not in NAMES]
    if odd or "interactions" not in given:
        raise BadInput(
            f"frames are named interactions, items and users, got {', '.join(map(str, given))}"
        )
    raw: dict[str, RawTable] = {
        name: (as_polars(frame, name), Place(name), [])
        for name, frame in given.items()
        if frame is not None
    }
    return tables_of(raw["interactions"], raw.get("items"), raw.get("users"), reading, "frames")
