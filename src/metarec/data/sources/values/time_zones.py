"""Time zones named beside times: `Time (MSK)`, a column `Time Zone`."""

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

from metarec.data.cells.dates import ZONES
from metarec.data.cells.parsing import as_numbers, holds, nothing
from metarec.data.findings import Finding
from metarec.data.names.column_names import plain

_COLUMNS = frozenset(
    "timezone tz timezoneid zeitzone fuseauhoraire zonahoraria 时区 タイムゾーン".split()
)
"""Names of columns of time zones, as `plain` returns them."""
_IN_BRACKETS = re.compile(r"[(\[（]([^()\[\]（）]+)[)\]）]\s*$")
"""Pattern of text in brackets at the end of a name."""
_A_ZONE = re.compile(
    rf"({'|'.join(ZONES)}|МСК|[A-Z][a-z]+/[A-Z]\w+|(UTC|GMT)\s?[+-]\d\d?(:?\d\d)?)"
)
"""Pattern of a time zone."""
_UTC = re.compile(r"(UTC|GMT|Z|Etc/UTC|[+-]?00?(:?00)?|(UTC|GMT)\s?[+-]0+(:?00)?)")
"""Pattern of names of UTC."""
_OWN = r"(?i)\d\s*(z|utc|gmt|[+-]\d\d:?\d\d)$"
"""Pattern of a time with its own offset."""


def zones_told(frame: pl.DataFrame, named: Mapping[str, str], place: str) -> list[Finding]:
    """Return a finding where times without an offset are read as UTC, and the column's name or
    another column names another zone.

    Args:
        named: canonical name -> column in the file.
    """
    if "timestamp" not in frame.columns or (zone := _zone_of(frame, named)) is None:
        return []
    times = frame["timestamp"]
    if times.dtype != pl.Utf8 or holds(times, _OWN).any():
        return []
    if not as_numbers(times).null_count() > nothing(times).null_count():
        return []
    column, name = zone
    why = (
        f"times of {place} are read as UTC, and {column!r} names another zone ({name}): hours are "
        f"not those of users; if they count, write times with their offset "
        f"(2024-01-31T22:17+03:00)"
    )
    return [Finding(rule="dates", rows=0, action="noted", why=why)]


def _zone_of(frame: pl.DataFrame, named: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the column that names a zone other than UTC, and the zone; None without one."""
    given = named.get("timestamp", "")
    found = _IN_BRACKETS.search(given)
    if found is not None and _A_ZONE.fullmatch(found[1].strip()):
        name = found[1].strip()
        return None if _UTC.fullmatch(name) else (given, name)
    for column in (c for c in frame.columns if plain(c) in _COLUMNS):
        if frame.schema[column] != pl.Utf8:
            continue
        zones = nothing(frame[column]).drop_nulls().unique().sort().to_list()
        others = [zone for zone in zones if not _UTC.fullmatch(zone.strip())]
        if others:
            return column, others[0]
    return None
