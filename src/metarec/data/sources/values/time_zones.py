"""Add the offsets from UTC that times state, and note zones that a table names beside its times
(`Time (MSK)`, a column `Time Zone`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import polars as pl

from metarec.data.cells.dates import ZONES
from metarec.data.cells.parsing import as_numbers, holds, nothing
from metarec.data.events.columns import EARLIEST_MOMENT
from metarec.data.events.times import HOURS_FROM_UTC
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


_OFFSET = (
    r"(?i)\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s*(?:[ap]m\s*)?(?:GMT|UTC)?\s*"
    r"([+-])(\d\d):?(\d\d)?(?:\s*\([^)]*\)|\s\d{4})?\s*$"
)
"""Sign, hours and minutes of the offset behind a time of day, as ISO, e-mails and browsers have it;
a zone in brackets or a year may follow.
"""
_NAMED = rf"\d:\d\d(?::\d\d(?:[.,]\d+)?)?\s*({'|'.join(ZONES)}|Z|z|UTC|GMT)(?:\s\d{{4}})?\s*$"
MAX_OFFSET = 14.0
"""Hours; no place is farther from UTC."""


def with_offsets(frame: pl.DataFrame, add: bool | None = None) -> pl.DataFrame:
    """Add the offsets of local times from UTC: times are kept in UTC, and hour and weekday are
    those of the place.

    Args:
        add: whether to add them; None adds them where some time states one other than 0.
    """
    if add is False or "timestamp" not in frame.columns or HOURS_FROM_UTC in frame.columns:
        return frame
    hours = _offsets_of(frame["timestamp"])
    if add:
        return frame.with_columns(hours.alias(HOURS_FROM_UTC))
    stated = hours.drop_nulls()
    if not len(stated) or not (stated != 0).any() or (stated.abs() > MAX_OFFSET).any():
        return frame
    return frame.with_columns(hours.alias(HOURS_FROM_UTC))


def _offsets_of(times: pl.Series) -> pl.Series:
    """Return the offset in hours that each time states; null where it states none."""
    if isinstance(times.dtype, pl.Datetime) and times.dtype.time_zone is not None:
        offset = times.dt.base_utc_offset() + times.dt.dst_offset()
        return offset.dt.total_minutes() / 60
    if times.dtype != pl.Utf8 or not holds(times, _OFFSET).any() and not holds(times, _NAMED).any():
        return pl.Series([None] * len(times), dtype=pl.Float64)
    text = times.to_frame("time")
    sign, hours, minutes = (pl.col("time").str.extract(_OFFSET, n) for n in (1, 2, 3))
    stated = hours.cast(pl.Float64) + minutes.cast(pl.Float64).fill_null(0.0) / 60
    stated = pl.when(sign == "-").then(-stated).otherwise(stated)
    named = {name: _hours_of(offset) for name, offset in ZONES.items()}
    zones = {**dict.fromkeys(("Z", "z", "UTC", "GMT"), 0.0), **named}
    zone = (
        pl.col("time")
        .str.extract(_NAMED, 1)
        .replace_strict(zones, default=None, return_dtype=pl.Float64)
    )
    return text.select(pl.coalesce(stated, zone)).to_series()


def _hours_of(offset: str) -> float:
    """Return `+03:30` as 3.5."""
    hours = int(offset[1:3]) + int(offset[4:6]) / 60
    return -hours if offset.startswith("-") else hours


def time_zone_findings(frame: pl.DataFrame, named: Mapping[str, str], place: str) -> list[Finding]:
    """Return a finding where times without an offset are read as UTC, and the column's name or
    another column names another zone.

    Args:
        named: canonical name -> column in the file.
    """
    if "timestamp" not in frame.columns or (zone := _zone_of(frame, named)) is None:
        return []
    times = frame["timestamp"]
    if not _are_of_utc(times):
        return []
    column, name = zone
    why = (
        f"times of {place} are read as UTC, and {column!r} names another zone ({name}): hours are "
        f"not those of users; if they count, write times with their offset "
        f"(2024-01-31T22:17+03:00)"
    )
    return [Finding(rule="dates", rows=0, action="noted", why=why)]


def _are_of_utc(times: pl.Series) -> bool:
    """Return whether times state no offset: dates as text, or counts of seconds since 1970."""
    if times.dtype == pl.Utf8:
        if holds(times, _OWN).any():
            return False
        if as_numbers(times).null_count() > nothing(times).null_count():
            return True
    elif not times.dtype.is_numeric():
        return False
    smallest = as_numbers(times).min()
    return isinstance(smallest, int | float) and smallest >= EARLIEST_MOMENT


def _zone_of(frame: pl.DataFrame, named: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the column that names a zone other than UTC, and the zone; None without one."""
    time_column = named.get("timestamp", "")
    bracketed = _IN_BRACKETS.search(time_column)
    if bracketed is not None and _A_ZONE.fullmatch(bracketed[1].strip()):
        name = bracketed[1].strip()
        return None if _UTC.fullmatch(name) else (time_column, name)
    for column in (c for c in frame.columns if plain(c) in _COLUMNS):
        if frame.schema[column] != pl.Utf8:
            continue
        zones = nothing(frame[column]).drop_nulls().unique().sort().to_list()
        others = [zone for zone in zones if not _UTC.fullmatch(zone.strip())]
        if others:
            return column, others[0]
    return None
