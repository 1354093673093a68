"""Profile attributes as one-hot columns: categories by value, numbers by quantile band; unknown
values are 0 everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from metarec.data.cells.parsing import as_numbers
from metarec.data.cells.truth import NOES, YESES
from metarec.data.names.kind_names import plain_kind
from metarec.data.policy_values import number_of
from metarec.data.schema import Profiles

MAX_CATEGORIES = 30
"""Maximum of columns of one attribute; rarer values have none."""
MIN_USERS = 3
"""Minimum of training users with a value for it to get a column: rarer ones do not generalize."""
BANDS = 6
"""Number of quantile bands of a number, so that a preference need not be monotonic in age."""
PLAIN = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
"""A decimal number as programs write it."""


@dataclass(frozen=True, kw_only=True)
class ProfileInputs:
    """Encoding of attributes, fitted on training users only."""

    categories: dict[str, list[str]]
    """Attribute -> values with a column each."""
    edges: dict[str, list[float]]
    """Numeric attribute -> inner edges of its bands, ascending."""

    @classmethod
    def fit(cls, profiles: Profiles, user_ids: Sequence[str]) -> ProfileInputs:
        """Learn values and bands from these users."""
        frame = profiles.frame.filter(
            pl.col("user_id").is_in(pl.Series(list(user_ids), dtype=pl.Utf8).implode())
        )
        categories: dict[str, list[str]] = {}
        edges: dict[str, list[float]] = {}
        for name in profiles.attributes:
            column = _without_units(frame[name].drop_nulls())
            if column.dtype == pl.Boolean or not column.dtype.is_numeric():
                values = _common_values(
                    column.cast(pl.Utf8)
                    if not column.dtype.is_nested()
                    else pl.Series([], dtype=pl.Utf8)
                )
                if len(values) > 1:
                    categories[name] = values
            elif column.n_unique() > 1:
                quantiles = np.quantile(
                    column.cast(pl.Float64).to_numpy(), np.linspace(0, 1, BANDS + 1)[1:-1]
                )
                edges[name] = sorted({float(q) for q in quantiles})
        return cls(categories=categories, edges=edges)

    @property
    def columns(self) -> list[str]:
        """Names of the columns, `attribute=value` and `attribute low..high`."""
        names = [f"{name}={value}" for name, values in self.categories.items() for value in values]
        for name, edges in self.edges.items():
            bounds = ["", *(f"{edge:g}" for edge in edges), ""]
            names += [
                f"{name} {low}..{high}" for low, high in zip(bounds[:-1], bounds[1:], strict=True)
            ]
        return names

    def unread(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        """Return the stated values of known attributes that have no column: those of too few
        training users, and text in place of a number.
        """
        return {
            name: value
            for name, value in profile.items()
            if (known := self._training_name(name)) in self.categories or known in self.edges
            if not (value is None or value != value)
            if self._column(known, value) not in self._place
        }

    def transform(self, profiles: Sequence[dict[str, Any]]) -> np.ndarray:
        """Return one-hot columns [B, P] float32; unknown and unseen values are 0."""
        place = self._place
        out = np.zeros((len(profiles), len(place)), np.float32)
        rows, columns = [], []
        for row, profile in enumerate(profiles):
            for name, value in profile.items():
                is_missing = value is None or value != value  # NaN, as pandas has it
                column = (
                    None
                    if is_missing
                    else place.get(self._column(self._training_name(name), value))
                )
                if column is not None:
                    rows.append(row)
                    columns.append(column)
        if rows:
            out[rows, columns] = 1.0
        return out

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: column for column, name in enumerate(self.columns)}

    def _training_name(self, name: str) -> str:
        """Return an attribute's name in training: `Member` is `member` if only that is known."""
        if name in self.categories or name in self.edges:
            return name
        return self._spellings.get(plain_kind(name), name)

    @cached_property
    def _spellings(self) -> dict[str, str]:
        return {plain_kind(name): name for name in (*self.edges, *self.categories)}

    def _column(self, name: str, value: Any) -> str:
        if name in self.categories:
            return f"{name}={_category(value, self.categories[name])}"
        if name in self.edges:
            number = _number(value)
            if number is None:
                return ""
            band = int(np.searchsorted(self.edges[name], number, side="right"))
            bounds = ["", *(f"{edge:g}" for edge in self.edges[name]), ""]
            return f"{name} {bounds[band]}..{bounds[band + 1]}"
        return ""


def _category(value: Any, categories: Sequence[str]) -> str:
    """Return a value in the form of training values: `True`, `yes` and 1 are equal where the
    attribute is boolean, and a number equals its text elsewhere.
    """
    if set(categories) <= {"true", "false"}:
        number = _number(value)
        return {0.0: "false", 1.0: "true"}.get(number, "") if number is not None else ""
    if isinstance(value, float) and value.is_integer() and str(value) not in categories:
        return str(int(value))
    text = str(value).strip()
    alike = [one for one in categories if one.casefold() == text.casefold()]
    return alike[0] if text not in categories and len(alike) == 1 else text


def _number(value: Any) -> float | None:
    """Parse a value as a finite number, None if it is none; words for true and false are 1 and
    0.
    """
    number = _parsed(value)
    return number if number is not None and math.isfinite(number) else None


def _parsed(value: Any) -> float | None:
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:  # a whole number of more than 308 digits
            return None
    word = str(value).strip().lower()
    if word in YESES or word in NOES:
        return float(word in YESES)
    if PLAIN.fullmatch(word):  # the common case; parsing by a column of one is as slow as a slate
        return float(word)
    read = as_numbers(pl.Series([str(value)]))[0]
    return number_of(value) if read is None else float(read)  # `150 mmHg` is 150


def _without_units(column: pl.Series) -> pl.Series:
    """Return a column of amounts with units (`150 mmHg`) as numbers, if all its cells are such."""
    if column.dtype != pl.Utf8 or column.is_empty():
        return column
    numbers = pl.Series(column.name, [number_of(cell) for cell in column], pl.Float64)
    return column if numbers.is_nan().any() else numbers


def _common_values(column: pl.Series) -> list[str]:
    counts = column.value_counts(sort=True).filter(pl.col("count") >= MIN_USERS)
    return sorted(counts[column.name].to_list()[:MAX_CATEGORIES])
