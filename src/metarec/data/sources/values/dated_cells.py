"""Detect columns of dates or seconds, and parse them to seconds since 1970."""

from __future__ import annotations

import re

import polars as pl

from metarec.data.cells.date_words import without_weekdays
from metarec.data.cells.dates import as_seconds, fitting_formats, without_zero_dates
from metarec.data.cells.parsing import as_numbers, nothing

DAY = (
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{2}(\d\d)?|\d{8}|"
    r"\d{4}年\d+月\d+日|[A-Z][a-z]{2,8}\.? \d{1,2},? \d{4}|\d{1,2}[- ][A-Z][a-z]{2,8}[- ]\d{4})$"
)
"""Pattern of a date without a time of day."""
SECONDS = (946_684_800.0, 2_524_608_000.0)
"""Range of times from 2000 to 2050, in seconds since 1970."""
LOOKED_AT = 1000
"""Number of distinct cells by which a column of dates is detected."""
_A_NUMBER = re.compile(
    r"(id|no|nr|number|code|key|ref|phone|tel|zip|isbn|ean|sku|号|编码)$", re.IGNORECASE
)
"""Pattern of names of ids and other numbers that are no times."""


def seconds_of(column: pl.Series) -> pl.Series:
    """Parse times to seconds since 1970, by the only format that fits all cells if there is one."""
    column = without_weekdays(column)
    forms = fitting_formats(column)
    return as_seconds(column, forms[0] if len(forms) == 1 else None)


def are_mostly_valid_dates(column: pl.Series) -> bool:
    """Whether at least half of a column's dates exist, unlike `2014-00-00`."""
    cells = nothing(column.cast(pl.Utf8, strict=False)).drop_nulls().unique().head(LOOKED_AT)
    return 2 * seconds_of(cells).count() > len(cells) or bool(fitting_formats(cells))


def is_dated(column: pl.Series) -> bool:
    """Whether all stated cells are dates or seconds; `0000-00-00` counts as missing."""
    if column.dtype.is_nested() or column.dtype == pl.Object:
        return False
    column, _ = without_zero_dates(column)
    if column.dtype.is_temporal() or are_seconds(column):
        return True
    if all_are(column, DAY):
        return are_mostly_valid_dates(column)
    cells = nothing(column.cast(pl.Utf8, strict=False)).drop_nulls().unique().head(LOOKED_AT)
    is_read = len(cells) > 0 and not as_numbers(cells).is_not_null().any()
    return is_read and (not as_seconds(cells).null_count() or bool(fitting_formats(cells)))


def all_are(column: pl.Series, pattern: str) -> bool:
    """Whether all stated cells of a column match a pattern, and there are any."""
    if column.dtype.is_nested() or column.dtype.is_float() or column.dtype == pl.Object:
        return False
    cells = nothing(column.cast(pl.Utf8, strict=False)).drop_nulls()
    return len(cells) > 0 and bool(cells.str.contains(pattern).all())


def are_seconds(column: pl.Series, *, allow_zeros: bool = False) -> bool:
    """Whether a column holds seconds or milliseconds from 2000 to 2050, and its name is not that of
    an id. With `allow_zeros`, up to half of its cells may be 0 for no time.
    """
    if _A_NUMBER.search(column.name) or not (column.dtype.is_numeric() or column.dtype == pl.Utf8):
        return False
    numbers = as_numbers(column) if column.dtype == pl.Utf8 else column.cast(pl.Float64)
    stated = numbers.drop_nulls().to_numpy()
    if len(stated) < len(nothing(column.cast(pl.Utf8)).drop_nulls()) or len(set(stated[:1000])) < 2:
        return False
    if allow_zeros:
        at_all = stated[stated != 0]
        if 2 * len(at_all) < len(stated):
            return False
        stated = at_all
    scale = 1000.0 if stated.max() > SECONDS[1] else 1.0
    return bool(SECONDS[0] <= stated.min() / scale and stated.max() / scale <= SECONDS[1])
