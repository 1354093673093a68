"""Frames given to `Dataset(...)`, read as `metarec.read` reads them."""

from __future__ import annotations

import warnings
from typing import Any

from metarec.data.kinds import Kinds
from metarec.data.read import open_tables
from metarec.data.schema import Catalog, Dataset, DataWarning, Profiles
from metarec.data.sources.folder import Reading


def checked(interactions: Any, items: Any, users: Any, kinds: Kinds | None) -> Dataset:
    """Frames as a data set, as through `metarec.read`; what was left out is warned of."""
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
