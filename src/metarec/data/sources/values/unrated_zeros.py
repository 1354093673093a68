"""Set ratings of 0 to missing where they are none: of an item that is only on a wish list, or was
never read.
"""

from __future__ import annotations

import re

import polars as pl

from metarec.data.cells.parsing import as_numbers, is_stated, nothing
from metarec.data.findings import Finding
from metarec.data.names.column_names import CANONICAL, plain
from metarec.data.sources.values.dated_cells import is_dated

WISHED = re.compile(
    r"^(to|plan(ned)?to|wantto|wishto|intendto)(read|watch|play|listen|see|try|visit|cook|do|buy)$"
    r"|^(wish(list|ed)?|watchlist|readinglist|backlog|unread|unwatched|unplayed|notstarted|later)$"
    r"|^(想|要|待)(读|看|听|玩|去|买)$|^(未读|未看|未开始)$"
)
"""Pattern of states of items that a user has not had yet, as `plain` returns them."""
MIN_ROWS, MAX_STATES = 3, 30
"""Minimum number of zeros, and maximum number of distinct states."""
MIN_BLANK = 0.5
"""Minimum number of missing dates, as a share of the zeros."""


def without_zeros(frame: pl.DataFrame, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Set ratings of 0 to missing where all items that a user has not had yet have 0: those with a
    state such as `to-read`, or without a date. Return events and findings.
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
    which = next(filter(None, (_wished(frame[c], zero) for c in free)), None)
    if (
        which := which or next(filter(None, (_undated(frame[c], zero) for c in free)), None)
    ) is None:
        return frame, []
    top = float(values.max())  # type: ignore[arg-type]  # of numbers
    why = (
        f"ratings of 0 of {place} are read as no rating: {which} have 0; if 0 is a rating, say so "
        f"in [cleaning]: value_scale = [0, {top:.15g}]"
    )
    value = pl.select(pl.when(~zero).then(frame["value"])).to_series().alias("value")
    finding = Finding(rule="zero_ratings", rows=int(zero.sum()), action="changed", why=why)
    return frame.with_columns(value), [finding]


def wishlist_states(column: pl.Series) -> list[str]:
    """Return the states in a column for items that a user has not had yet."""
    if column.dtype != pl.Utf8:
        return []
    states = nothing(column).drop_nulls().unique().sort().to_list()
    return [s for s in states if WISHED.search(plain(s))] if len(states) <= MAX_STATES else []


def _wished(column: pl.Series, zero: pl.Series) -> str | None:
    """Return words for the rows whose state is that of an item not had yet, if all of them are
    zeros; else None.
    """
    if not (states := wishlist_states(column)):
        return None
    rows = nothing(column).is_in(states).fill_null(False)
    is_so = int(rows.sum()) >= MIN_ROWS and bool(zero.filter(rows).all())
    return f"all rows of which {column.name!r} says {states[0]!r}" if is_so else None


def _undated(column: pl.Series, zero: pl.Series) -> str | None:
    """Return words for the rows without a date, if all of them are zeros; else None."""
    blank = ~is_stated(column)
    is_enough = int(blank.sum()) >= max(MIN_ROWS, MIN_BLANK * int(zero.sum()))
    is_so = is_enough and bool(zero.filter(blank).all()) and is_dated(column)
    return f"all rows without {column.name!r}" if is_so else None
