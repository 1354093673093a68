"""Times of events: parse them, convert them to seconds, and remove impossible ones."""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import polars as pl

from metarec.data.cells.clocks import clock_of
from metarec.data.cells.date_words import (
    OTHER_CALENDARS,
    without_buddhist_years,
    without_weekdays,
)
from metarec.data.cells.dates import (
    as_seconds,
    fitting_formats,
    in_digits,
    with_midnights,
    without_zero_dates,
    written_as_days,
)
from metarec.data.cells.parsing import (
    as_numbers,
    holds,
    nothing,
)
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.events.rows import Rows

MIN_EPOCH = 1e7
"""Seconds; times whose median is smaller (spring of 1970) are not seconds since 1970."""
FIRST_LIKELY = 4.7e8
"""Late 1984 in seconds; times whose median is smaller are hardly seconds since 1970."""
APPLE_ZERO = 978_307_200.0
"""1 January 2001 in seconds since 1970: the zero of the clock of Apple's programs."""
FIRST_APPLE, LAST_APPLE = 2.8e8, 8.5e8
"""Late 2009 and late 2027 in seconds since 2001; read as seconds since 1970 they are 1978 and 1996,
from when few logs exist.
"""
ROUNDED = r"^\d([.,]\d+)?[eE]\+\d+$"
"""Pattern of a long number that a spreadsheet rounded: `1.71E+09`."""
HOURS_FROM_UTC = "hours_from_utc"
"""Column of the events: offset of the local time from UTC in hours, where times state theirs."""
MAX_UNTIMED = 0.05
"""Events without a time, at or before 1970, or from the future are removed up to this share each.
"""
MAX_NEVER = 0.5
"""Events whose time stands for "never" are removed up to this share; above it their time is null.
"""
UNTIMED = "no time; taken as earlier than all events that have one, in a random order"
YEARS = (1970, 2100)
"""Range of numbers that are read as years; seconds and positions do not all lie in it."""
MIN_DAYS = 5
"""Minimum number of different times for reading them as months and days without a year."""


def with_times(rows: Rows, events: pl.DataFrame, time_format: str | None) -> pl.DataFrame:
    """Parse times to numbers: dates to seconds since 1970, numbers in the unit as given; remove
    unreadable ones. Times that stand for "never" are infinite.
    """
    stamps = in_digits(nothing(events["timestamp"]))
    if stamps.dtype.is_float():
        stamps = stamps.fill_nan(None)
    stamps, are_zero = without_zero_dates(stamps)
    stamps = stamps if time_format else with_midnights(without_weekdays(stamps))
    stamps = stamps if time_format else _in_our_years(rows, stamps)
    fitting = [] if time_format else fitting_formats(stamps)
    if len(fitting) == 1:
        (time_format,) = fitting
        why = (
            f"times such as {stamps.drop_nulls()[0]!r} were read as {time_format}, which alone fits"
        )
        rows.note("dates", why)
    times = as_seconds(stamps, time_format)
    times = times if time_format else _with_the_rest(rows, stamps, times)
    _note_rounded(rows, stamps)
    forms = " or ".join(fitting) or "%d/%m/%Y"
    form = "an ISO date" if time_format is None else f"a date as {time_format!r} says"
    rows.drop(
        "unreadable_rows",
        times.is_null() & stamps.is_not_null(),
        "timestamp",
        f"the time is neither seconds since 1970 nor {form} (a TOML file can say how dates are "
        f'written: time_format = "{forms}")',
    )
    is_written = time_format is None and not stamps.dtype.is_float()  # floats are seconds
    years = _of_years(times) if is_written else None
    if years is not None or (time_format is None and written_as_days(stamps)):
        rows.note("dates", f"times such as {stamps.drop_nulls()[0]} were read as dates")
    times = times if years is None else years
    if time_format is None and _without_years(times):
        why = (
            f"times such as {stamps.drop_nulls()[0]} look like a month and a day without a year: "
            f"only their order is right, and only within one year"
        )
        rows.note("odd_times", why)
    times = times.zip_with(~are_zero, pl.Series([float("inf")]))
    return events.with_columns(times.alias("timestamp"))


def _in_our_years(rows: Rows, stamps: pl.Series) -> pl.Series:
    """Return dates of the Buddhist calendar in ours, with a finding."""
    ours = without_buddhist_years(stamps)
    stated, read = stamps.drop_nulls(), ours.drop_nulls()
    if len(stated) and stated[0] != read[0]:
        why = f"times such as {stated[0]!r} are of the Buddhist calendar and were read as {read[0]}"
        rows.note("dates", why)
    return ours


def _of_years(times: pl.Series) -> pl.Series | None:
    """Return the first day of each year, in seconds, where all times are years such as `2021`; else
    None.
    """
    stated = times.drop_nulls()
    is_year = stated.is_between(*YEARS) & (stated == stated.round())
    if stated.n_unique() < 2 or not is_year.all():
        return None
    text = times.cast(pl.Int64, strict=False).cast(pl.Utf8) + "-01-01"
    return text.str.to_date(strict=False).cast(pl.Datetime("us")).dt.epoch("s").cast(pl.Float64)


def _without_years(times: pl.Series) -> bool:
    """Whether all times are a month and a day, such as `1111` for the 11th of November."""
    stated = times.drop_nulls().unique()
    if len(stated) < MIN_DAYS or not stated.is_between(101, 1231).all():
        return False
    is_day = (stated % 100).is_between(1, 31) & (stated == stated.round())
    return bool(is_day.all())


def _note_rounded(rows: Rows, stamps: pl.Series) -> None:
    """Add a finding where a spreadsheet rounded times."""
    rounded = stamps.filter(holds(stamps, ROUNDED)) if stamps.dtype == pl.Utf8 else stamps.head(0)
    if len(rounded):
        why = (
            f"times such as {rounded[0]!r} were rounded by a spreadsheet: many events have one "
            f"time that were at others; export them as text"
        )
        rows.note("dates", why)


def _with_the_rest(rows: Rows, given: pl.Series, times: pl.Series) -> pl.Series:
    """Parse the cells that `times` misses, in a column of two formats, by the only format that fits
    all of them; without one, return `times` as they are.
    """
    unread = (times.is_null() & given.is_not_null()) if given.dtype == pl.Utf8 else None
    if unread is None or not unread.any() or unread.all():
        return times
    rest = given.set(~unread, None)
    fitting = fitting_formats(rest)
    if len(fitting) != 1:
        return times
    why = f"times such as {rest.drop_nulls()[0]!r} were read as {fitting[0]}, which alone fits"
    rows.note("dates", why)
    return times.fill_null(as_seconds(rest, fitting[0]))


def to_seconds(rows: Rows, events: pl.DataFrame, config: CleaningConfig) -> pl.DataFrame:
    """Convert times of other clocks and of finer units to seconds. Seconds reach 1e11 in the year
    5138, so a larger number is in a finer unit; the unit is decided row by row, since sources may
    be mixed.
    """
    events = _by_its_clock(rows, events, config)
    stamps = events["timestamp"]
    fine = ((stamps >= 1e11) & stamps.is_finite()).fill_null(False)
    if not config.time_units or not fine.any():
        return events
    finer = pl.col("timestamp")
    seconds = (
        pl.when((finer < 1e11) | finer.is_infinite())
        .then(finer)
        .when(finer < 1e14)
        .then(finer / 1e3)
        .when(finer < 1e17)
        .then(finer / 1e6)
        .otherwise(finer / 1e9)
    )
    median = _median(stamps.filter(fine)) or 0.0
    unit = "milliseconds" if median < 1e14 else "microseconds" if median < 1e17 else "nanoseconds"
    rows.change("time_units", fine, "timestamp", f"times in {unit} were converted to seconds")
    return events.with_columns(seconds.alias("timestamp"))


def _by_its_clock(rows: Rows, events: pl.DataFrame, config: CleaningConfig) -> pl.DataFrame:
    """Convert times of a clock other than seconds since 1970 to seconds, see `clock_of`."""
    stamps = events["timestamp"]
    is_number = as_numbers(nothing(rows.given["timestamp"])).is_not_null().any()
    clock = clock_of(stamps.filter(~rows.bad)) if config.time_units and is_number else None
    if clock is None:
        return events
    why = f"times are {clock.words} and were converted to seconds"
    rows.change("time_units", stamps.is_not_null(), "timestamp", why)
    return events.with_columns(clock.seconds(stamps).alias("timestamp"))


def possible_times(rows: Rows, events: pl.DataFrame, config: CleaningConfig) -> pl.DataFrame:
    """Remove events whose time stands for "never", and events without a time, at or before 1970 or
    from the future where they are rare enough to be errors; other impossible times become null.
    """
    stamps = events["timestamp"]
    never = stamps.is_infinite().fill_null(False) & ~rows.bad
    if config.impossible_times and int(never.sum()) <= MAX_NEVER * len(stamps):
        why = "the time is out of range: it stands for none, as 9999-12-31 and 1900-01-01 do"
        rows.drop("impossible_times", never, "timestamp", why)
    else:
        why = "the time stands for none, as 9999-12-31 does; such events are left without one"
        given = rows.given["timestamp"]
        if given.dtype == pl.Utf8 and holds(given, OTHER_CALENDARS).filter(never).all():
            why = (
                "the year is of another calendar, such as the Persian or Islamic one, which is not "
                "read: events are left without a time; write the dates as 2023-01-31"
            )
        rows.change("impossible_times", never, "timestamp", why)
    is_finite = stamps.is_finite().fill_null(False)
    stamps = stamps.zip_with(is_finite, pl.Series([None], dtype=pl.Float64))
    if config.impossible_times:
        for mask, why in _impossible_times(stamps.filter(~rows.bad), stamps, config):
            rows.drop("impossible_times", mask, "timestamp", why)
        _note_odd_clock(rows, stamps.filter(~rows.bad), config)
    if config.impossible_times and _counts_seconds(stamps):  # 0 and -1 stand for no time
        stamps = stamps.zip_with(
            (~stamps.is_in([0.0, -1.0])).fill_null(True), pl.Series([None], dtype=pl.Float64)
        )
    untimed = stamps.is_null() & ~rows.bad
    if int((~untimed & ~rows.bad).sum()):
        rows.change("untimed", untimed, "timestamp", UNTIMED)
    return events.with_columns(stamps.alias("timestamp"))


def _now(config: CleaningConfig) -> float:
    """Return the time in seconds after which times lie in the future."""
    return time.time() + 86_400 if config.now is None else config.now


def _note_odd_clock(rows: Rows, stamps: pl.Series, config: CleaningConfig) -> None:
    """Add a finding where times are hardly seconds since 1970, or where some lie in the future."""
    median = _median(stamps)
    if median is None or median < MIN_EPOCH:
        return
    day = datetime.fromtimestamp(median, UTC).date()
    since_2001 = float(stamps.max() or 0.0) + APPLE_ZERO  # type: ignore[arg-type]  # numbers
    if FIRST_APPLE <= median < LAST_APPLE and since_2001 <= _now(config):
        day_2001 = datetime.fromtimestamp(median + APPLE_ZERO, UTC).date()
        why = (
            f"times lie about {day}, read as seconds since 1970; if they count from 2001, as "
            f"programs of Apple do (about {day_2001}), add 978307200 to each: now only their order "
            f"is right"
        )
        rows.note("odd_times", why)
    elif median < FIRST_LIKELY:
        why = (
            f"times lie about {day}, read as seconds since 1970; if they count minutes or days, "
            f"convert them: only their order is right"
        )
        rows.note("odd_times", why)
    now = _now(config)
    if late := int((stamps > now).sum()):
        why = f"{late:,} of {len(stamps):,} times lie in the future; they are kept, being many"
        rows.note("odd_times", why)


def _counts_seconds(stamps: pl.Series) -> bool:
    median = _median(stamps.filter((stamps != 0).fill_null(False)))
    return median is not None and median >= MIN_EPOCH


def _median(numbers: pl.Series) -> float | None:
    """Return the median of the numbers that are not null; None without any."""
    median: Any = numbers.median()
    return None if median is None else float(median)


def _impossible_times(
    readable: pl.Series, stamps: pl.Series, config: CleaningConfig
) -> Iterable[tuple[pl.Series, str]]:
    """Yield masks of missing, zero or earlier, and future times, each only where it is rare."""
    median = _median(readable)
    if median is None:
        return
    if readable.null_count() <= MAX_UNTIMED * len(readable):
        yield stamps.is_null(), "no time, while most events have one"
    if median < MIN_EPOCH:
        return
    now = _now(config)
    for mask, why in (
        (stamps <= 0, "the time is at or before 1970"),
        (stamps > now, "the time lies in the future"),
    ):
        if int(mask.sum()) <= MAX_UNTIMED * len(stamps):
            yield mask, why
