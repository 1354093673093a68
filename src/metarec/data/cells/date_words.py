"""Dates with words beside them: days of the week, o'clock, and years of other calendars."""

from __future__ import annotations

import polars as pl

from metarec.data.cells.parsing import holds


def without_weekdays(column: pl.Series) -> pl.Series:
    """Return dates of digits without the day of the week before or behind them and the word for
    o'clock: `01.04.24 12:30` for `Mo, 01.04.24 12:30 Uhr`.
    """
    if column.dtype != pl.Utf8 or not holds(column, _WORDED).any():
        return column
    for word, instead in _WEEKDAYS:
        column = column.str.replace(word, instead)
    return column


_WORDED = r"^\s*\pL+\.?,?\s+\d|Uhr$|\d\s*[(（]\pL"
"""Pattern of a date with a word beside its digits."""
_WEEKDAYS = (
    (r"^\s*\pL{2,13}\.?,?\s+(\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}\b)", "$1"),
    (r"^(\s*\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4})\s*[(（]\pL{1,3}\.?[)）]", "$1"),
    (r"^(\s*\d{1,4}[/.-]\d{1,2}[/.-]\d{1,4}.*\d)\s*Uhr$", "$1"),
)
"""Pattern of a date of digits with a day of the week or a word, and what is left of it."""


_ERAS = {"令和": 2018, "平成": 1988, "昭和": 1925, "R": 2018, "H": 1988, "S": 1925}
"""Beginning of a Japanese date -> the year before the first of that era."""
_IN_AN_ERA = r"^(令和|平成|昭和|[RHS])\s*(元|\d{1,2})(年\s*\d|[./-]\d{1,2}[./-]\d)"


def without_eras(text: pl.Series) -> pl.Series:
    """Replace years of Japanese eras (`令和6年3月14日`, `R6.3.14`) by calendar years."""
    has_era = holds(text, _IN_AN_ERA)
    if not has_era.any():
        return text
    zero = text.str.extract(_IN_AN_ERA, 1).replace_strict(_ERAS, default=None)
    years = text.str.extract(_IN_AN_ERA, 2).str.replace("元", "1").cast(pl.Int64, strict=False)
    month_and_day = text.str.replace(r"^\D+?\s*(元|\d{1,2})\s*", "")
    return ((zero + years).cast(pl.Utf8) + month_and_day).zip_with(has_era, text)


_BUDDHIST = r"^(?<head>|.*?[^\d:])(?<year>2[56]\d\d)(?<tail>|[^\d:].*)$"
"""Pattern of a year from 2500 on."""
BUDDHIST_YEARS = (2513, 2643)
"""1970 and 2100 in the Buddhist calendar."""
_BEFORE_US = 543
"""Years between the zeros of the Buddhist calendar and ours."""
OTHER_CALENDARS = r"^\D*1[34]\d\d[^\d:]\d{1,2}|\d{1,2}[^\d:]1[34]\d\d\b"
"""Pattern of dates of the Persian or Islamic calendar."""


def without_buddhist_years(column: pl.Series) -> pl.Series:
    """Return dates of the Buddhist calendar, as Thailand writes them (`2566-01-05`), in ours; the
    column unchanged where some stated cell has another year.
    """
    if column.dtype != pl.Utf8 or not holds(column, _BUDDHIST).any():
        return column
    parts = column.str.extract_groups(_BUDDHIST).struct.unnest()
    years = parts["year"].cast(pl.Int64, strict=False)
    if int(years.is_between(*BUDDHIST_YEARS).fill_null(False).sum()) < column.count():
        return column
    ours = (years - _BEFORE_US).cast(pl.Utf8)
    return (parts["head"] + ours + parts["tail"]).alias(column.name)
