"""Context columns of events as integer codes: categories by value, numbers by quantile bin, and
hour and weekday from the time of the event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from metarec.data.events.times import HOURS_FROM_UTC
from metarec.data.places import LATITUDE, LONGITUDE
from metarec.data.schema import Interactions

MAX_CATEGORIES = 50
"""Maximum of codes of a column; the less frequent values are coded as unknown."""
N_BINS = 12
"""Number of quantile bins of a numeric column."""
MIN_EVENTS = 20
"""Minimum of events with a value for it to get a code."""
DAY = 86_400.0
HOUR, WEEKDAY = "hour", "weekday"
NOT_CONTEXT = frozenset(
    (
        *("session_id", "session", "event_id", "order_id", "slate_id", "query"),
        *(LATITUDE, LONGITUDE, HOURS_FROM_UTC),
    )
)


@dataclass(frozen=True, kw_only=True)
class ContextColumns:
    """Coding of the circumstances of an event; code 0 is unknown or missing."""

    categories: dict[str, list[str]]
    """Column -> its values; the code of a value is its index plus 1."""
    edges: dict[str, list[float]]
    """Numeric column -> inner edges of its bins, ascending."""
    rare: dict[str, frozenset[str]] = field(default_factory=dict)
    """Column -> its values without a code: of too few events, or beyond the most frequent ones."""
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Numeric column -> its smallest and largest value."""

    @classmethod
    def fit(cls, interactions: Interactions) -> ContextColumns:
        """Learn values and bins from the columns of training events."""
        categories, edges, rare, ranges = {}, {}, {}, {}
        frame = with_clock(interactions)
        for name in frame.columns:
            column = frame[name]
            if column.dtype.is_numeric() and column.drop_nulls().n_unique() > 2 * N_BINS:
                edges[name], ranges[name] = _edges(column)
            else:
                categories[name], rare[name] = _values(column)
        return cls(
            categories={n: v for n, v in categories.items() if len(v) > 1},
            edges={n: v for n, v in edges.items() if v},
            rare={n: v for n, v in rare.items() if v and len(categories[n]) > 1},
            ranges={n: v for n, v in ranges.items() if edges[n]},
        )

    @property
    def names(self) -> list[str]:
        """Names of the columns, in order."""
        return [*self.categories, *self.edges]

    @property
    def sizes(self) -> np.ndarray:
        """[C] number of codes of each column, the unknown one included."""
        lengths = [len(values) + 1 for values in self.categories.values()]
        return np.array([*lengths, *(len(ends) + 2 for ends in self.edges.values())], np.int64)

    def codes(self, frame: pl.DataFrame) -> np.ndarray:
        """Return int64 codes [rows, C] of a table; columns that it lacks are unknown."""
        codes = np.zeros((frame.height, len(self.names)), np.int64)
        for place, name in enumerate(self.names):
            if name in frame.columns:
                codes[:, place] = self._column(name, frame[name])
        return codes

    def of_requests(self, rows: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Return int64 codes [B, C] of the contexts of requests."""
        codes = np.zeros((len(rows), len(self.names)), np.int64)
        if not any(rows):
            return codes
        for place, name in enumerate(self.names):
            values = [_text(row.get(name)) for row in rows]
            if any(value is not None for value in values):
                codes[:, place] = self._column(name, pl.Series(values, dtype=pl.Utf8))
        return codes

    def _column(self, name: str, column: pl.Series) -> np.ndarray:
        if name in self.categories:
            places = {value: place + 1 for place, value in enumerate(self.categories[name])}
            return (
                _as_text(column)
                .replace_strict(places, default=0, return_dtype=pl.Int64)
                .fill_null(0)
                .to_numpy()
            )
        numbers = column.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        bins = np.searchsorted(np.array(self.edges[name]), numbers, side="right") + 1
        return np.where(np.isfinite(numbers), bins, 0)

    def named(self, name: str) -> str:
        """Return the name of a column, with how many of its values are read where not all are."""
        if name not in self.rare:
            return name
        kept = len(self.categories[name])
        return f"{name} ({kept} of {kept + len(self.rare[name])} values)"

    def too_rare(self, name: str, value: Any) -> bool:
        """Return whether training events have the value of a request, but too few of them."""
        return _text(value) in self.rare.get(name, ())

    def beyond(self, name: str, value: Any) -> tuple[float, float] | None:
        """Return the smallest and largest number of a column in training where the number of a
        request lies outside of them, else None.
        """
        if name not in self.ranges:
            return None
        low, high = self.ranges[name]
        number = pl.Series([_text(value)], dtype=pl.Utf8).cast(pl.Float64, strict=False)[0]
        if number is None or not np.isfinite(number) or low <= number <= high:
            return None
        return low, high


def with_clock(interactions: Interactions) -> pl.DataFrame:
    """Return the context columns of events, with hour and weekday where times have a time of day
    and no column is named so: of the place where times state their offset from UTC, else as the
    times were written.
    """
    frame = interactions.frame.select(
        c
        for c in interactions.context_columns
        if c not in NOT_CONTEXT and _is_plain(interactions.frame[c])
    )
    if not frame.width or not _tells_hours(interactions):
        return frame
    local = interactions.frame["timestamp"] + 3600.0 * _hours_from_utc(interactions.frame)
    moment = pl.from_epoch(local.cast(pl.Int64), time_unit="s")
    derived = {HOUR: moment.dt.hour().cast(pl.Int64), WEEKDAY: moment.dt.weekday().cast(pl.Int64)}
    names = {name.lower() for name in frame.columns}
    return frame.with_columns(
        column.alias(name) for name, column in derived.items() if name not in names
    )


def _hours_from_utc(frame: pl.DataFrame) -> pl.Series:
    """Return each event's offset from UTC in hours; where unknown, the most frequent one."""
    if HOURS_FROM_UTC not in frame.columns:
        return pl.repeat(0.0, frame.height, eager=True)
    stated = frame[HOURS_FROM_UTC].cast(pl.Float64, strict=False).fill_nan(None)
    return stated.fill_null(stated.drop_nulls().mode().min() or 0.0)


def _tells_hours(interactions: Interactions) -> bool:
    """Return whether times are seconds over several days, not dates, positions or one afternoon."""
    if not interactions.has_time:
        return False
    times = interactions.frame["timestamp"].to_numpy()
    return bool(
        times.min() > 315_532_800
        and times.max() - times.min() > 2 * DAY
        and len(np.unique(times % DAY // 3600)) > 12
    )


def _is_plain(column: pl.Series) -> bool:
    return column.dtype.is_numeric() or column.dtype in (pl.Utf8, pl.Boolean, pl.Categorical)


def _edges(column: pl.Series) -> tuple[list[float], tuple[float, float]]:
    """Return the inner edges of quantile bins, and the smallest and largest number."""
    numbers = column.drop_nulls().cast(pl.Float64).to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    ends = np.quantile(numbers, np.linspace(0, 1, N_BINS + 1)[1:-1])
    return [float(end) for end in np.unique(ends)], (float(numbers.min()), float(numbers.max()))


def _values(column: pl.Series) -> tuple[list[str], frozenset[str]]:
    """Return the values that get a code, and those that get none."""
    counts = _as_text(column).drop_nulls().alias("value").value_counts(sort=True)
    kept = counts.filter(pl.col("count") >= MIN_EVENTS)["value"].to_list()[:MAX_CATEGORIES]
    return sorted(kept), frozenset(counts["value"].to_list()).difference(kept)


def _as_text(column: pl.Series) -> pl.Series:
    """Return values as text, whole floats as integers, so that 22.0, 22 and "22" are equal."""
    if column.dtype.is_float():
        integers = column.cast(pl.Int64, strict=False)
        return pl.select(
            pl.when(integers.cast(pl.Float64) == column)
            .then(integers.cast(pl.Utf8))
            .otherwise(column.cast(pl.Utf8))
        ).to_series()
    return column.cast(pl.Utf8)


def _text(value: Any) -> str | None:
    """Return a value of a request as text, in the form of training values."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
