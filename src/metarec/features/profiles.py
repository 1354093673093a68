"""Profile attributes as columns: numbers brought to unit scale, categories one column each, unknown
= 0 everywhere.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from metarec.data.cells.parsing import YES_NO, as_numbers
from metarec.data.names.kind_names import plain_kind
from metarec.data.policy_values import number_of
from metarec.data.schema import Profiles

MAX_CATEGORIES = 30
"""Values of one attribute that become columns; rarer ones share none."""
MIN_USERS = 3
"""A category that fewer training users share says nothing of anyone else."""
BANDS = 6
"""A number also becomes this many bands, so that a taste need not rise or fall with age throughout.
"""
PLAIN = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
"""A number as programs write it."""


@dataclass(frozen=True, kw_only=True)
class ProfileInputs:
    """How attributes become numbers; fitted on training users only.

    `categories[attribute]` lists values with a column; `edges[attribute]` are the inner edges of a
    number's bands.
    """

    categories: dict[str, list[str]]
    edges: dict[str, list[float]]

    @classmethod
    def fit(cls, profiles: Profiles, user_ids: Sequence[str]) -> ProfileInputs:
        """Learn which values occur among these users."""
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
        """Names of the columns, `attribute=value` and `attribute in band`."""
        names = [f"{name}={value}" for name, values in self.categories.items() for value in values]
        for name, edges in self.edges.items():
            bounds = ["", *(f"{edge:g}" for edge in edges), ""]
            names += [
                f"{name} {low}..{high}" for low, high in zip(bounds[:-1], bounds[1:], strict=True)
            ]
        return names

    def unread(self, profile: Mapping[str, Any]) -> dict[str, Any]:
        """What is stated of known attributes and says nothing: a value that too few training users
        share, or no number.
        """
        return {
            name: value
            for name, value in profile.items()
            if (known := self._known(name)) in self.categories or known in self.edges
            if not (value is None or value != value)
            if self._column(known, value) not in self._place
        }

    def transform(self, profiles: Sequence[dict[str, Any]]) -> np.ndarray:
        """[B, P] float32; what is unknown or was never seen in training stays 0."""
        place = self._place
        out = np.zeros((len(profiles), len(place)), np.float32)
        rows, columns = [], []
        for row, profile in enumerate(profiles):
            for name, value in profile.items():
                is_missing = value is None or value != value  # NaN, as pandas has it
                column = None if is_missing else place.get(self._column(self._known(name), value))
                if column is not None:
                    rows.append(row)
                    columns.append(column)
        if rows:
            out[rows, columns] = 1.0
        return out

    @cached_property
    def _place(self) -> dict[str, int]:
        return {name: column for column, name in enumerate(self.columns)}

    def _known(self, name: str) -> str:
        """An attribute as training wrote it: `Member` is `member` where there is no other."""
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


def _category(value: Any, known: Sequence[str]) -> str:
    """A value as training wrote it: `True`, `yes` and 1 are one where the attribute is true or
    false, and so are text and number elsewhere.
    """
    if set(known) <= {"true", "false"}:
        number = _number(value)
        return {0.0: "false", 1.0: "true"}.get(number, "") if number is not None else ""
    if isinstance(value, float) and value == round(value) and str(value) not in known:
        return str(int(value))
    text = str(value).strip()
    alike = [one for one in known if one.casefold() == text.casefold()]
    return alike[0] if text not in known and len(alike) == 1 else text


def _number(value: Any) -> float | None:
    """A value as a number, however it is written; words for true and false are 1 and 0."""
    if isinstance(value, int | float):
        return float(value)
    word = str(value).strip().lower()
    if word in YES_NO or word in YES_NO.values():
        return float(word in YES_NO)
    if PLAIN.fullmatch(word):  # as most are; a column of one costs as much as a slate
        return float(word)
    found = as_numbers(pl.Series([str(value)]))[0]
    number = number_of(value) if found is None else float(found)  # `150 mmHg` is 150
    return None if number != number else number


def _without_units(column: pl.Series) -> pl.Series:
    """Amounts with a unit behind them (`150 mmHg`) as numbers, where all of a column are."""
    if column.dtype != pl.Utf8 or column.is_empty():
        return column
    numbers = pl.Series(column.name, [number_of(cell) for cell in column], pl.Float64)
    return column if numbers.is_nan().any() else numbers


def _common_values(column: pl.Series) -> list[str]:
    counts = column.value_counts(sort=True).filter(pl.col("count") >= MIN_USERS)
    return sorted(counts[column.name].to_list()[:MAX_CATEGORIES])
