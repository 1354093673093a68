"""Rows that cannot be events: unreadable, without ids, with impossible values or times; counted
with their place in the file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl

from metarec.data.cleaning_config import CleaningConfig
from metarec.data.dates import as_seconds, fitting_formats, written_as_days
from metarec.data.errors import BadInput
from metarec.data.findings import Action, Finding
from metarec.data.parsing import (
    as_numbers,
    as_truth,
    has_float_ids,
    id_text,
    nothing,
    odd_number,
)
from metarec.data.units import measured

MIN_EPOCH = 1e7
"""Seconds; a clock whose median is smaller (spring of 1970) counts something else than seconds
since 1970.
"""
FIRST_LIKELY = 4.7e8
"""Late 1984 in seconds: a clock that is earlier as a whole hardly counts seconds since 1970."""
MAX_UNTIMED = 0.05
"""Up to this share of events without a time, at or before 1970 or from the future are removed."""
MAX_NEVER = 0.5
"""Up to this share of events whose time stands for none are removed; above it they have no time."""
UNTIMED = "no time; taken as earlier than all events that have one, in a random order"
EXAMPLES = 3
ROUNDED_ID = r"^\d(\.\d+)?[eE]\+\d+$"
"""A long number as a spreadsheet shows it: `1.23E+12`."""
SPREADSHEET_DAYS = (36_526.0, 54_789.0)
"""2000 to 2050 in days since 30 December 1899, as spreadsheets count."""
SPREADSHEET_EPOCH = 25_569.0
"""1 January 1970 in such days."""


@dataclass(frozen=True)
class Place:
    """Where rows came from, to point at them: `line 17 of events.csv`."""

    name: str
    unit: str = "row"
    first: int = 1
    """Number of the first row in that unit (2 for a CSV file with a header)."""
    rows: pl.Series | None = None
    """Position in the file of each row, where only some rows of it are looked at; None for all of
    them.
    """

    def at(self, position: int) -> str:
        """The row at a position, in words."""
        return (
            f"{self.unit} {(position if self.rows is None else self.rows[position]) + self.first:,}"
        )


def valid_events(
    events: pl.DataFrame, place: Place, config: CleaningConfig, time_format: str | None = None
) -> tuple[pl.DataFrame, list[Finding]]:
    """Give the canonical columns their types and take out rows that cannot be events.

    Args:
        events: has `user_id` and `item_id`, perhaps `timestamp`, `value`, `kind` of any type, and
            context columns.
        time_format: how dates are written; None understands ISO 8601 and its like.

    Raises:
        BadInput: if there are no rows, or more than `config.most_unreadable` of them cannot be
            read.
    """
    if not events.height:
        raise BadInput(f"{place.name} has no rows; it needs at least one event")
    rows = _Rows(events, place)
    events = _with_texts(rows, events)
    if "value" in events.columns:
        events = _with_values(rows, events, config)
    if "timestamp" in events.columns:
        events = _with_times(rows, events, time_format)
    refuse_if_unreadable(rows.findings, events.height, place, config)
    if "timestamp" in events.columns:
        events = _to_seconds(rows, events, config)
        events = _possible_times(rows, events, config)
    if rows.bad.any():
        events = events.filter(~rows.bad)
    if not events.height:
        raise BadInput(
            f"{place.name}: none of its rows can be an event; the first problem is "
            f"{rows.findings[0].line()}"
        )
    return events, rows.findings


class _Rows:
    """Which rows go, and what was found; no row is counted as removed by two rules."""

    def __init__(self, given: pl.DataFrame, place: Place) -> None:
        self.given, self.place = given, place
        self.findings: list[Finding] = []
        self.bad = pl.repeat(False, given.height, dtype=pl.Boolean, eager=True)

    def drop(self, rule: str, mask: pl.Series, column: str, why: str) -> None:
        """Take rows out."""
        fresh = mask.fill_null(False) & ~self.bad
        self._find(rule, "removed", fresh, column, why)
        self.bad = self.bad | fresh

    def change(self, rule: str, mask: pl.Series, column: str, why: str) -> None:
        """Say that rows are read in another way than they stand."""
        self._find(rule, "changed", mask.fill_null(False) & ~self.bad, column, why)

    def note_rows(self, rule: str, mask: pl.Series, column: str, why: str) -> None:
        """Say what is odd about rows that stay."""
        self._find(rule, "noted", mask.fill_null(False) & ~self.bad, column, why)

    def note(self, rule: str, why: str) -> None:
        """Say how a column is understood."""
        self.findings.append(Finding(rule=rule, rows=0, action="noted", why=why))

    def _find(self, rule: str, action: Action, mask: pl.Series, column: str, why: str) -> None:
        if count := int(mask.sum()):
            examples = _examples(self.given[column], mask, self.place, column)
            self.findings.append(
                Finding(rule=rule, rows=count, action=action, why=why, examples=examples)
            )


def _with_texts(rows: _Rows, events: pl.DataFrame) -> pl.DataFrame:
    """Ids and kinds as text."""
    for column in ("user_id", "item_id"):
        given = events[column]
        if given.dtype == pl.Utf8 and has_float_ids(nothing(given)):
            rows.note(
                "float_ids",
                f"{column} in {rows.place.name}: whole numbers written with a point (17850.0) are "
                f"read without it",
            )
        ids = id_text(given)
        rows.drop("missing_ids", ids.is_null(), column, f"no {column}")
        rounded = ids.str.contains(ROUNDED_ID)
        why = (
            f"{column} is a number that a spreadsheet has rounded: different ids may have become "
            f"one; export the ids as text"
        )
        rows.note_rows("rounded_ids", rounded, column, why)
        _note_alike(rows, ids, column)
        events = events.with_columns(ids.alias(column))
    if "kind" in events.columns:
        kinds = events["kind"] if events["kind"].dtype == pl.Utf8 else id_text(events["kind"])
        kinds = nothing(kinds, ("",)).fill_null("event")
        events = events.with_columns(kinds.alias("kind"))
    return events


def _note_alike(rows: _Rows, ids: pl.Series, column: str) -> None:
    """Say that ids differ only in case, as addresses do that were typed."""
    each = pl.DataFrame({"id": ids.drop_nulls().unique().sort()})
    plain = pl.col("id").str.to_lowercase().alias("plain")
    alike = each.with_columns(plain).filter(pl.col("plain").is_duplicated()).sort("plain", "id")
    if count := alike.height - alike["plain"].n_unique():
        why = (
            f"{count:,} of {each.height:,} ids in {column} differ from another only in case "
            f"({alike['id'][0]!r}, {alike['id'][1]!r}) and are kept apart; write them alike if "
            f"they are one"
        )
        rows.note("alike_ids", why)


def _with_values(rows: _Rows, events: pl.DataFrame, config: CleaningConfig) -> pl.DataFrame:
    given = nothing(events["value"])
    if given.dtype == pl.Utf8 and (truth := as_truth(given)) is not None:
        given = truth.cast(pl.Float64)
        rows.note("number_form", "values of true and false were read as 1 and 0")
    values = as_numbers(given)
    if values.null_count() > given.null_count():
        values = _measured(rows, given, values)
    unread = values.is_null() & given.is_not_null()
    why = (
        "the value is not a number (words for what was done or how it was liked are kinds: map the "
        "column to `kind`, and say what each means in [kinds])"
    )
    rows.drop("unreadable_rows", unread, "value", why)
    odd = odd_number(given.filter(~unread & as_numbers(given).is_not_null()))
    if odd is not None:
        read = float(values.filter((given == odd).fill_null(False))[0])
        rows.note("number_form", f"values such as {odd!r} were read as {read:.15g}")
    values = values.cast(pl.Float32)
    if config.impossible_values:
        why = "the value is not a finite number"
        rows.drop("impossible_values", ~values.is_finite(), "value", why)
    if config.not_rated:
        why = "the value stands for no rating (not_rated)"
        rows.drop(
            "not_rated",
            values.is_in(pl.Series(config.not_rated, dtype=pl.Float32).implode()),
            "value",
            why,
        )
    if config.implicit_values:
        unrated = values.is_in(pl.Series(config.implicit_values, dtype=pl.Float32).implode())
        unrated = unrated.fill_null(False)
        why = "the value stands for an event without a rating (implicit_values)"
        rows.change("implicit_values", unrated, "value", why)
        values = values.zip_with(~unrated, pl.Series([None], dtype=pl.Float32))
    return events.with_columns(values.alias("value"))


def _measured(rows: _Rows, given: pl.Series, values: pl.Series) -> pl.Series:
    """Values that are numbers with a unit, such as `4/5` or stars; as they are where not all of
    them are, or units differ.
    """
    found = measured(given, is_rating=True) if given.dtype == pl.Utf8 else None
    if found is None or len(found[1]) > 1:
        return values
    shown, read = given.drop_nulls()[0], float(found[0].drop_nulls()[0])
    rows.note("number_form", f"values such as {shown!r} were read as {read:.15g}")
    return found[0]


def _with_times(rows: _Rows, events: pl.DataFrame, time_format: str | None) -> pl.DataFrame:
    given = nothing(events["timestamp"])
    if given.dtype.is_float():
        given = given.fill_nan(None)
    fitting = [] if time_format else fitting_formats(given)
    if len(fitting) == 1:
        (time_format,) = fitting
        why = (
            f"times such as {given.drop_nulls()[0]!r} were read as {time_format}, which alone fits"
        )
        rows.note("dates", why)
    times = as_seconds(given, time_format)
    forms = " or ".join(fitting) or "%d/%m/%Y"
    form = "an ISO date" if time_format is None else f"a date as {time_format!r} says"
    rows.drop(
        "unreadable_rows",
        times.is_null() & given.is_not_null(),
        "timestamp",
        f"the time is neither seconds since 1970 nor {form} (a TOML file can say how dates are "
        f'written: time_format = "{forms}")',
    )
    if time_format is None and written_as_days(given):
        rows.note("dates", f"times such as {given.drop_nulls()[0]} were read as dates")
    return events.with_columns(times.alias("timestamp"))


def _to_seconds(rows: _Rows, events: pl.DataFrame, config: CleaningConfig) -> pl.DataFrame:
    """Seconds reach 1e11 in the year 5138, so a larger number is in a finer unit; decided row by
    row, as sources may be mixed.
    """
    events = _from_days(rows, events, config)
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


def _from_days(rows: _Rows, events: pl.DataFrame, config: CleaningConfig) -> pl.DataFrame:
    """Times as spreadsheets count them, in seconds."""
    stamps = events["timestamp"]
    known = stamps.filter(stamps.is_finite().fill_null(False) & ~rows.bad)
    is_number = as_numbers(nothing(rows.given["timestamp"])).is_not_null().any()
    if not (config.time_units and len(known) and is_number):
        return events
    if not known.is_between(*SPREADSHEET_DAYS).all():
        return events
    why = "times are days as a spreadsheet counts them and were converted to seconds"
    rows.change("time_units", stamps.is_not_null(), "timestamp", why)
    seconds = (pl.col("timestamp") - SPREADSHEET_EPOCH) * 86_400.0
    return events.with_columns(seconds.alias("timestamp"))


def _possible_times(rows: _Rows, events: pl.DataFrame, config: CleaningConfig) -> pl.DataFrame:
    """Take out events whose time stands for "never"; and of those without a time, before 1970 or
    from the future, what is rare enough to be a slip rather than how this clock counts.
    """
    stamps = events["timestamp"]
    never = stamps.is_infinite().fill_null(False) & ~rows.bad
    if config.impossible_times and int(never.sum()) <= MAX_NEVER * len(stamps):
        why = "the time is out of range: it stands for none, as 9999-12-31 and 1900-01-01 do"
        rows.drop("impossible_times", never, "timestamp", why)
    else:
        why = "the time stands for none, as 9999-12-31 does; such events are left without one"
        rows.change("impossible_times", never, "timestamp", why)
    is_finite = stamps.is_finite().fill_null(False)
    stamps = stamps.zip_with(is_finite, pl.Series([None], dtype=pl.Float64))
    if config.impossible_times:
        for mask, why in _impossible_times(stamps.filter(~rows.bad), stamps, config):
            rows.drop("impossible_times", mask, "timestamp", why)
        _note_odd_clock(rows, stamps.filter(~rows.bad), config)
    if config.impossible_times and _counts_seconds(stamps):  # many zeros are no 1970
        stamps = stamps.zip_with((stamps != 0).fill_null(True), pl.Series([None], dtype=pl.Float64))
    untimed = stamps.is_null() & ~rows.bad
    if int((~untimed & ~rows.bad).sum()):
        rows.change("untimed", untimed, "timestamp", UNTIMED)
    return events.with_columns(stamps.alias("timestamp"))


def _note_odd_clock(rows: _Rows, stamps: pl.Series, config: CleaningConfig) -> None:
    """Say that times are hardly seconds since 1970, or many lie in the future."""
    median = _median(stamps)
    if median is None or median < MIN_EPOCH:
        return
    day = datetime.fromtimestamp(median, UTC).date()
    if median < FIRST_LIKELY:
        why = (
            f"times lie about {day}, read as seconds since 1970; if they count minutes or days, "
            f"convert them: only their order is right"
        )
        rows.note("odd_times", why)
    now = time.time() + 86_400 if config.now is None else config.now
    if late := int((stamps > now).sum()):
        why = f"{late:,} of {len(stamps):,} times lie in the future; they are kept, being many"
        rows.note("odd_times", why)


def _counts_seconds(stamps: pl.Series) -> bool:
    median = _median(stamps.filter((stamps != 0).fill_null(False)))
    return median is not None and median >= MIN_EPOCH


def _median(numbers: pl.Series) -> float | None:
    """Of those that are stated; None without any."""
    found: Any = numbers.median()
    return None if found is None else float(found)


def _impossible_times(
    readable: pl.Series, stamps: pl.Series, config: CleaningConfig
) -> Iterable[tuple[pl.Series, str]]:
    """Masks of missing, zero and future times, each only where it is rare."""
    median = _median(readable)
    if median is None:
        return
    if readable.null_count() <= MAX_UNTIMED * len(readable):
        yield stamps.is_null(), "no time, while most events have one"
    if median < MIN_EPOCH:
        return
    now = time.time() + 86_400 if config.now is None else config.now
    for mask, why in (
        (stamps <= 0, "the time is at or before 1970"),
        (stamps > now, "the time lies in the future"),
    ):
        if int(mask.sum()) <= MAX_UNTIMED * len(stamps):
            yield mask, why


def _examples(column: pl.Series, mask: pl.Series, place: Place, name: str) -> list[str]:
    where = mask.arg_true().head(EXAMPLES).to_list()
    return [f"{place.at(i)} of {place.name}: {name} {_short(column[i])}" for i in where]


def _short(value: object, most: int = 40) -> str:
    text = "empty" if value is None else repr(value)
    return text if len(text) <= most else text[:most] + "..."


def refuse_if_unreadable(
    findings: list[Finding], rows: int, place: Place, config: CleaningConfig
) -> None:
    """Refuse a table of events most of which cannot be meant as it stands.

    Args:
        findings: what was removed, from the `rows` or before them.

    Raises:
        BadInput: if more than `config.most_unreadable` of the rows cannot be read.
    """
    bad = [f for f in findings if f.rule in ("unreadable_rows", "missing_ids")]
    count = sum(f.rows for f in bad)
    if count > config.most_unreadable * max(rows, count):
        worst = max(bad, key=lambda f: f.rows)
        raise BadInput(
            f"{place.name}: {count:,} of {max(rows, count):,} rows cannot be read as events, more "
            f"than {config.most_unreadable:.0%}; "
            f"for {worst.rows:,} of them {worst.why} (first: {worst.examples[0]}); correct the "
            f"file or map the right columns "
            "in a TOML file"
        )
