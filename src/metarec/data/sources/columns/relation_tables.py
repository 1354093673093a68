"""Turn raw tables of friends and of searches into tables with canonical columns, with findings on
the rows that are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from metarec.data.cells.dates import as_seconds
from metarec.data.cells.parsing import id_text, is_stated
from metarec.data.events.rows import RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_matching import rename
from metarec.data.sources.columns.friend_lists import without_no_ties

NEEDED = {"friends": ("user_id", "friend_id"), "searches": ("user_id", "query")}
"""Table -> columns that every row must state."""


def relation_of(
    raw: RawTable | None,
    table: str,
    mapped: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
) -> tuple[pl.DataFrame | None, list[Finding]]:
    """Return friends or searches with canonical columns and ids as text, and the findings of
    reading them; None without a raw table. Ties that do not hold and incomplete rows are removed.

    Args:
        table: `friends` or `searches`.
        mapped: canonical name -> column, as given by the user; columns of other tables may be
            among them.
        synonyms: further names by canonical name, from a domain pack.

    Raises:
        BadInput: if no column can be found for an id or the query.
    """
    if raw is None:
        return None, []
    frame, place, reading_findings = raw
    mapping = {name: column for name, column in mapped.items() if column in frame.columns}
    frame = frame.rename(rename(frame.columns, table, place.name, mapping, synonyms))
    ids = [c for c in ("user_id", "friend_id") if c in frame.columns]
    frame = frame.with_columns(id_text(frame[c]) for c in ids)
    frame, ended = without_no_ties(frame, place.name) if table == "friends" else (frame, [])
    frame, incomplete = _complete(frame, NEEDED[table], place.name)
    findings = [*reading_findings, *ended, *incomplete, *_unread_times(frame, table, place.name)]
    return frame, [replace(finding, table=table) for finding in findings]


def _complete(
    frame: pl.DataFrame, needed: Sequence[str], place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Remove rows without one of the needed cells, and return a finding."""
    flat = [c for c in needed if not frame.schema[c].is_nested()]
    stated = [frame[c].is_not_null() if c.endswith("_id") else is_stated(frame[c]) for c in flat]
    is_whole = pl.DataFrame([mask.alias(c) for c, mask in zip(flat, stated, strict=True)])
    kept = is_whole.select(pl.all_horizontal(pl.all())).to_series()
    if kept.all():
        return frame, []
    why, rows = f"no {' or no '.join(needed)} in {place}", int((~kept).sum())
    return frame.filter(kept), [Finding(rule="missing_ids", rows=rows, action="removed", why=why)]


def _unread_times(frame: pl.DataFrame, table: str, place: str) -> list[Finding]:
    """Return a finding on searches with times that cannot be read."""
    if table != "searches" or "timestamp" not in frame.columns:
        return []
    times = frame["timestamp"]
    unread = as_seconds(times).is_null() & is_stated(times)
    if not unread.any():
        return []
    example = str(times.filter(unread)[0])
    why = (
        f"times of {place} such as {example!r} cannot be read: when these searches were is unknown"
    )
    return [Finding(rule="dates", rows=int(unread.sum()), action="noted", why=why)]
