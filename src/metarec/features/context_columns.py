"""Context columns of events as codes: categories by name, numbers by quantile, hour and weekday
from the clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from metarec.data.places import LATITUDE, LONGITUDE
from metarec.data.schema import Interactions

MAX_CATEGORIES = 50
"""The most frequent values of a column that get a code each; others count as unknown."""
N_BINS = 12
"""Quantile bins of a number."""
MIN_EVENTS = 20
"""Events a value must have."""
DAY = 86_400.0
HOUR, WEEKDAY = "hour", "weekday"
NOT_CONTEXT = frozenset(
    {"session_id", "session", "event_id", "order_id", "slate_id", "query", LATITUDE, LONGITUDE}
)


@dataclass(frozen=True, kw_only=True)
class ContextColumns:
    """How the circumstances of an act become codes; 0 is unknown or missing."""

    categories: dict[str, list[str]]
    """Column -> its values; the code of a value is its place plus 1."""
    edges: dict[str, list[float]]
    """Column of numbers -> ends of its bins, ascending."""

    @classmethod
    def fit(cls, interactions: Interactions) -> ContextColumns:
        """Read the columns of training events."""
        categories, edges = {}, {}
        frame = with_clock(interactions)
        for name in frame.columns:
            column = frame[name]
            if column.dtype.is_numeric() and column.drop_nulls().n_unique() > 2 * N_BINS:
                edges[name] = _edges(column)
            else:
                categories[name] = _values(column)
        return cls(
            categories={n: v for n, v in categories.items() if len(v) > 1},
            edges={n: v for n, v in edges.items() if v},
        )

    @property
    def names(self) -> list[str]:
        """Columns in order."""
        return [*self.categories, *self.edges]

    @property
    def sizes(self) -> np.ndarray:
        """[C] number of codes of each column, the unknown included."""
        lengths = [len(values) + 1 for values in self.categories.values()]
        return np.array([*lengths, *(len(ends) + 2 for ends in self.edges.values())], np.int64)

    def codes(self, frame: pl.DataFrame) -> np.ndarray:
        """[rows, C] int64 codes of a table with some of the columns."""
        found = np.zeros((frame.height, len(self.names)), np.int64)
        for place, name in enumerate(self.names):
            if name in frame.columns:
                found[:, place] = self._column(name, frame[name])
        return found

    def of_requests(self, told: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """[B, C] int64 codes of what requests say."""
        found = np.zeros((len(told), len(self.names)), np.int64)
        if not any(told):
            return found
        for place, name in enumerate(self.names):
            said = [_text(row.get(name)) for row in told]
            if any(value is not None for value in said):
                found[:, place] = self._column(name, pl.Series(said, dtype=pl.Utf8))
        return found

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

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def with_clock(interactions: Interactions) -> pl.DataFrame:
    """Context columns of events, and hour and weekday from a clock that tells the time of day."""
    frame = interactions.frame.select(
        c
        for c in interactions.context_columns
        if c not in NOT_CONTEXT and _is_plain(interactions.frame[c])
    )
    if not frame.width or not _tells_hours(interactions):
        return frame
    moment = pl.from_epoch(interactions.frame["timestamp"].cast(pl.Int64), time_unit="s")
    derived = {HOUR: moment.dt.hour().cast(pl.Int64), WEEKDAY: moment.dt.weekday().cast(pl.Int64)}
    given = {name.lower() for name in frame.columns}
    return frame.with_columns(
        column.alias(name) for name, column in derived.items() if name not in given
    )


def _tells_hours(interactions: Interactions) -> bool:
    """Whether times are seconds of several days, not dates, positions or one afternoon."""
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


def _edges(column: pl.Series) -> list[float]:
    """Ends of bins of about the same number of events."""
    numbers = column.drop_nulls().cast(pl.Float64).to_numpy()
    ends = np.quantile(numbers[np.isfinite(numbers)], np.linspace(0, 1, N_BINS + 1)[1:-1])
    return [float(end) for end in np.unique(ends)]


def _values(column: pl.Series) -> list[str]:
    counts = _as_text(column).drop_nulls().alias("value").value_counts(sort=True)
    kept = counts.filter(pl.col("count") >= MIN_EVENTS)["value"].to_list()[:MAX_CATEGORIES]
    return sorted(kept)


def _as_text(column: pl.Series) -> pl.Series:
    """Values as text: whole floats as whole numbers, so that 22.0 and 22 and "22" are one."""
    if column.dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        return pl.select(
            pl.when(whole.cast(pl.Float64) == column)
            .then(whole.cast(pl.Utf8))
            .otherwise(column.cast(pl.Utf8))
        ).to_series()
    return column.cast(pl.Utf8)


def _text(value: Any) -> str | None:
    """A value of a request as a training value is written."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
