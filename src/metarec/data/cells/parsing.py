"""Parse cells to numbers and ids in many notations; unreadable cells become null, not errors."""

from __future__ import annotations

import polars as pl

NO_ID = (
    "",
    "nan",
    "NaN",
    "NAN",
    "null",
    "NULL",
    "Null",
    "None",
    "none",
    "<NA>",
    "N/A",
    "NA",
    "\\N",
    "-",
    "(not set)",
)
"""Texts that programs write for a missing id."""
NOTHING = (
    *NO_ID,
    "n/a",
    "na",
    "NaT",
    "nat",
    "--",
    ".",
    "..",
    "…",
    "?",
    "#N/A",
    "(null)",
    "[null]",
    "undefined",
    "—",
    "–",
    "——",
    "n.a.",
    "N.A.",
    "nil",
    "NIL",
    "#VALUE!",
    "#DIV/0!",
    "#REF!",
    "unknown",
    "Unknown",
    "UNKNOWN",
    "missing",
    "not available",
    "not rated",
    "Not rated",
    "not yet rated",
    "unrated",
    "no rating",
    "No rating",
    "N/R",
    "n/r",
    "NR",
    "TBD",
    "tbd",
    "TBA",
    "k. A.",
    "k.A.",
    "keine Angabe",
    "s/n",
    "sin calificar",
    "sem nota",
    "non noté",
    "нет оценки",
    "評価なし",
    "未評分",
    "未評價",
    "无",
    "暂无",
    "未知",
    "不详",
    "未评分",
    "未评价",
)
"""Texts that stand for a missing number or time."""
NO_TEXT = ("", "NULL", "null", "\\N", "<NA>", "nan", "NaN", "NaT", "(null)", "[null]")
"""Texts that stand for a missing text; `None` and `NA` may be words and are not among them."""
BLANK = (
    "\x00\x1a \t\r\n\v\f"
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u2060\ufeff\u200e\u200f"
)
"""Invisible characters stripped from both ends of a cell, zero-width ones included."""
WIDE = {
    **{chr(ord(zero) + n): str(n) for zero in "０٠۰०০๐" for n in range(10)},
    **dict(zip("．，－＋−٫٬", ".,-+-.,", strict=True)),
}
"""Digits and signs of other keyboards, scripts and programs -> their ASCII form."""

THOUSANDS_COMMA = r"^[+-]?(\d{1,3}(,\d{3})+|\d{1,2}(,\d\d)+,\d{3})(\.\d+)?$"
"""Commas between groups of three digits, or Indian groups of two before the last: `1,23,456`."""
THOUSANDS_DOT = r"^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$"
THOUSANDS_SPACE = r"^[+-]?\d{1,3}([ \u00a0\u202f'’]\d{3})+([.,]\d+)?$"
EUROPEAN = r"^[+-]?\d{1,3}(\.\d{3})+,\d+$|^[+-]?\d{1,3}(\.\d{3}){2,}$"
"""Numbers whose dots can only separate thousands."""
WHOLE_DOT = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$"
"""Numbers whose dots may separate thousands."""
MIN_WHOLE_DOT = 30
"""Number of cells with exactly three digits after a dot from which on the dot is no decimal point.
"""
DECIMAL_COMMA = r"^[+-]?\d*,\d+$"


def nothing(column: pl.Series, words: tuple[str, ...] = NOTHING) -> pl.Series:
    """Return a text column stripped and with null for `words`; any other column unchanged."""
    if column.dtype != pl.Utf8:
        return column
    text = column.str.strip_chars(BLANK)
    return pl.select(pl.when(~text.is_in(words)).then(text)).to_series().alias(column.name)


def is_stated(column: pl.Series) -> pl.Series:
    """Mask of cells that state something, in a column of any type without nested cells."""
    return nothing(column.cast(pl.Utf8, strict=False)).is_not_null()


def as_numbers(column: pl.Series) -> pl.Series:
    """Parse a column to float64; null where a cell is no number. Commas, dots and spaces between
    thousands and a decimal comma are understood; the column as a whole decides which they are.
    """
    if column.dtype == pl.Boolean or column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if column.dtype.is_nested() or column.dtype.is_temporal() or column.dtype == pl.Object:
        return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    text = nothing(column.cast(pl.Utf8))
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() > text.null_count():
        text = _signed(text)
        numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() == text.null_count() and not holds(text, EUROPEAN).any():
        if not are_whole_with_dots(text):
            return numbers
        text = text.str.replace_all(".", "", literal=True)
    plain = _without_thousands(text)
    return plain.cast(pl.Float64, strict=False)


def are_whole_with_dots(text: pl.Series) -> bool:
    """Whether dots separate thousands of whole numbers, `21.270` beside `900`: decimals of one
    program would have trailing zeros in all cells or in none.
    """
    with_dot = holds(text, r"\.")
    dotted, others = text.filter(with_dot), text.filter(~with_dot).drop_nulls()
    if not len(dotted) or not len(others) or not holds(dotted, WHOLE_DOT).all():
        return False
    is_sure = bool(holds(dotted, "0$").any()) or len(dotted) >= MIN_WHOLE_DOT
    return is_sure and bool(holds(others, r"^[+-]?\d{1,3}$").all())


def _signed(text: pl.Series) -> pl.Series:
    """Rewrite negative numbers in accounting notation, `(3)`, `3-` and `−3`, as `-3`, and whole
    amounts such as `249,-` as `249,00`.
    """
    text = in_our_digits(text).str.replace(r"(\d),[-–—]$", "$1,00")
    stated = text.drop_nulls()
    if len(stated) and bool(stated.str.contains(r"^\((1[89]|20)\d\d\)$").all()):
        return text.str.strip_chars("()")  # years, as beside a title
    return text.str.replace(r"^\(([\d.,]+)\)$", "-$1").str.replace(r"^([\d.,]*\d[\d.,]*)-$", "-$1")


def in_our_digits(text: pl.Series) -> pl.Series:
    """Return text with digits and number signs of other scripts in their ASCII form."""
    return text.str.replace_many(list(WIDE), list(WIDE.values()))


def holds(text: pl.Series, pattern: str) -> pl.Series:
    """Mask of cells that contain a pattern; False for null."""
    return text.str.contains(pattern).fill_null(False)


def _without_thousands(text: pl.Series) -> pl.Series:
    """Rewrite numbers without separators of thousands and with a decimal point; a comma separates
    thousands where every cell with one can be read so.
    """
    spaced = holds(text, THOUSANDS_SPACE)
    text = text.zip_with(~spaced, text.str.replace_all(r"[ \u00a0\u202f'’]", ""))
    with_comma = holds(text, ",")
    if holds(text, EUROPEAN).any() and not holds(text, r",\d{3}(,|\.|$)").any():
        dotted = holds(text, THOUSANDS_DOT)
        text = text.zip_with(~dotted, text.str.replace_all(".", "", literal=True))
    elif with_comma.any() and bool(holds(text, THOUSANDS_COMMA).filter(with_comma).all()):
        if not holds(text.filter(with_comma), r"^[+-]?0,").any():
            return text.str.replace_all(",", "", literal=True)
    decimal = holds(text, DECIMAL_COMMA)
    return text.zip_with(~decimal, text.str.replace_all(",", ".", literal=True))


def odd_number(column: pl.Series) -> str | None:
    """Return the first cell that is no plain number and depends on how its commas, dots or spaces
    are read; None without one.
    """
    if column.dtype != pl.Utf8:
        return None
    text = nothing(column)
    if are_whole_with_dots(text):
        return str(text.filter(holds(text, r"\."))[0])
    odd = text.filter(text.is_not_null() & text.cast(pl.Float64, strict=False).is_null())
    return str(odd[0]) if len(odd) else None


def id_text(column: pl.Series) -> pl.Series:
    """Convert ids to text. Whole floats lose their `.0`, in numbers (pandas makes floats of whole
    numbers with gaps) and in text where no id has another dot; missing ids are null.
    """
    if column.dtype.is_float():
        are_whole = (column.is_finite() & (column == column.round())).fill_null(False)
        text = column.cast(pl.Utf8).zip_with(
            ~are_whole, column.cast(pl.Int64, strict=False).cast(pl.Utf8)
        )
        return text.zip_with(column.is_finite().fill_null(False), pl.Series([None], dtype=pl.Utf8))
    if column.dtype.is_integer():
        return column.cast(pl.Utf8)
    text = nothing(column.cast(pl.Utf8, strict=False), NO_ID)
    return text.str.replace(r"\.0+$", "") if has_float_ids(text) else text


def has_float_ids(text: pl.Series) -> bool:
    """Whether ids of a text column are whole numbers that a program wrote as `17850.0`."""
    dotted = text.filter(text.str.contains(".", literal=True).fill_null(False))
    return len(dotted) > 0 and bool(dotted.str.contains(r"^-?(0|[1-9]\d*)\.0+$").all())
