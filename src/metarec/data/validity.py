"""Rows that cannot be events: unreadable, without ids, with impossible values or times; counted
with their place in the file.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from metarec.data.cleaning_config import CleaningConfig
from metarec.data.findings import Finding
from metarec.data.parsing import as_numbers, as_seconds
from metarec.data.schema import BadInput

NO_ID = ("", "nan", "NaN", "NAN", "null", "NULL", "None", "none", "<NA>", "N/A", "NA", "\\N")
"""What programs write for a missing id."""
LEAST_EPOCH = 1e7
"""Seconds; a clock whose median is smaller (spring of 1970) counts something else than seconds
since 1970.
"""
MOST_UNTIMED = 0.05
"""Up to this share of events without a proper time are removed; above it the clock is not trusted
at all.
"""
EXAMPLES = 3


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
    events: pl.DataFrame, place: Place, config: CleaningConfig
) -> tuple[pl.DataFrame, list[Finding]]:
    """Give the canonical columns their types and take out rows that cannot be events.

    Args:
        events: has `user_id` and `item_id`, perhaps `timestamp`, `value`, `kind` of any type, and
            context columns.

    Raises:
        BadInput: if there are no rows, or more than `config.most_unreadable` of them cannot be
            read.
    """
    if not events.height:
        raise BadInput(f"{place.name} has no rows; it needs at least one event")
    events = events.with_columns(_texts(events))
    findings: list[Finding] = []
    bad = pl.repeat(False, events.height, dtype=pl.Boolean, eager=True)

    def drop(rule: str, mask: pl.Series, column: str, why: str) -> None:
        nonlocal bad
        fresh = mask.fill_null(False) & ~bad
        count = int(fresh.sum())
        if count:
            examples = _examples(given[column], fresh, place, column)
            findings.append(
                Finding(rule=rule, rows=count, action="removed", why=why, examples=examples)
            )
            bad = bad | fresh

    given = events
    for column in ("user_id", "item_id"):
        drop("missing_ids", events[column].is_null(), column, f"no {column}")
    if "value" in events.columns:
        values = as_numbers(events["value"])
        drop(
            "unreadable_rows",
            values.is_null() & events["value"].is_not_null(),
            "value",
            "the value is not a number",
        )
        events = events.with_columns(values.cast(pl.Float32).alias("value"))
        if config.impossible_values:
            drop(
                "impossible_values",
                ~events["value"].is_finite(),
                "value",
                "the value is not a finite number",
            )
    if "timestamp" in events.columns:
        times = as_seconds(events["timestamp"])
        drop(
            "unreadable_rows",
            times.is_null() & events["timestamp"].is_not_null(),
            "timestamp",
            "the time is neither seconds since 1970 nor an ISO date",
        )
        events = events.with_columns(times.alias("timestamp"))
    _refuse_if_unreadable(findings, events.height, place, config)
    if "timestamp" in events.columns:
        events, unit_findings = _to_seconds(events, given, place, config)
        findings += unit_findings
        if config.impossible_times:
            for mask, why in _impossible_times(
                events["timestamp"].filter(~bad), events["timestamp"], config
            ):
                drop("impossible_times", mask, "timestamp", why)
    if bad.any():
        events = events.filter(~bad)
    if not events.height:
        raise BadInput(
            f"{place.name}: none of its rows can be an event; the first problem is "
            f"{findings[0].line()}"
        )
    return events, findings


def _texts(events: pl.DataFrame) -> Iterable[pl.Expr]:
    for column in ("user_id", "item_id"):
        yield id_text(pl.col(column), events.schema[column]).alias(column)
    if "kind" in events.columns:
        yield pl.col("kind").cast(pl.Utf8).fill_null("event").alias("kind")


def id_text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    """Ids as text: whole floats lose their `.0` (pandas makes floats of whole numbers with gaps),
    and what stands for no id is null.
    """
    if dtype.is_float():
        whole = column.is_finite() & (column == column.round())
        return (
            pl.when(whole)
            .then(column.cast(pl.Int64, strict=False).cast(pl.Utf8))
            .when(column.is_finite())
            .then(column.cast(pl.Utf8))
        )
    if dtype.is_integer():
        return column.cast(pl.Utf8)
    text = column.cast(pl.Utf8, strict=False).str.strip_chars()
    return pl.when(~text.is_in(NO_ID)).then(text)


def _to_seconds(
    events: pl.DataFrame, given: pl.DataFrame, place: Place, config: CleaningConfig
) -> tuple[pl.DataFrame, list[Finding]]:
    """Seconds reach 1e11 in the year 5138, so a larger number is in a finer unit; decided row by
    row, as sources may be mixed.
    """
    stamps = events["timestamp"]
    fine = (stamps >= 1e11).fill_null(False)
    count = int(fine.sum())
    if not config.time_units or not count:
        return events, []
    finer = pl.col("timestamp")
    seconds = (
        pl.when(finer < 1e11)
        .then(finer)
        .when(finer < 1e14)
        .then(finer / 1e3)
        .when(finer < 1e17)
        .then(finer / 1e6)
        .otherwise(finer / 1e9)
    )
    # Polars types median() as any literal
    median = float(stamps.filter(fine).median())  # type: ignore[arg-type]
    unit = "milliseconds" if median < 1e14 else "microseconds" if median < 1e17 else "nanoseconds"
    finding = Finding(
        rule="time_units",
        rows=count,
        action="changed",
        why=f"times in {unit} were converted to seconds",
        examples=_examples(given["timestamp"], fine, place, "timestamp"),
    )
    return events.with_columns(seconds.alias("timestamp")), [finding]


def _impossible_times(
    readable: pl.Series, stamps: pl.Series, config: CleaningConfig
) -> Iterable[tuple[pl.Series, str]]:
    """Masks of missing, zero and future times, each only where it is rare enough to be a slip
    rather than how this clock counts.
    """
    median = readable.median()
    if median is None or readable.null_count() > MOST_UNTIMED * len(readable):
        return
    yield stamps.is_null() | ~stamps.is_finite(), "no time, while most events have one"
    # Polars types median() as any literal
    if float(median) < LEAST_EPOCH:  # type: ignore[arg-type]
        return
    now = time.time() + 86_400 if config.now is None else config.now
    for mask, why in (
        (stamps <= 0, "the time is at or before 1970"),
        (stamps > now, "the time lies in the future"),
    ):
        if int(mask.sum()) <= MOST_UNTIMED * len(stamps):
            yield mask, why


def _examples(column: pl.Series, mask: pl.Series, place: Place, name: str) -> list[str]:
    where = mask.arg_true().head(EXAMPLES).to_list()
    return [f"{place.at(i)} of {place.name}: {name} {_short(column[i])}" for i in where]


def _short(value: object, most: int = 40) -> str:
    text = "empty" if value is None else repr(value)
    return text if len(text) <= most else text[:most] + "..."


def _refuse_if_unreadable(
    findings: list[Finding], rows: int, place: Place, config: CleaningConfig
) -> None:
    bad = [f for f in findings if f.rule in ("unreadable_rows", "missing_ids")]
    count = sum(f.rows for f in bad)
    if count > config.most_unreadable * rows:
        worst = max(bad, key=lambda f: f.rows)
        raise BadInput(
            f"{place.name}: {count:,} of {rows:,} rows cannot be read as events, more than "
            f"{config.most_unreadable:.0%}; "
            f"for {worst.rows:,} of them {worst.why} (first: {worst.examples[0]}); correct the "
            f"file or map the right columns "
            "in a TOML file"
        )
