"""Logs of changes of a database (Debezium), which hold a row before and after each change."""

from __future__ import annotations

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.findings import Finding, noted
from metarec.data.names.column_names import SYNONYMS, plain

_DELETED = ("d", "delete", "deleted")
_TIME = "ts_ms"
"""Name of the time of a change, in milliseconds."""
_KINDS = {plain(name) for name in ("kind", *SYNONYMS["kind"])}
_TIMES = {plain(name) for name in ("timestamp", *SYNONYMS["timestamp"])}


def change_findings(frame: pl.DataFrame, place: str) -> list[Finding]:
    """Return a finding where a table is a log of changes, see `of_changes`."""
    if of_changes(frame) is frame:
        return []
    why = (
        f"'op', 'before' and 'after' of {place} say how rows of a database changed: they are read "
        f"as after the change, and a deletion takes the row back"
    )
    return [noted("columns", why)]


def of_changes(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows that were changed, as after the change; a deletion is an undo of the row
    before it. Other tables stay unchanged.
    """
    schema = frame.schema
    if "op" not in schema or not {"before", "after"} <= {*schema}:
        return frame
    rows = [c for c in ("after", "before") if isinstance(schema[c], pl.Struct)]
    deleted = nothing(frame["op"].cast(pl.Utf8, strict=False)).str.to_lowercase().is_in(_DELETED)
    deleted = deleted.fill_null(False)
    if "after" not in rows or (deleted.any() and "before" not in rows):
        return frame
    sides = [frame[c].struct.unnest() for c in rows]
    names = list(dict.fromkeys(name for side in sides for name in side.columns))
    fields = [
        pl.select(pl.coalesce(*(s[n] for s in sides if n in s.columns))).to_series().alias(n)
        for n in names
    ]
    beside = frame.select(c for c in frame.columns if c == _TIME and c not in names)
    table = pl.DataFrame(fields).hstack(beside)
    if not _KINDS & {plain(n) for n in names} and deleted.any():
        kind = pl.Series("kind", ["undo"]).zip_with(deleted, pl.Series(["event"]))
        table = table.with_columns(kind.alias("kind"))
    if _TIME in table.columns and not _TIMES & {plain(n) for n in names}:
        table = table.rename({_TIME: "timestamp"})
    return table
