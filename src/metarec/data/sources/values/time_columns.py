"""Find the time of events where no column `timestamp` holds it: a date and a time of day in two
columns, or a column of another name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from metarec.data.cells.clocks import SPREADSHEET
from metarec.data.cells.dates import without_zero_dates
from metarec.data.cells.parsing import as_numbers, nothing
from metarec.data.findings import Finding, noted
from metarec.data.names.column_names import (
    CANONICAL,
    HAPPENINGS,
    plain,
)
from metarec.data.names.date_names import (
    names_a_duration,
    names_a_later_date,
    names_a_moment,
    names_another_date,
)
from metarec.data.sources.values.dated_cells import (
    DAY,
    LOOKED_AT,
    all_are,
    are_mostly_valid_dates,
    are_seconds,
    is_dated,
)
from metarec.data.sources.values.time_choice import (
    another_time,
    belongs_to,
    of_several,
)

CLOCK = r"^\d{1,2}:\d\d(:\d\d(\.\d+)?)?(\s*[AaPp][Mm])?$"
"""Pattern of a time of day."""
DATED = (
    r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4}|\d{4}年\d+月\d+日"
    r"|\d{4}\. \d{1,2}\. \d{1,2}\.?"
    r"|\d{1,2}[- ][A-Z][a-z]{2,8}[- ]\d{4}|\d{1,2}-[A-Z]{3}-\d\d(\d\d)?"
    r"|[A-Z][a-z]{2,8}\.? \d{1,2},? \d{4}"
    r"|[A-Z][a-z]{2}, \d{1,2} [A-Z][a-z]{2} \d{4}"
    r"|\d{1,2}\.?( de)? \pL{3,10}\.?( de)? \d{4}( г\.)?,?)"
    r"([ T]+((上午|下午|午前|午後|오전|오후)\s*)?\d{1,2}[:.]\d\d.*)?$"
    r"|^\\?/Date\(-?\d+([+-]\d{4})?\)\\?/$"
)
"""Pattern of a date that cannot be a number, with or without a time of day."""
PARTS = {
    "year": ("year", "yyyy", "年", "年份"),
    "month": ("month", "mm", "月", "月份"),
    "day": ("day", "dayofmonth", "dd", "日", "日期日"),
    "hour": ("hour", "hh", "时", "小时"),
    "minute": ("minute", "minutes", "min", "分", "分钟"),
    "second": ("second", "seconds", "sec", "秒"),
}
"""Part of a date -> names of columns of it, as `plain` returns them."""
MONTHS = (
    r"^((19|20)\d\d[-/.]?(0?[1-9]|1[0-2])|(0?[1-9]|1[0-2])[/-](19|20)\d\d|"
    r"[A-Z][a-z]{2,8}\.?[ -]\d{4}|\d{4}年\d{1,2}月)$"
)
"""Pattern of a month of a year."""
WEEKS = r"^(19|20)\d\d-?W[0-5]\d(-[1-7])?$"
"""Pattern of a week of a year."""
_OF_MONTHS = re.compile(r"(month|yearmonth|monthyear|period|yyyymm|月份|年月|月)$")
"""Pattern of names of columns of months, as `plain` returns them."""
_BEGINNINGS = ("start", "starts", "begin", "from", "开始", "起始")
"""Words in the name of a time of day that belongs to the only date."""
_OF_DAYS = re.compile(
    r"(datum|tag|uhrzeit|zeit|jour|heure|dia|día|fecha|hora|data|giorno|ora|tarih|saat|дата|время|"
    r"日付|時刻|時間|日|날짜|시간|시각|일자|일시)$"
    r"|^(date|heure|fecha|hora|data|ora)(?=d[eu']?)"
)
"""Pattern of names of dates and times of day in other languages, as `plain` returns them."""
_HOURS = ("hour", "hours", "hr", "dayhour", "datehour", "ymdh", "小时")
"""Names of columns of hours, as `plain` returns them."""
_HOURS_OF_DAYS = ((r"^\d{8}$", "%y%m%d%H"), (r"^20\d{8}$", "%Y%m%d%H"))
"""Patterns of an hour of a certain date, and their formats."""


def with_moment(
    frame: pl.DataFrame, place: str, context: Sequence[str], named: Mapping[str, str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set `timestamp` from a date and a time of day in two columns, from parts of a date, or from
    the only column that may hold the time of events. Where several may, return findings that name
    them.

    Args:
        context: names of context columns given by the user.
        named: canonical name -> column in the file.
    """
    reserved = set(CANONICAL["interactions"]) - {"timestamp"}
    others = [c for c in frame.columns if c not in (*reserved, *context)]
    free = [c for c in others if names_a_moment(c) and not names_another_date(c)]
    free = [c for c in free if not names_a_duration(c)]
    called = {c: named.get(c, c) for c in others}
    candidates = [c for c in others if c in free or _OF_DAYS.search(plain(called[c]))]
    clocks = [c for c in candidates if all_are(frame[c], CLOCK)]
    days = [c for c in candidates if all_are(frame[c], DAY)]
    pairs = [(d, c) for d in days for c in clocks if _about(called[d]) == _about(called[c])]
    if not pairs and len(days) == 1:  # `ClassDate`, `StartTime`
        pairs = [(days[0], c) for c in clocks if _about(called[c]) in _BEGINNINGS]
    if not pairs and len(clocks) == 1 and not _about(called[clocks[0]]):  # `Visit Date`, `Time`
        pairs = [(d, clocks[0]) for d in days if _are_side_by_side(frame, d, clocks[0])]
    acts = [(d, c) for d, c in pairs if not names_a_later_date(called[d])]
    pairs = acts if len(acts) == 1 else pairs
    if len(pairs) == 1 and ("timestamp" not in frame.columns or "timestamp" in pairs[0]):
        day, clock = pairs[0]
        both = pl.concat_str(_text(day), _text(clock), separator=" ").alias("timestamp")
        why = (
            f"day and time of day of {place} ({called[day]!r}, {called[clock]!r}) were put together"
        )
        return frame.with_columns(both).drop({day, clock} - {"timestamp"}), [noted("columns", why)]
    if (serial := _of_spreadsheet(frame, free, called, place)) is not None:
        return serial
    if "timestamp" in frame.columns:
        return _as_stated(frame, others, called, named, place)
    if (hours := _of_hours(frame, others, place)) is not None:
        return hours
    if (parts := _of_parts(frame, others)) is not None:
        why = f"year, month and day of {place} were put together as timestamp"
        return parts, [noted("columns", why)]
    named_so, free = free, _dated(frame, others, free)
    if not free:
        messages = [_unread_times(frame[c], place) for c in named_so]
        return frame, [noted("columns", message) for message in messages if message is not None]
    return of_several(frame, free, place)


def _are_side_by_side(frame: pl.DataFrame, day: str, clock: str) -> bool:
    """Whether the column of a time of day directly follows that of a date."""
    return frame.columns.index(clock) == frame.columns.index(day) + 1


def _as_stated(
    frame: pl.DataFrame,
    others: Sequence[str],
    called: Mapping[str, str],
    named: Mapping[str, str],
    place: str,
) -> tuple[pl.DataFrame, list[Finding]]:
    """Keep the given `timestamp`, unless its cells are times of day, where no column holds dates
    that they may belong to, or of attended events.
    """
    is_clock = all_are(frame["timestamp"], CLOCK)
    if is_clock and not any(all_are(frame[c], DAY) or is_dated(frame[c]) for c in others):
        return _of_day_alone(frame, named.get("timestamp", ""), place)
    if plain(named.get("item_id", "")) in HAPPENINGS:
        return _not_of_events(frame, others, called, place)
    return another_time(frame, others, called["timestamp"], place)


def _of_day_alone(
    frame: pl.DataFrame, file_column: str, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Keep times of day without a date as context."""
    name = file_column if file_column and file_column not in frame.columns else "time_of_day"
    why = (
        f"column {file_column or 'timestamp'!r} of {place} holds times of day without a date: "
        f"events have no time, and it is kept as context ({name})"
    )
    return frame.rename({"timestamp": name}), [noted("columns", why)]


def _not_of_events(
    frame: pl.DataFrame, others: Sequence[str], called: Mapping[str, str], place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Replace a `timestamp` of attended events (`event_time`, where items are `event_id`) by the
    only other column of times, which states when users acted.
    """
    file_column = called["timestamp"] if "timestamp" in called else ""
    if not plain(file_column).startswith("event"):
        return frame, []
    free = [c for c in others if c != "timestamp" and not names_another_date(c)]
    free = [c for c in free if not nothing(frame[c]).null_count() and is_dated(frame[c])]
    free = [c for c in free if not any(belongs_to(frame, k, c) for k in ("user_id", "item_id"))]
    if len(free) != 1:
        return frame, []
    why = (
        f"column {free[0]!r} of {place} was read as timestamp: {file_column!r} says when the "
        f"events that users chose take place"
    )
    return frame.rename({"timestamp": file_column, free[0]: "timestamp"}), [noted("columns", why)]


def _of_spreadsheet(
    frame: pl.DataFrame, columns: Sequence[str], called: Mapping[str, str], place: str
) -> tuple[pl.DataFrame, list[Finding]] | None:
    """Set `timestamp` from a date and a time of day as in spreadsheets: a number of days, and a
    fraction of a day. None where there is no such pair of columns.
    """
    columns = [c for c in columns if not frame[c].dtype.is_temporal()]
    for rows in (frame.head(LOOKED_AT), frame):  # the first tell most tables
        numbers = {c: as_numbers(rows[c]) for c in columns}
        numbers = {c: n for c, n in numbers.items() if len(n) and not n.null_count()}
        days = [c for c, n in numbers.items() if SPREADSHEET.counts(n)]
        days = [c for c in days if (numbers[c] == numbers[c].floor()).all()]
        parts = [c for c, n in numbers.items() if n.is_between(0, 1, closed="left").all()]
        if len(days) != 1 or len(parts) != 1:
            return None
    day, clock = days[0], parts[0]
    both = (numbers[day] + numbers[clock]).alias("timestamp")
    why = f"day and time of day of {place} ({called[day]!r}, {called[clock]!r}) were put together"
    return frame.drop({day, clock} - {"timestamp"}).with_columns(both), [noted("columns", why)]


def _of_hours(
    frame: pl.DataFrame, others: Sequence[str], place: str
) -> tuple[pl.DataFrame, list[Finding]] | None:
    """Set `timestamp` from a column of hours of certain dates (14102117 in Avazu); else None."""
    for column in (c for c in others if plain(c) in _HOURS):
        text = frame[column].cast(pl.Utf8, strict=False)
        form = next((f for digits, f in _HOURS_OF_DAYS if all_are(text, digits)), None)
        if form is None or text.null_count():
            continue
        hours = (text + "00").str.to_datetime(f"{form}%M", strict=False)
        if not hours.null_count() and hours.n_unique() > 1:
            seconds = hours.dt.epoch("s").cast(pl.Float64).alias("timestamp")
            why = f"column {column!r} of {place} was read as timestamp: its cells are dates"
            return frame.drop(column).with_columns(seconds), [noted("columns", why)]
    return None


def _unread_times(column: pl.Series, place: str) -> str | None:
    """Return a message if a column named like the time of events is unreadable; else None."""
    cells = (
        nothing(column).drop_nulls() if column.dtype == pl.Utf8 else pl.Series([], dtype=pl.Utf8)
    )
    is_dated = bool(cells.str.contains(r"\d").all()) and not all_are(column, CLOCK)
    if not len(cells) or not is_dated or as_numbers(cells).is_not_null().all():
        return None
    return (
        f"column {column.name!r} of {place} is called like the time of events, and its cells such "
        f"as {cells[0]!r} cannot be read as one: events have no time; say how it is written in a "
        f"TOML file (columns = {{ timestamp = {column.name!r} }}, time_format = '%d.%m.%Y')"
    )


def _of_parts(frame: pl.DataFrame, others: Sequence[str]) -> pl.DataFrame | None:
    """Set `timestamp` from columns of year, month and day, and of hour, minute and second where
    there are such; None without a valid date in every row.
    """
    called = {plain(c): c for c in reversed(others)}
    column_by_part = {
        part: next((called[n] for n in names if n in called), None) for part, names in PARTS.items()
    }
    columns = [c for c in column_by_part.values() if c is not None]
    if None in (column_by_part["year"], column_by_part["month"], column_by_part["day"]):
        return None
    numbers = {
        p: as_numbers(frame[c]).cast(pl.Int64, strict=False) for p, c in column_by_part.items() if c
    }
    parts = pl.DataFrame([number.alias(part) for part, number in numbers.items()])
    for part in ("hour", "minute", "second"):
        if part not in parts.columns:
            parts = parts.with_columns(pl.lit(0).alias(part))
    complete = parts.drop_nulls()
    is_date = complete["month"].is_between(1, 12) & complete["day"].is_between(1, 31)
    is_date &= complete["year"].is_between(1970, 2100) & complete["hour"].is_between(0, 23)
    if complete.height < parts.height or not is_date.all() or not complete.height:
        return None
    text = "{:04d}-{:02d}-{:02d} {:02d}:{:02d}:{:02d}"
    cells = [text.format(*row) for row in parts.select(*PARTS).rows()]
    return frame.drop(columns).with_columns(pl.Series("timestamp", cells))


def _dated(frame: pl.DataFrame, others: Sequence[str], called: Sequence[str]) -> list[str]:
    """Return the columns that may hold the time of events: several columns of dates with a name for
    it, else all columns of dates; without any, columns of seconds, months or weeks.
    """
    free = [c for c in called if is_dated(frame[c])]
    if len([c for c in free if not names_a_later_date(c)]) > 1:
        return free
    others = [c for c in others if not free or not names_another_date(c)]
    dated = [c for c in others if all_are(without_zero_dates(frame[c])[0], DATED)]
    dated = [c for c in dated if are_mostly_valid_dates(frame[c])]
    free = [c for c in others if c in (*free, *dated)]
    free = free or [c for c in others if are_seconds(frame[c])]
    months = [c for c in others if _OF_MONTHS.search(plain(c))]
    free = free or [c for c in months if all_are(frame[c], MONTHS)]
    free = free or [c for c in others if all_are(frame[c], WEEKS)]
    return free or [c for c in others if are_seconds(frame[c], allow_zeros=True)]


def _about(name: str) -> str:
    """Return a name without words for a time: `order` of `order_date` and `order_time`."""
    bare = re.sub(r"(timestamp|datetime|date|time|day|日期|时间)$", "", plain(name))
    return _OF_DAYS.sub("", bare)


def _text(column: str) -> pl.Expr:
    return pl.col(column).cast(pl.Utf8).str.strip_chars()
