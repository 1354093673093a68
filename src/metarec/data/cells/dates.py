"""Parse cells to times: seconds since 1970 from dates in any common format; unreadable cells become
null, never an error.
"""

from __future__ import annotations

import polars as pl

from metarec.data.cells.date_words import without_eras, without_weekdays
from metarec.data.cells.parsing import as_numbers, holds, in_our_digits, nothing

FIRST_SENTINEL = 13_569_465_600.0
"""2400 in seconds since 1970: a date from here on stands for "never", as does one up to 1900."""
LAST_EARLY_SENTINEL = -2_208_902_400.0
"""2 January 1900 in seconds since 1970."""
NEVER = (253_370_764_800.0, 253_402_387_200.0)
"""The year 9999 in seconds since 1970."""


def as_seconds(column: pl.Series, time_format: str | None = None) -> pl.Series:
    """Parse a column of times to float64: numbers in the unit as given, dates to seconds since
    1970; null where a cell is neither. Dates that stand for "never" are infinite.

    Args:
        time_format: `strftime` format of the dates, such as `%d.%m.%Y`; None detects it.
    """
    if column.dtype.is_temporal():
        if column.dtype in (pl.Duration, pl.Time):
            return pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
        moments = column.cast(pl.Datetime("us"), strict=False)
        return _without_sentinels(moments.dt.epoch("us").cast(pl.Float64) / 1e6)
    if time_format is not None:
        return _without_sentinels(_by_format(nothing(column.cast(pl.Utf8)), time_format))
    text = _bare(nothing(column))
    numbers = _numeric_times(as_numbers(text))
    if column.dtype != pl.Utf8 or numbers.null_count() == text.null_count():
        return numbers
    return numbers.fill_null(_without_sentinels(_iso_seconds(text)))


def _bare(column: pl.Series) -> pl.Series:
    """Return .NET times such as `/Date(1709640283000)/` as bare milliseconds, and digits of other
    scripts as `0` to `9`.
    """
    if column.dtype != pl.Utf8 or not holds(column, r"^\\?/Date\(|[^ -~]").any():
        return column
    return in_our_digits(column).str.replace(r"^\\?/Date\((-?\d+)(?:[+-]\d{4})?\)\\?/$", "$1")


def in_digits(column: pl.Series) -> pl.Series:
    """Return a column of times with digits of other scripts as `0` to `9`."""
    if column.dtype != pl.Utf8 or not holds(column, r"[^ -~]").any():
        return column
    return in_our_digits(column)


def written_as_days(column: pl.Series) -> bool:
    """Whether the numbers are dates such as 20230131 rather than counts of a unit of time."""
    return _day_pattern(as_numbers(column)) is not None


NO_DAYS = [0.0, -1.0]
"""Numbers that stand for a missing day among days such as 20240131."""


def _numeric_times(numbers: pl.Series) -> pl.Series:
    """Return dates written as numbers in seconds since 1970, times that stand for "never" as
    infinity, and other numbers unchanged.
    """
    pattern = _day_pattern(numbers)
    if pattern is not None:
        text = numbers.cast(pl.Int64, strict=False).cast(pl.Utf8)
        days = _without_sentinels(_moments(text, pattern)).alias(numbers.name)
        return days.zip_with(~numbers.is_in(NO_DAYS).fill_null(False), numbers)
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
    known = known.filter(~known.is_in(NO_DAYS))
    if not len(known) or not bool((known == known.floor()).all()):
        return None
    for digits, pattern in (
        (6, "%Y%m"),
        (8, "%Y%m%d"),
        (10, "%Y%m%d%H"),
        (12, "%Y%m%d%H%M"),
        (14, "%Y%m%d%H%M%S"),
    ):
        if not known.is_between(10 ** (digits - 1), 10**digits - 1).all():
            continue
        text = known.cast(pl.Int64).cast(pl.Utf8)
        in_range = text.str.slice(0, 4).is_in([str(y) for y in (*range(1900, 2101), 9999)])
        if float(_moments(text.filter(in_range), pattern).is_not_null().sum()) >= 0.95 * len(known):
            return pattern
    if known.is_between(100_000, 399_999).all():  # 240131, of our days
        text = known.cast(pl.Int64).cast(pl.Utf8)
        if known.n_unique() > 1 and not _moments(text, "%y%m%d").null_count():
            return "%y%m%d"
    if known.is_between(1_970_001, 2_100_366).all():  # 2024061, the 61st day of 2024
        text = known.cast(pl.Int64).cast(pl.Utf8)
        if known.n_unique() > 1 and not _moments(text, "%Y%j").null_count():
            return "%Y%j"
    for digits, pattern in ((8, "%y%m%d%H"), (10, "%y%m%d%H%M")):  # 24013117, as logs of clicks
        century = 10 ** (digits - 2)
        if known.is_between(21 * century, 41 * century - 1).all() and known.n_unique() > 1:
            if not _moments(known.cast(pl.Int64).cast(pl.Utf8), pattern).null_count():
                return pattern
    return None


def _moments(text: pl.Series, pattern: str) -> pl.Series:
    """Parse dates by a format to seconds since 1970; null where a cell does not fit. A month or
    week without a day is its first day.
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
    moments = text.str.to_datetime(pattern, time_unit="us", strict=False, time_zone=None)
    return moments.dt.epoch("us").cast(pl.Float64) / 1e6


def _by_format(text: pl.Series, time_format: str) -> pl.Series:
    """Parse dates by a Python format to seconds since 1970; `%f` is a fraction of a second with any
    number of digits after a point, else with 3, 6 or 9.
    """
    time_format = time_format.replace(".%f", "%.f")
    if "%f" in time_format:
        lengths = (time_format.replace("%f", f"%{n}f") for n in (3, 6, 9))
        return max((_by_format(text, one) for one in lengths), key=lambda moments: moments.count())
    if "%z" in time_format:
        moments = text.str.to_datetime(time_format, time_unit="us", strict=False, time_zone="UTC")
        return moments.dt.epoch("us").cast(pl.Float64) / 1e6
    return _moments(text, time_format)


def _without_sentinels(seconds: pl.Series) -> pl.Series:
    """Return seconds since 1970 with infinity for dates from 2400 on or up to 1900."""
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
"""Unambiguous formats of dates, as normalized by `_plain_dates`."""
_TIMES = (
    *("", " %H:%M:%S", " %H:%M", " %I:%M:%S %p", " %I:%M %p"),
    *(", %H:%M:%S", ", %H:%M", ", %I:%M:%S %p", ", %I:%M %p"),
)
"""Formats of the time of day after a date; those with a comma are of browsers and Moodle."""
AMBIGUOUS = tuple(
    day.replace("/", mark) + tail
    for tail in _TIMES
    for mark in "/-"
    for day in ("%d/%m/%Y", "%m/%d/%Y")
)
"""Formats that cannot be told apart unless some day of the column is above 12."""
SHORT = tuple(
    day.replace("/", mark) + tail
    for tail in _TIMES
    for mark in "/-."
    for day in ("%d/%m/%y", "%m/%d/%y", "%y/%m/%d")
    if (mark, day) != (".", "%m/%d/%y")
)
"""Formats with a year of two digits, which is taken to be the part that varies least."""
SAMPLE = 200
"""Number of cells that a format is tried on before it is tried on all."""


def fitting_formats(column: pl.Series) -> list[str]:
    """Return the formats among `AMBIGUOUS` or `SHORT` that every cell with a value fits."""
    if column.dtype != pl.Utf8:
        return []
    text = without_weekdays(nothing(column)).drop_nulls().unique().sort()
    is_long = holds(text.head(1), r"^\d{1,2}[/-]\d{1,2}[/-]\d{4}\b").any()
    is_short = holds(text.head(1), r"^\d{1,2}([/.-])\d{1,2}[/.-]\d{2}(,?\s|$)").any()
    sample = text.gather_every(max(len(text) // SAMPLE, 1))
    formats = AMBIGUOUS if is_long else SHORT if is_short else ()
    near = [f for f in formats if not _moments(sample, f).null_count()]
    fitting = [f for f in near if not _moments(text, f).null_count()]
    years = {f: text.str.extract(_YEAR_OF[f[:2]], 1).n_unique() for f in fitting if is_short}
    return [f for f in fitting if not is_short or years[f] == min(years.values())]


def without_zero_dates(column: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Return times with null for `0000-00-00`, which MySQL writes for no date; and its mask."""
    if column.dtype != pl.Utf8:
        return column, pl.Series([False] * len(column), dtype=pl.Boolean)
    are_zero = holds(column, r"^(0000[-/.]00[-/.]00|00[-/.]00[-/.]0000)([T ][0:.]*)?Z?$")
    return column.set(are_zero, None), are_zero


def with_midnights(column: pl.Series) -> pl.Series:
    """Add midnight to bare days in a column whose other cells have a time of day; programs write
    midnight as a bare day.
    """
    if column.dtype != pl.Utf8:
        return column
    bare = holds(column, r"^\s*\d{1,2}[/-]\d{1,2}[/-]\d{2,4}\s*$")
    if not bare.any() or bare.all():
        return column
    others = column.filter(~bare & column.is_not_null())
    for pattern, midnight in _MIDNIGHTS.items():
        if holds(others, pattern).all() and len(others):
            return (column.str.strip_chars() + midnight).zip_with(bare, column)
    return column


_MIDNIGHTS = {
    r"\d:\d\d:\d\d$": " 00:00:00",
    r"\d:\d\d$": " 00:00",
    r"\d:\d\d:\d\d [AaPp][Mm]$": " 12:00:00 AM",
    r"\d:\d\d [AaPp][Mm]$": " 12:00 AM",
}
"""Pattern of a time of day -> midnight in the same format."""
_YEAR_OF = {**dict.fromkeys(("%d", "%m"), r"^\d+\D\d+\D(\d+)"), "%y": r"^(\d+)"}
"""Beginning of a format -> pattern whose group is the year."""
ZONES = {"CET": "+01:00", "CEST": "+02:00", "EST": "-05:00", "EDT": "-04:00", "PST": "-08:00"}
ZONES |= {"PDT": "-07:00", "JST": "+09:00", "KST": "+09:00", "MSK": "+03:00"}
"""Abbreviations that are taken to name one time zone, and their offsets from UTC."""
_MONTH = r"([A-Za-z]{3})[a-z]*\.?"
_DAY = r"(\d{1,2})(?:st|nd|rd|th|\.)?"
_OF_DIGITS: tuple[tuple[str, str], ...] = (
    (r"(\d:\d\d:\d\d),(\d+)$", "$1.$2"),
    (r"\s*([zZ]|UTC|GMT)$", "+00:00"),
    (r"(\d)\s+([+-]\d\d:?\d\d)$", "$1$2"),
    (r"^(\d{1,2})[/-](\d{4})$", "$2-$1"),
    (r"^(\d{4}):(\d\d):(\d\d)\s", "$1-$2-$3 "),
    (r"^(\d{4})\.\s+(\d{1,2})\.\s+(\d{1,2})\.?(\s|$)", "$1-$2-$3$4"),
)
_ENDS_A_DAY = r"T24:00(:00(\.0+)?)?$"
"""Pattern of midnight at the end of a day, as normalized by `_plain_dates`."""
_SPELLINGS: tuple[tuple[str, str], ...] = (
    (r"\s*\([\pL ]+\)$", ""),
    (r"^(\d{4})W([0-5]\d)$", "$1-W$2"),
    (r"^(\d{8});(\d{6})$", "${1}T$2"),
    (r"\s*(?:UTC|GMT)([+-]\d\d:?\d\d)$", "$1"),
    (r"([+-]\d\d:?\d\d)\s+(?:UTC|GMT|[A-Z]{3,4})$", "$1"),
    (r"(\d)\s?[hH]\s?([0-5]\d)$", "$1:$2"),
    (r"\s*(?:Uhr|hr?s?|h)\.?$", ""),
    (r"\s+(?:at|de|um|à|às|a las|alle ore|alle|kl\.?)\s+", " "),
    (r"\s+(?:de|of)\s+", " "),
    (r"(\d{4})\s*(?:г|р)\.(,?\s|$)", "$1$2"),
    (r"^(\d{1,2}-[A-Za-z]{3})-([0-6]\d)\b", "$1-20$2"),
    (r"^(\d{1,2}-[A-Za-z]{3})-([7-9]\d)\b", "$1-19$2"),
    (r"\s(\d{1,2})\.(\d\d)\.(\d\d)(?:\.\d+)?", " $1:$2:$3"),
    *_OF_DIGITS,
    (r"\s*\[[\w/+-]+\]$", ""),
    *((rf"\s+{zone}$", offset) for zone, offset in ZONES.items()),
    (r"^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*\.?,?\s+", ""),
    (r"^(\d{4})[年년]\s*(\d{1,2})[月월]\s*(\d{1,2})[日일]\s*", "$1-$2-$3 "),
    (r"^(\d{4})[年년]\s*(\d{1,2})[月월]$", "$1-$2"),
    (r"(\d)[时點点時시]\s*(\d{1,2})[分분]\s*(\d{1,2})[秒초]$", "$1:$2:$3"),
    (r"(\d)[时點点時시]\s*(\d{1,2})[分분]$", "$1:$2"),
    (r"(\d)[时點点時시]$", "$1"),
    (r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})\.?\s*([^\d\s:.])", "$1-$2-$3 $4"),
    (r"\s*(?:下午|午後|오후)\s*(1[3-9]|2[0-3]):", " $1:"),
    (r"\s*(?:上午|凌晨|早上|午前|오전)\s*(\d{1,2}:[\d:]+)$", " $1 AM"),
    (r"\s*(?:下午|午後|오후)\s*(\d{1,2}:[\d:]+)$", " $1 PM"),
    (r"^(\d{1,2})/([A-Za-z]{3})/(\d{4}):", "$1-$2-$3 "),
    (rf"^{_MONTH}\s+(\d{{1,2}})\s+([\d:]+)\s+(\d{{4}})$", "$2-$1-$4 $3"),
    (rf"^{_MONTH}\s+(\d{{1,2}})\s+([\d:]+)\s+([+-]\d{{4}})\s+(\d{{4}})$", "$2-$1-$5 $3$4"),
    (rf"^{_MONTH}-(\d{{1,2}})-([0-6]\d)\b", "$2-$1-20$3"),
    (rf"^{_MONTH}[ -](\d{{4}})$", "1-$1-$2"),
    (rf"^{_MONTH}[ -]{_DAY},?[ -](\d{{4}})", "$2-$1-$3"),
    (rf"^{_DAY}[ -]{_MONTH},?[ -](\d{{4}})", "$1-$2-$3"),
    (r"(\d)\s*([AaPp])\.?[Mm]\.?$", "$1 ${2}M"),
)
"""Spellings of dates and what they are written as before they are read."""
_MONTHS = {
    **dict.fromkeys(("jän", "ene", "gen", "oca", "янв"), "Jan"),
    **dict.fromkeys(("fév", "fev", "şub", "фев"), "Feb"),
    **dict.fromkeys(("mär", "mrz", "maa", "мар"), "Mar"),
    **dict.fromkeys(("avr", "abr", "nis", "апр"), "Apr"),
    **dict.fromkeys(("mai", "mag", "mei", "май", "мая"), "May"),
    **dict.fromkeys(("juin", "giu", "haz", "июн"), "Jun"),
    **dict.fromkeys(("juil", "lug", "tem", "июл"), "Jul"),
    **dict.fromkeys(("aoû", "aou", "ago", "ağu", "авг"), "Aug"),
    **dict.fromkeys(("set", "eyl", "сен"), "Sep"),
    **dict.fromkeys(("out", "okt", "ott", "eki", "окт"), "Oct"),
    **dict.fromkeys(("kas", "ноя"), "Nov"),
    **dict.fromkeys(("dez", "déc", "dic", "ara", "дек"), "Dec"),
}
"""Beginnings of names of months in further languages that English names do not have."""


def _plain_dates(column: pl.Series) -> pl.Series:
    """Normalize dates for `PATTERNS`: no weekdays or zones in brackets, `T` before the time."""
    text = column.str.strip_chars()
    text = text.str.replace(r"^\[(.*)\]$", "$1")
    is_spelled = bool(holds(text, r"[^\d:.+TZ, /-]").any())
    text = _with_months(without_eras(text)) if is_spelled else text
    for spelling, instead in _SPELLINGS if is_spelled else _OF_DIGITS:
        text = text.str.replace(spelling, instead)
    return text.str.strip_chars_end().str.replace_all(r",?\s+", "T")


def _with_months(text: pl.Series) -> pl.Series:
    """Replace names of months in other languages by English ones."""
    if not holds(text, rf"(?i)\b({'|'.join(_MONTHS)})").any():
        return text
    for start, english in _MONTHS.items():
        text = text.str.replace(rf"(?i)\b{start}\pL*", english)
    return text


def _iso_seconds(column: pl.Series) -> pl.Series:
    """ISO 8601 dates and times, with or without an offset (without: UTC), as seconds since 1970."""
    text = _plain_dates(column)
    local = text.str.replace(r"[+-]\d\d(:?\d\d)?$", "")
    local = local.zip_with(holds(text, r"\dT.*[+-]\d\d(:?\d\d)?$"), text)
    local = local.zip_with(
        holds(local, r"(^|\D)\d{4}(\D|$)|^\d{8}T"), pl.Series([None], dtype=pl.Utf8)
    )
    offset = text.str.extract(r"\dT.*([+-]\d\d(:?\d\d)?)$").str.replace(":", "", literal=True)
    seconds = pl.Series(column.name, [None] * len(column), dtype=pl.Float64)
    for pattern in PATTERNS:
        seconds = seconds.fill_null(_moments(local, pattern))
        if seconds.null_count() == column.null_count():
            break
    else:
        ends = holds(local, _ENDS_A_DAY)
        if ends.any():  # the day after begins
            days = local.set(~ends, None).str.replace(_ENDS_A_DAY, "")
            seconds = seconds.fill_null(_iso_seconds(days) + 86_400)
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
    return seconds - shift.fill_null(0.0)
