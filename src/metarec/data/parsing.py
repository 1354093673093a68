"""Cells as numbers, times, ids and truth values, whatever they were written as; what cannot be read
is null, never an error.
"""

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
)
"""What programs write for a missing id."""
NOTHING = (
    *NO_ID,
    "n/a",
    "na",
    "NaT",
    "nat",
    "-",
    "--",
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
    "unrated",
    "无",
    "暂无",
    "未知",
    "不详",
    "未评分",
    "未评价",
)
"""What stands for a missing number or time."""
NO_TEXT = ("", "NULL", "null", "\\N", "<NA>", "nan", "NaN", "NaT", "(null)", "[null]")
"""What nobody writes as a word: a missing text (`None` and `NA` may be words)."""
BLANK = (
    "\x00\x1a \t\r\n\v\f"
    "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u2060\ufeff\u200e\u200f"
)
"""What nobody sees at the ends of a cell, zero-width characters included."""
WIDE = {
    wide: plain
    for wide, plain in zip("０１２３４５６７８９．，－＋−", "0123456789.,-+-", strict=True)
}
"""Digits and signs as other keyboards and programs write them."""
YES_NO = {
    "true": "false",
    "yes": "no",
    "y": "n",
    "t": "f",
    "是": "否",
    "真": "假",
    "ja": "nein",
    "oui": "non",
    "vrai": "faux",
    "wahr": "falsch",
    "sí": "no",
    "si": "no",
    "sì": "no",
    "verdadero": "falso",
    "sim": "não",
    "tak": "nie",
    "да": "нет",
    "はい": "いいえ",
    "예": "아니요",
    "✓": "✗",
    "✔": "✘",
    "√": "×",
}
"""Words for true and their contraries, in lower case."""

THOUSANDS_COMMA = r"^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$"
THOUSANDS_DOT = r"^[+-]?\d{1,3}(\.\d{3})+(,\d+)?$"
THOUSANDS_SPACE = r"^[+-]?\d{1,3}([ \u00a0\u202f'’]\d{3})+([.,]\d+)?$"
EUROPEAN = r"^[+-]?\d{1,3}(\.\d{3})+,\d+$|^[+-]?\d{1,3}(\.\d{3}){2,}$"
"""Dots can only stand for thousands."""
DECIMAL_COMMA = r"^[+-]?\d*,\d+$"

FIRST_SENTINEL = 13_569_465_600.0
"""2400 in seconds since 1970: a date from here on stands for "never", as does one up to 1900."""
LAST_EARLY_SENTINEL = -2_208_902_400.0
"""2 January 1900."""
NEVER = (253_370_764_800.0, 253_402_387_200.0)
"""The year 9999 in seconds since 1970."""


def nothing(column: pl.Series, words: tuple[str, ...] = NOTHING) -> pl.Series:
    """A text column with null for what stands for no value; any other column as it is."""
    if column.dtype != pl.Utf8:
        return column
    text = column.str.strip_chars(BLANK)
    return pl.select(pl.when(~text.is_in(words)).then(text)).to_series().alias(column.name)


def as_numbers(column: pl.Series) -> pl.Series:
    """A column as float64; null where it holds no number. Commas, dots and spaces between
    thousands and a comma for the decimal point are understood, as the column's other cells tell.
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
    if numbers.null_count() == text.null_count() and not _is(text, EUROPEAN).any():
        return numbers
    plain = _without_thousands(text)
    return plain.cast(pl.Float64, strict=False)


def _signed(text: pl.Series) -> pl.Series:
    """Numbers below 0 as books and spreadsheets write them, `(3)`, `3-` and `−3`, as `-3`."""
    text = text.str.replace_many(list(WIDE), list(WIDE.values()))
    return text.str.replace(r"^\(([\d.,]+)\)$", "-$1").str.replace(r"^([\d.,]*\d[\d.,]*)-$", "-$1")


def _is(text: pl.Series, pattern: str) -> pl.Series:
    return text.str.contains(pattern).fill_null(False)


def _without_thousands(text: pl.Series) -> pl.Series:
    """Cells in the form that a program writes; a comma parts thousands where it does so in every
    cell that has one.
    """
    spaced = _is(text, THOUSANDS_SPACE)
    text = text.zip_with(~spaced, text.str.replace_all(r"[ \u00a0\u202f'’]", ""))
    with_comma = _is(text, ",")
    if _is(text, EUROPEAN).any() and not _is(text, r",\d{3}(,|\.|$)").any():
        dotted = _is(text, THOUSANDS_DOT)
        text = text.zip_with(~dotted, text.str.replace_all(".", "", literal=True))
    elif with_comma.any() and bool(_is(text, THOUSANDS_COMMA).filter(with_comma).all()):
        if not _is(text.filter(with_comma), r"^[+-]?0,").any():
            return text.str.replace_all(",", "", literal=True)
    decimal = _is(text, DECIMAL_COMMA)
    return text.zip_with(~decimal, text.str.replace_all(",", ".", literal=True))


def odd_number(column: pl.Series) -> str | None:
    """A cell, if there is one, that is read as a number only because of what its commas, dots or
    spaces are taken for.
    """
    if column.dtype != pl.Utf8:
        return None
    text = nothing(column)
    odd = text.filter(text.is_not_null() & text.cast(pl.Float64, strict=False).is_null())
    return str(odd[0]) if len(odd) else None


def as_truth(column: pl.Series) -> pl.Series | None:
    """A text column of words for true and false as booleans; None where some are neither. Digits
    alone are numbers.
    """
    text = nothing(column).str.to_lowercase()
    words = set(text.drop_nulls().unique().to_list())
    pairs = [{yes, no} for yes, no in YES_NO.items()]
    is_said = bool(words & {"true", "false"}) or any(pair <= words for pair in pairs)
    if not is_said or not words <= {*YES_NO, *YES_NO.values(), "1", "0"}:
        return None
    return (
        text.is_in([*YES_NO, "1"])
        .alias(column.name)
        .zip_with(text.is_not_null(), pl.Series([None], dtype=pl.Boolean))
    )


def as_seconds(column: pl.Series, time_format: str | None = None) -> pl.Series:
    """A column of times as float64 numbers (unit as given) or seconds since 1970 (dates); null
    where it is neither. Dates that stand for "never" are infinite.

    Args:
        time_format: how dates are written, such as `%d.%m.%Y`, as `strftime` has it.
    """
    if column.dtype.is_temporal():
        if column.dtype in (pl.Duration, pl.Time):
            return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
        moments = column.cast(pl.Datetime("us"), strict=False)
        return _without_sentinels(moments.dt.epoch("us").cast(pl.Float64) / 1e6)
    if time_format is not None:
        return _without_sentinels(_by_format(nothing(column.cast(pl.Utf8)), time_format))
    text = nothing(column)
    numbers = _numeric_times(as_numbers(text))
    if column.dtype != pl.Utf8 or numbers.null_count() == text.null_count():
        return numbers
    return numbers.fill_null(_without_sentinels(_iso_seconds(text)))


def written_as_days(column: pl.Series) -> bool:
    """Whether numbers such as 20230131 are dates rather than a count of anything."""
    return _day_pattern(as_numbers(column)) is not None


def _numeric_times(numbers: pl.Series) -> pl.Series:
    """Numbers as they are, but dates written as numbers in seconds, and 9999 as infinity."""
    pattern = _day_pattern(numbers)
    if pattern is not None:
        text = numbers.cast(pl.Int64, strict=False).cast(pl.Utf8)
        return _without_sentinels(_moments(text, pattern)).alias(numbers.name)
    numbers = numbers.fill_nan(None)
    numbers = numbers.zip_with(
        (numbers > LAST_EARLY_SENTINEL).fill_null(True), pl.Series([float("inf")])
    )
    scale = 1.0
    for _ in range(4):
        is_never = numbers.is_between(NEVER[0] * scale, NEVER[1] * scale).fill_null(False)
        numbers = numbers.zip_with(~is_never, pl.Series([float("inf")]))
        scale *= 1e3
    return numbers


def _day_pattern(numbers: pl.Series) -> str | None:
    known = numbers.drop_nulls().drop_nans()
    if not len(known) or not bool((known == known.floor()).all()):
        return None
    for digits, pattern in (
        (6, "%Y%m"),
        (8, "%Y%m%d"),
        (12, "%Y%m%d%H%M"),
        (14, "%Y%m%d%H%M%S"),
    ):
        if not known.is_between(10 ** (digits - 1), 10**digits - 1).all():
            continue
        text = known.cast(pl.Int64).cast(pl.Utf8)
        in_range = text.str.slice(0, 4).is_in([str(y) for y in (*range(1900, 2101), 9999)])
        if float(_moments(text.filter(in_range), pattern).is_not_null().sum()) >= 0.95 * len(known):
            return pattern
    return None


def _moments(text: pl.Series, pattern: str) -> pl.Series:
    """Seconds since 1970 by a format of dates, null where a cell does not fit; a month or a week
    without a day begins with its first.
    """
    if "%d" not in pattern and "%j" not in pattern and "%u" not in pattern and "%D" not in pattern:
        is_week = "%V" in pattern or "%W" in pattern or "%U" in pattern
        if is_week or "%m" in pattern or "%b" in pattern or "%B" in pattern:
            text, pattern = text + " 1", pattern + (" %u" if is_week else " %d")
    if ("%H" in pattern or "%I" in pattern) and "%M" not in pattern:
        text, pattern = text + ":00", pattern + ":%M"
    if "%H" not in pattern and "%I" not in pattern and "%T" not in pattern and "%R" not in pattern:
        days = text.str.to_date(pattern, strict=False).cast(pl.Datetime("us"))
        return days.dt.epoch("us").cast(pl.Float64) / 1e6
    found = text.str.to_datetime(pattern, time_unit="us", strict=False, time_zone=None)
    return found.dt.epoch("us").cast(pl.Float64) / 1e6


def _by_format(text: pl.Series, time_format: str) -> pl.Series:
    if "%z" in time_format:
        found = text.str.to_datetime(time_format, time_unit="us", strict=False, time_zone="UTC")
        return found.dt.epoch("us").cast(pl.Float64) / 1e6
    return _moments(text, time_format)


def _without_sentinels(seconds: pl.Series) -> pl.Series:
    """Dates from far outside any log as infinity: later than 2400, or up to 1900."""
    never = ((seconds >= FIRST_SENTINEL) | (seconds <= LAST_EARLY_SENTINEL)).fill_null(False)
    return seconds.zip_with(~never, pl.Series([float("inf")]))


PATTERNS = (
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%dT%H:%M",
    "%Y-%m-%d",
    "%Y/%m/%dT%H:%M:%S%.f",
    "%Y/%m/%dT%H:%M",
    "%Y/%m/%d",
    "%Y%m%dT%H%M%S",
    "%Y%m%dT%H:%M:%S",
    "%Y%m%dT%H:%M",
    "%d.%m.%YT%H:%M:%S",
    "%d.%m.%YT%H:%M",
    "%d.%m.%Y",
    "%Y-%m-%dT%H",
    "%Y-%m-%dT%I:%M:%ST%p",
    "%Y-%m-%dT%I:%MT%p",
    "%Y.%m.%dT%H:%M:%S",
    "%Y.%m.%dT%H:%M",
    "%Y.%m.%d",
    "%Y-%m",
    "%Y/%m",
    "%G-W%V-%u",
    "%G-W%V",
    *(
        day + tail
        for day in ("%d-%b-%Y",)
        for tail in ("", "T%H:%M:%S", "T%H:%M", "T%I:%M:%ST%p", "T%I:%MT%p")
    ),
)
"""Dates that can be read in one way only, as `_plain_dates` leaves them."""
AMBIGUOUS = tuple(
    day.replace("/", mark) + tail
    for tail in ("", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p")
    for mark in "/-"
    for day in ("%d/%m/%Y", "%m/%d/%Y")
)
"""Dates that can be read in two ways, unless some day of the column is above 12."""
SAMPLE = 200
"""Cells that a format is tried on before all of them."""


def fitting_formats(column: pl.Series) -> list[str]:
    """The formats, of those that can be mistaken for each other, that every stated cell fits."""
    if column.dtype != pl.Utf8:
        return []
    text = nothing(column).drop_nulls().unique().sort()
    if not len(text) or not _is(text.head(1), r"^\d{1,2}[/-]\d{1,2}[/-]\d{4}\b").any():
        return []
    tried = text.gather_every(max(len(text) // SAMPLE, 1))
    near = [f for f in AMBIGUOUS if not _moments(tried, f).null_count()]
    return [f for f in near if not _moments(text, f).null_count()]


_MONTH = r"([A-Za-z]{3})[a-z]*\.?"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_SPELLINGS: tuple[tuple[str, str], ...] = (
    (r"\s*([zZ]|UTC|GMT)$", "+00:00"),
    (r"(\d)\s+([+-]\d\d:?\d\d)$", "$1$2"),
    (r"\s*\[[\w/+-]+\]$", ""),
    (r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\.?,?\s+", ""),
    (r"^(\d{4})年(\d{1,2})月(\d{1,2})日\s*", "$1-$2-$3 "),
    (r"^(\d{4})年(\d{1,2})月$", "$1-$2"),
    (r"(\d)[时点](\d{1,2})分(\d{1,2})秒$", "$1:$2:$3"),
    (r"(\d)[时点](\d{1,2})分$", "$1:$2"),
    (r"(\d)[时点]$", "$1"),
    (rf"^{_MONTH}\s+(\d{{1,2}})\s+([\d:]+)\s+(\d{{4}})$", "$2-$1-$4 $3"),
    (rf"^{_MONTH}[ -]{_DAY},?[ -](\d{{4}})", "$2-$1-$3"),
    (rf"^{_DAY}[ -]{_MONTH},?[ -](\d{{4}})", "$1-$2-$3"),
    (r"(\d)\s*([AaPp])\.?[Mm]\.?$", "$1 ${2}M"),
)
"""Spellings of dates and what they are written as before they are read."""


def _plain_dates(column: pl.Series) -> pl.Series:
    """Dates without names of days and zones in brackets, with a `T` before the time of day."""
    text = column.str.strip_chars()
    for found, instead in _SPELLINGS if _is(text, r"[^\d:.+TZ /-]").any() else _SPELLINGS[:2]:
        text = text.str.replace(found, instead)
    return text.str.strip_chars_end().str.replace_all(r",?\s+", "T")


def _iso_seconds(column: pl.Series) -> pl.Series:
    """ISO 8601 dates and times, with or without an offset (without: UTC), as seconds since 1970."""
    text = _plain_dates(column)
    local = text.str.replace(r"[+-]\d\d(:?\d\d)?$", "")
    local = local.zip_with(_is(text, r"T.*[+-]\d\d(:?\d\d)?$"), text)
    local = local.zip_with(
        _is(local, r"(^|\D)\d{4}(\D|$)|^\d{8}T"), pl.Series([None], dtype=pl.Utf8)
    )
    offset = text.str.extract(r"T.*([+-]\d\d(:?\d\d)?)$").str.replace(":", "", literal=True)
    found = pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    for pattern in PATTERNS:
        found = found.fill_null(_moments(local, pattern))
        if found.null_count() == column.null_count():
            break
    minutes = offset.str.slice(1, 2).cast(pl.Float64, strict=False) * 60 + offset.str.slice(
        3, 2
    ).cast(pl.Float64, strict=False).fill_null(0.0)
    shift = (
        minutes
        * 60
        * offset.str.starts_with("-").replace_strict(
            [True, False], [-1.0, 1.0], default=None, return_dtype=pl.Float64
        )
    )
    return found - shift.fill_null(0.0)


def id_text(column: pl.Series) -> pl.Series:
    """Ids as text: whole floats lose their `.0`, in numbers (pandas makes floats of whole numbers
    with gaps) and in text where no id has another dot; what stands for no id is null.
    """
    if column.dtype.is_float():
        whole = (column.is_finite() & (column == column.round())).fill_null(False)
        text = column.cast(pl.Utf8).zip_with(
            ~whole, column.cast(pl.Int64, strict=False).cast(pl.Utf8)
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
