"""Turn matrices of users and items, with one column per item, into one row per stated cell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from metarec.data.cells.parsing import as_numbers, nothing
from metarec.data.cells.truth import as_ticks
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_names import MATRIX

MAX_MARKS, MIN_GAPS = 21, 0.2
"""Maximum number of distinct numbers in a matrix of users and items, and minimum share of cells
that are missing or 0. Other tables of numbers describe users.
"""
_PERIOD = re.compile(
    r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\W*(\d\d){0,2}$"
    r"|\d{4}-\d\d(-\d\d)?$|(week|month|day|kw)\W?\d+$|\d\d?月$"
)
"""Pattern of names of months, weeks and days."""
_TRAIT = re.compile(
    r"(is|has|owns?|was|can|likes|wants)[_\W]"
    r"|(smoker|married|single|divorced|male|female|student|retired|unemployed|employed|pregnant|"
    r"veteran|parent|diabetic|disabled|homeowner|vegan|vegetarian|insured|churned)$",
    re.IGNORECASE,
)
"""Pattern of names of attributes of users with yes or no in a table."""


def from_matrix(
    frame: pl.DataFrame, place: Place, user: str | None, mapped: Mapping[str, str]
) -> RawTable:
    """Return one row per stated cell of a matrix whose columns are items and whose cells are
    ratings, 1 and 0, or marks beside blanks; their places and a finding. Other tables stay
    unchanged.
    """
    user = user or (frame.columns[0] if frame.width and frame.columns[0] == "" else None)
    event_columns = [c for c in frame.columns if c in ("kind", "timestamp")]
    others = [c for c in frame.columns if c not in (user, *event_columns)]
    if user is None or len(others) < MATRIX or any(t.is_nested() for t in frame.schema.values()):
        return frame, place, []
    numbers = frame.select(_numbers_or_ticks(frame[c]).alias(c) for c in others)
    gaps = [nothing(frame[c]).null_count() for c in others]
    marks = {x for c in others for x in numbers[c].drop_nulls().unique().to_list()}
    are_marks = [numbers[c].null_count() for c in others] == gaps and 0 < len(marks) <= MAX_MARKS
    empty = sum(gaps) + sum(int((numbers[c] == 0).sum()) for c in others)
    is_sparse = empty >= MIN_GAPS * frame.height * len(others)
    if not are_marks or not is_sparse or not _are_items(numbers):
        return frame, place, []
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    who = user if user in mapped.values() else "user_id"
    beside = [frame[user].alias(who), rows.alias("__row"), *(frame[c] for c in event_columns)]
    wide, index = numbers.with_columns(beside), [who, "__row", *event_columns]
    cells = wide.unpivot(index=index, variable_name="item_id", value_name="value")
    cells = cells.drop_nulls("value").sort("__row", maintain_order=True)
    if not sum(gaps) or marks <= {0.0, 1.0}:  # 0 is then a missing cell
        cells = cells.filter(pl.col("value") != 0)
    if marks <= {0.0, 1.0}:
        cells = cells.drop("value")
    has_zeros = cells.height < wide.height * len(others) - sum(gaps)
    why = f"{place.name} was read as a matrix of users and items of {len(others):,} columns: " + (
        "each number but 0 is an event" if has_zeros else "each number is an event"
    )
    finding = Finding(rule="matrix", rows=cells.height, action="changed", why=why)
    return cells.drop("__row"), replace(place, rows=cells["__row"]), [finding]


def _numbers_or_ticks(column: pl.Series) -> pl.Series:
    """Parse a column to numbers: 1 for a mark beside blanks (`x`)."""
    ticks = as_ticks(column) if column.dtype == pl.Utf8 else None
    if ticks is None:
        return as_numbers(column)
    return ticks.cast(pl.Float64).replace(0.0, None)


def _are_items(numbers: pl.DataFrame) -> bool:
    """Whether columns of numbers may be items: no column exceeds all others, as an age beside
    ratings does, or is their sum, and they are neither periods nor attributes of users.
    """
    if all(_PERIOD.match(name.lower()) for name in numbers.columns):
        return False
    if any(_TRAIT.match(name) for name in numbers.columns):
        return False
    tops = sorted(float(str(top)) for top in numbers.max().row(0) if top is not None)
    rows = numbers.sum_horizontal()
    for column in numbers:
        stated = column.drop_nulls()
        if (column.fill_null(0) * 2 == rows).all() and stated.n_unique() > 1:
            return False
        others = tops[-2] if column.max() == tops[-1] and len(tops) > 1 else tops[-1]
        if stated.n_unique() > 1 and float(str(stated.min())) > others:
            return False
    return True
