"""Cells as numbers and times, whatever they were written as; what cannot be read is null, never an
error.
"""

from __future__ import annotations

import polars as pl


def as_numbers(column: pl.Series) -> pl.Series:
    """A column as float64; null where it holds no number. A comma may stand for the decimal
    point.
    """
    if column.dtype == pl.Boolean or column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype.is_nested() or column.dtype.is_temporal():
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    text = column.cast(pl.Utf8).str.strip_chars()
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() == text.null_count():
        return numbers
    return numbers.fill_null(
        text.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
    )


def as_seconds(column: pl.Series) -> pl.Series:
    """A column of times as float64 numbers (unit as given) or seconds since 1970 (dates); null
    where it is neither.
    """
    if column.dtype.is_temporal():
        if column.dtype in (pl.Duration, pl.Time):
            return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
        return column.cast(pl.Datetime("us")).dt.epoch("us").cast(pl.Float64) / 1e6
    numbers = as_numbers(column)
    if column.dtype != pl.Utf8 or numbers.null_count() == column.null_count():
        return numbers
    return numbers.fill_null(_iso_seconds(column))


def _iso_seconds(column: pl.Series) -> pl.Series:
    """ISO 8601 dates and times, with or without an offset (without: UTC), as seconds since 1970."""
    text = (
        column.str.strip_chars().str.replace(r"[zZ]$", "+00:00").str.replace(" ", "T", literal=True)
    )
    local = text.str.replace(r"[+-]\d\d:?\d\d$", "")
    offset = text.str.extract(r"T.*([+-]\d\d:?\d\d)$").str.replace(":", "", literal=True)
    found = pl.Series(column.name, [None] * len(column), dtype=pl.Datetime("us"))
    for pattern in (
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d",
        "%Y/%m/%dT%H:%M:%S%.f",
        "%Y/%m/%d",
        "%Y%m%dT%H%M%S",
    ):
        date_only = "T" not in pattern
        parsed = (
            local.str.to_date(pattern, strict=False).cast(pl.Datetime("us"))
            if date_only
            else local.str.to_datetime(pattern, time_unit="us", strict=False, time_zone=None)
        )
        found = found.fill_null(parsed)
        if found.null_count() == column.null_count():
            break
    minutes = offset.str.slice(1, 2).cast(pl.Float64, strict=False) * 60 + offset.str.slice(
        3, 2
    ).cast(pl.Float64, strict=False)
    shift = (
        minutes
        * 60
        * offset.str.starts_with("-").replace_strict(
            [True, False], [-1.0, 1.0], default=None, return_dtype=pl.Float64
        )
    )
    return found.dt.epoch("us").cast(pl.Float64) / 1e6 - shift.fill_null(0.0)
