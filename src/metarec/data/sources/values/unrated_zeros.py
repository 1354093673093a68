"""Ratings of 0 that stand for none: what is only wished for, or was never read, has no rating."""

from __future__ import annotations

import re

import polars as pl

from metarec.data.cells.parsing import as_numbers, is_stated, nothing
from metarec.data.findings import Finding
from metarec.data.names.column_names import CANONICAL, plain
from metarec.data.sources.values.time_columns import is_dated

WISHED = re.compile(
    r"^(to|plan(ned)?to|wantto|wishto|intendto)(read|watch|play|listen|see|try|visit|cook|do|buy)$"
    r"|^(wish(list|ed)?|watchlist|readinglist|backlog|unread|unwatched|unplayed|notstarted|later)$"
    r"|^(想|要|待)(读|看|听|玩|去|买)$|^(未读|未看|未开始)$"
)
"""States of what a user has not had yet, as `plain` has them."""
MIN_ROWS, MAX_STATES = 3, 30
MIN_BLANK = 0.5
"""Share of the zeros beside which a date is missing, at least."""


def without_zeros(frame: pl.DataFrame, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Events whose ratings of 0 are none, where every row of what was not had yet has 0: of a
    state such as `to-read`, or without the date at which all others were.
    """
    if "value" not in frame.columns:
        return frame, []
    values = as_numbers(frame["value"])
    zero = (values == 0).fill_null(False)
    if int(zero.sum()) < MIN_ROWS or not (values >= 1).any() or (values < 0).any():
        return frame, []
    if values.filter(~zero).min() < 1:  # type: ignore[operator]  # of numbers
        return frame, []
    free = [c for c in frame.columns if c not in CANONICAL["interactions"]]
    free = [c for c in free if not frame.schema[c].is_nested()]
    told = next(filter(None, (_wished(frame[c], zero) for c in free)), None)
    if (told := told or next(filter(None, (_undated(frame[c], zero) for c in free)), None)) is None:
        return frame, []
    top = float(values.max())  # type: ignore[arg-type]  # of numbers
    why = (
        f"ratings of 0 of {place} are read as no rating: {told} have 0; if 0 is a rating, say so "
        f"in [cleaning]: value_scale = [0, {top:.15g}]"
    )
    value = pl.select(pl.when(~zero).then(frame["value"])).to_series().alias("value")
    found = Finding(rule="zero_ratings", rows=int(zero.sum()), action="changed", why=why)
    return frame.with_columns(value), [found]


def wished(column: pl.Series) -> list[str]:
    """States of a column that say that a user has not had the item yet."""
    if column.dtype != pl.Utf8:
        return []
    states = nothing(column).drop_nulls().unique().sort().to_list()
    return [s for s in states if WISHED.search(plain(s))] if len(states) <= MAX_STATES else []


def _wished(column: pl.Series, zero: pl.Series) -> str | None:
    """Which rows say that an item was not had yet, if all of them are of `zero`."""
    if not (states := wished(column)):
        return None
    rows = nothing(column).is_in(states).fill_null(False)
    is_so = int(rows.sum()) >= MIN_ROWS and bool(zero.filter(rows).all())
    return f"all rows of which {column.name!r} says {states[0]!r}" if is_so else None


def _undated(column: pl.Series, zero: pl.Series) -> str | None:
    """Which rows miss a date, if all of them are of `zero`."""
    blank = ~is_stated(column)
    is_enough = int(blank.sum()) >= max(MIN_ROWS, MIN_BLANK * int(zero.sum()))
    is_so = is_enough and bool(zero.filter(blank).all()) and is_dated(column)
    return f"all rows without {column.name!r}" if is_so else None
