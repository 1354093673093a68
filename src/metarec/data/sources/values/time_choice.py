"""Choose the time of events among columns of dates: dates of what came later (a return, a delivery,
a change) give way to others, mostly empty columns to fuller ones, later dates to earlier ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from metarec.data.cells.clocks import SPREADSHEET
from metarec.data.cells.dates import without_zero_dates
from metarec.data.cells.parsing import as_numbers, nothing
from metarec.data.findings import Finding, noted
from metarec.data.names.column_matching import AS_GIVEN
from metarec.data.names.date_names import (
    is_known_moment,
    names_a_later_date,
    names_another_date,
)
from metarec.data.sources.values.dated_cells import all_are, are_seconds, is_dated, seconds_of

EARLIEST = 315_532_800.0
"""Seconds from 1970 to 1980, below which numbers are hardly times."""
DAY_LENGTH, ZONES_WIDTH = 86_400.0, 14 * 3600.0
"""Seconds of a day, and maximum distance of a time zone from UTC."""
MONTH = r"^(19|20)\d\d(0[1-9]|1[0-2])$"
"""Pattern of a month as a number."""
MAX_GAPS = 0.1
"""Maximum share of rows without a date for a column to be stated in nearly all rows."""
MAX_EMPTY = 0.5
"""Maximum share of rows without a date for a column of later dates to be the time of events."""
MIN_FIRST = 0.95
"""Minimum share of rows in which the earliest of several dates is before another."""
_LOGGED = re.compile(
    r"^(insert|import|export|sync|upload|receiv|ingest|process|updat|modif|server)"
    r"|^(更新|修改|导入|导出)",
    re.IGNORECASE,
)
"""Pattern of names of dates at which a program wrote or moved a row."""


def of_several(
    frame: pl.DataFrame, free: Sequence[str], place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set `timestamp` from the likeliest of several columns of dates. Return events and a finding
    on the choice, or on the columns where there is none.
    """
    varied = [c for c in free if frame[c].n_unique() > 1 and not _LOGGED.search(c)]
    stated = [c for c in varied if _gaps(frame, c) <= MAX_EMPTY] or varied or list(free)
    acts = _without_copies(frame, [c for c in stated if not names_a_later_date(c)] or stated)
    full = [c for c in acts if _gaps(frame, c) <= MAX_GAPS and not _of_a_side(frame, c)]
    left = [c for c in varied if c not in acts]
    if len(acts) == 1 and (not full or all(map(names_a_later_date, left))):
        return only_dates(frame, acts[0], place, left)
    if len(full) == 1:
        why = (
            f"column {full[0]!r} of {place} was read as timestamp: of those that may say when "
            f"events were, it alone is stated in all rows"
        )
        if _gaps(frame, full[0]):
            why = why.replace("in all rows", "in nearly all rows")
        return frame.rename({full[0]: "timestamp"}), [noted("columns", why)]
    if (first := _earliest(frame, full)) is not None:
        chosen, is_always = first
        why = (
            f"column {chosen!r} of {place} was read as timestamp: of those that may say when "
            f"events were, it is the earliest in all rows; if another does, say so in a TOML file "
            f"(columns = {{ timestamp = {_other(full, chosen)!r} }})"
        )
        if not is_always:
            why = why.replace("in all rows", "in nearly all rows")
        return frame.rename({chosen: "timestamp"}), [noted("columns", why)]
    listed = ", ".join(map(repr, acts))
    why = (
        f"columns {listed} of {place} may say when events were, and none of them is taken; say "
        f"which in a TOML file (columns = {{ timestamp = {acts[0]!r} }})"
    )
    return frame, [noted("columns", why)]


def only_dates(
    frame: pl.DataFrame, name: str, place: str, later: Sequence[str] = ()
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set `timestamp` from the only column of dates, unless these are dates of users or items, or
    of what came later and seldom did.

    Args:
        later: columns of other dates, which are not taken.
    """
    is_later = names_a_later_date(name)
    is_seldom = is_later and _gaps(frame, name) > MAX_EMPTY
    if _of_a_side(frame, name) or names_another_date(name) or is_seldom:
        why = (
            f"column {name!r} of {place} holds dates, but not when events were, as it seems; if "
            f"it does, say so in a TOML file (columns = {{ timestamp = {name!r} }})"
        )
        return frame, [noted("columns", why)]
    why = f"column {name!r} of {place} was read as timestamp: its cells are dates"
    later = [c for c in later if names_a_later_date(c)]
    if later and not is_later:
        why += f", and {', '.join(map(repr, later))} may say what came after the events"
    elif is_later:
        why = (
            f"column {name!r} of {place} was read as timestamp, though it says what came after "
            f"the events: no other column says when they were"
        )
    return frame.rename({name: "timestamp"}), [noted("columns", why)]


def another_time(
    frame: pl.DataFrame, others: Sequence[str], file_column: str, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Replace a `timestamp` that is mostly empty or holds no times (`time` for how long an answer
    took) by a column of dates in nearly all rows. Keep one that was chosen by the ending of its
    name (`watched_at`), with a finding where another column may be the time as well.

    Args:
        file_column: name of the `timestamp` column in the file.
    """
    gaps, is_small = _gaps(frame, "timestamp"), _are_small(frame["timestamp"])
    if gaps <= MAX_EMPTY and not is_small and is_known_moment(file_column):
        return _finer(frame, others, file_column, place) or (
            frame,
            _of_acts(frame, others, file_column, place),
        )
    free = [c for c in others if c != "timestamp" and not names_another_date(c)]
    free = [c for c in free if not names_a_later_date(c) and not _LOGGED.search(c)]
    free = [c for c in free if is_dated(frame[c]) and not _of_a_side(frame, c)]
    free = [c for c in free if _gaps(frame, c) <= MAX_GAPS and frame[c].n_unique() > 1]
    if not free:
        return frame, []
    file_column = file_column if file_column not in frame.columns else f"{file_column}{AS_GIVEN}"
    kept = frame.rename({"timestamp": file_column})
    if gaps > MAX_EMPTY:
        chosen, findings = of_several(kept, free, place)
        why = (
            f"column {file_column!r} of {place} holds no date in most rows, and is not read as "
            f"timestamp"
        )
        return chosen, [noted("columns", why), *findings]
    if is_small:
        chosen, findings = of_several(kept, free, place)
        why = (
            f"column {file_column!r} of {place} holds numbers that are no times of dates, and is "
            f"not read as timestamp"
        )
        is_chosen = "timestamp" in chosen.columns
        return (chosen, [noted("columns", why), *findings]) if is_chosen else (frame, findings)
    chosen, findings = of_several(kept, [file_column, *free], place)
    if "timestamp" in chosen.columns:
        return chosen, findings
    why = (
        f"column {file_column!r} of {place} was read as timestamp; {free[0]!r} may say when events "
        f"were, too: if it does, say so in a TOML file (columns = {{ timestamp = {free[0]!r} }})"
    )
    return frame, [noted("columns", why)]


def _finer(
    frame: pl.DataFrame, others: Sequence[str], given: str, place: str
) -> tuple[pl.DataFrame, list[Finding]] | None:
    """Replace a `timestamp` of bare days by the only column of seconds or milliseconds of these
    days, in whichever time zone: `date` beside `time_ms`. None without one.
    """
    named = [c for c in others if c != "timestamp" and are_seconds(frame[c])]
    named = [c for c in named if not names_another_date(c) and not names_a_later_date(c)]
    named = [c for c in named if not _LOGGED.search(c) and not _gaps(frame, c)]
    if len(named) != 1:
        return None
    days = seconds_of(frame["timestamp"])
    if days.null_count() or (days % DAY_LENGTH != 0).any():
        return None
    times = seconds_of(frame[named[0]])
    if (times > 100 * EARLIEST).any():  # milliseconds
        times = times / 1000
    if not (times - days).is_between(-ZONES_WIDTH, DAY_LENGTH + ZONES_WIDTH).all():
        return None
    why = (
        f"column {named[0]!r} of {place} was read as timestamp: it says the time of day for the "
        f"days in {given!r}"
    )
    given = given if given not in frame.columns else f"{given}{AS_GIVEN}"
    return frame.rename({"timestamp": given, named[0]: "timestamp"}), [noted("columns", why)]


def _of_acts(frame: pl.DataFrame, others: Sequence[str], given: str, place: str) -> list[Finding]:
    """Return a finding on another date that says when an act was done: `Watched Date` beside
    `Date`, which may be that of the entry.
    """
    named = [c for c in others if c != "timestamp" and _ACTED.search(c) and is_dated(frame[c])]
    named = [c for c in named if _gaps(frame, c) <= MAX_GAPS and not _of_a_side(frame, c)]
    times = seconds_of(frame["timestamp"]) if named else None
    if times is None or not (times != seconds_of(frame[named[0]])).any():
        return []
    why = (
        f"column {given!r} of {place} was read as timestamp; {named[0]!r} may say when events "
        f"were, too: if it does, say so in a TOML file (columns = {{ timestamp = {named[0]!r} }})"
    )
    return [noted("columns", why)]


_ACTED = re.compile(
    r"^(date|time)?[_\W]*(watch|play|read|listen|visit|view|bought|purchas|order|tast)"
    r"(ed|ened)?[_\W]*(date|time|on|at)?$",
    re.IGNORECASE,
)
"""Pattern of names of dates of acts."""


def _are_small(column: pl.Series) -> bool:
    """Whether all stated cells are numbers below the seconds of 1980 that are no dates either."""
    numbers = as_numbers(column) if not column.dtype.is_temporal() else column.clear()
    stated = numbers.drop_nulls()
    if not len(stated) or len(stated) < len(nothing(column).drop_nulls()):
        return False
    if not (stated < EARLIEST).all() or SPREADSHEET.counts(stated):
        return False
    return not is_dated(column) and not all_are(column, MONTH)


def _gaps(frame: pl.DataFrame, column: str) -> float:
    """Share of rows without a date."""
    cells, _ = without_zero_dates(frame[column])
    return nothing(cells).null_count() / max(frame.height, 1)


def _without_copies(frame: pl.DataFrame, columns: Sequence[str]) -> list[str]:
    """Return columns of dates without those that equal an earlier one in all rows."""
    kept = dict[str, pl.Series]()
    for column in columns:
        times = seconds_of(frame[column])
        if not any(bool(times.eq_missing(other).all()) for other in kept.values()):
            kept[column] = times
    return list(kept)


def _earliest(frame: pl.DataFrame, columns: Sequence[str]) -> tuple[str, bool] | None:
    """Return the column of dates before all others in nearly every row, and whether it is in all;
    None without one.
    """
    if len(columns) < 2:
        return None
    times = {c: seconds_of(frame[c]) for c in columns}
    means = {c: float(times[c].mean() or 0.0) for c in columns}  # type: ignore[arg-type]  # numbers
    first = min(columns, key=lambda c: means[c])
    if names_another_date(first):
        return None
    first = next((c for c in columns if c != first and _is_finer(times, c, first)), first)
    others = [c for c in columns if c != first and not _is_finer(times, first, c)]
    shares = [_share_before(times[first], times[c]) for c in others]
    least = min(shares, default=1.0)
    return (first, least == 1.0) if least >= MIN_FIRST else None


def _share_before(times: pl.Series, others: pl.Series) -> float:
    """Share of the rows with both times in which the first is not after the other."""
    before = (times <= others).drop_nulls()
    return float(before.sum()) / len(before) if len(before) else 0.0


def _is_finer(times: Mapping[str, pl.Series], column: str, other: str) -> bool:
    """Whether a column states the time of day for the dates in another column."""
    days = times[column] - times[column] % 86_400
    return bool((days == times[other]).all()) and bool((days != times[column]).any())


def _other(columns: Sequence[str], first: str) -> str:
    return next(c for c in columns if c != first)


def _of_a_side(frame: pl.DataFrame, name: str) -> bool:
    """Whether a column of dates belongs to users or items."""
    keys = [key for key in ("user_id", "item_id") if key in frame.columns]
    return any(belongs_to(frame, key, name) for key in keys)


def belongs_to(frame: pl.DataFrame, key: str, name: str) -> bool:
    """Whether all events of each user or item have the same cell, and some have several events."""
    owners = frame[key].n_unique()
    return owners < frame.height and frame.select(key, name).n_unique() == owners
