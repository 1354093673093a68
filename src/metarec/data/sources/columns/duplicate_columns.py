"""Tell of columns with the same name."""

from __future__ import annotations

import re

from metarec.data.events.rows import RawTable
from metarec.data.findings import Finding


def duplicate_columns(raw: RawTable, table: str) -> list[Finding]:
    """Return findings on columns with the same name; only the first keeps it."""
    frame, place, _ = raw
    again = [c for c in frame.columns if (first := _base_name(c)) != c and first in frame.columns]
    return [
        Finding(
            rule="columns",
            rows=0,
            action="noted",
            why=f"{place.name} has two columns {_base_name(c)!r}: the first is read as that, the "
            f"other is called {c!r}",
            table=table,
        )
        for c in again
    ]


def _base_name(column: str) -> str:
    """Return the name of a column without the suffix that polars gives to a duplicate."""
    return re.sub(r"_duplicated_\d+$", "", column)
