"""Rows of a table of events: their place in the file, which are removed, and the findings."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from metarec.data.findings import Action, Finding

EXAMPLES = 3


@dataclass(frozen=True)
class Place:
    """Origin of rows, to name them in messages: `line 17 of events.csv`."""

    name: str
    unit: str = "row"
    first: int = 1
    """Number of the first row in that unit (2 for a CSV file with a header)."""
    rows: pl.Series | None = None
    """Position in the file of each row, where only some rows of the file are read; None where all
    are.
    """

    def at(self, position: int) -> str:
        """Return the row at a position in words, such as `line 17`."""
        return (
            f"{self.unit} {(position if self.rows is None else self.rows[position]) + self.first:,}"
        )


RawTable = tuple[pl.DataFrame, Place, list[Finding]]
"""A table as it is read: rows, their origin, and findings."""


class Rows:
    """Mask of removed rows, and findings; no row is counted as removed by two rules."""

    def __init__(self, given: pl.DataFrame, place: Place) -> None:
        self.given, self.place = given, place
        self.findings: list[Finding] = []
        self.bad = pl.repeat(False, given.height, dtype=pl.Boolean, eager=True)

    def drop(self, rule: str, mask: pl.Series, column: str, why: str) -> None:
        """Mark rows as removed, with a finding on those not removed before."""
        fresh = mask.fill_null(False) & ~self.bad
        self._find(rule, "removed", fresh, column, why)
        self.bad = self.bad | fresh

    def change(self, rule: str, mask: pl.Series, column: str, why: str) -> None:
        """Add a finding on rows whose cells were changed in reading."""
        self._find(rule, "changed", mask.fill_null(False) & ~self.bad, column, why)

    def note_rows(self, rule: str, mask: pl.Series, column: str, why: str) -> None:
        """Add a finding on rows that are unusual but stay."""
        self._find(rule, "noted", mask.fill_null(False) & ~self.bad, column, why)

    def note(self, rule: str, why: str) -> None:
        """Add a finding on how a column was read."""
        self.findings.append(Finding(rule=rule, rows=0, action="noted", why=why))

    def _find(self, rule: str, action: Action, mask: pl.Series, column: str, why: str) -> None:
        if count := int(mask.sum()):
            examples = _examples(self.given[column], mask, self.place, column)
            self.findings.append(
                Finding(rule=rule, rows=count, action=action, why=why, examples=examples)
            )


def _examples(column: pl.Series, mask: pl.Series, place: Place, name: str) -> list[str]:
    where = mask.arg_true().head(EXAMPLES).to_list()
    return [f"{place.at(i)} of {place.name}: {name} {_short(column[i])}" for i in where]


def _short(value: object, max_letters: int = 40) -> str:
    text = "empty" if value is None else repr(value)
    return text if len(text) <= max_letters else text[:max_letters] + "..."
