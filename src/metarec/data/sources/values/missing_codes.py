"""Remove numbers that are codes for missing cells: -999 where all others are 0 or more, 9999 where
all others are small.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from metarec.data.findings import Action, Finding

LOW = (-1, -9, -99, -999, -9999, -99999)
"""Codes that are read as missing where all other numbers are 0 or more."""
HIGH = (999, 9999, 99999, 999999)
"""Codes that may be missing where all other numbers are much smaller."""
COUNTED = ("stock", "quantity", "qty", "available", "inventory", "balance", "库存", "余额")
"""Parts of names of columns in which negative numbers are meaningful."""
MUCH = 5.0
"""Minimum ratio of a high code to all other numbers."""
MIN_CELLS, MIN_OTHERS = 2, 3
"""Minimum number of cells with a low code, and minimum number of distinct other numbers. A single
cell with a code stays, with a finding.
"""


def without_codes(
    table: pl.DataFrame, what: str, keep: Sequence[str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set codes for missing numbers to null, and return findings on them and on numbers that may be
    codes.

    Args:
        keep: columns without codes.
    """
    findings: list[Finding] = []
    for name, dtype in table.schema.items():
        if name in keep or not dtype.is_numeric() or any(w in name.lower() for w in COUNTED):
            continue
        column = table[name].cast(pl.Float64)  # small integers cannot be compared with -99999
        low = [c for c in (*LOW, *_year_codes(name)) if _is_code(column, c, is_low=True)]
        once = [c for c in low if int((column == c).sum()) < MIN_CELLS]
        findings += [_finding(1, "noted", _may_be_code(name, c, "larger"), what) for c in once]
        if low := [c for c in low if c not in once]:
            gaps = _are(column, low)
            table = table.with_columns(pl.when(~gaps).then(pl.col(name)).alias(name))
            why = f"{name} is {low[0]} there, which stands for no number: all others are larger"
            findings.append(_finding(int(gaps.sum()), "changed", why, what))
        for code in (c for c in HIGH if _is_code(column, c, is_low=False)):
            why = _may_be_code(name, code, "much smaller")
            findings.append(_finding(int((column == code).sum()), "noted", why, what))
    return table, findings


def _may_be_code(name: str, code: int, others: str) -> str:
    """Return the message on a number that may be a code."""
    return (
        f"{name} is {code} there, and all others are {others}; if it stands for no number, leave "
        f"such cells empty"
    )


def _year_codes(name: str) -> tuple[int, ...]:
    """Return 0 as a further code for columns of years."""
    return (0,) if "year" in name.lower() or "年" in name else ()


def _are(column: pl.Series, codes: Sequence[int]) -> pl.Series:
    """Mask of cells that are codes."""
    return column.is_in([float(code) for code in codes]).fill_null(False)


def _is_code(column: pl.Series, code: int, *, is_low: bool) -> bool:
    """Whether a column holds a code, by its other numbers."""
    others = column.filter((column != code).fill_null(False))
    others = others.filter(~_are(others, LOW)) if is_low else others
    if not (column == code).any() or others.n_unique() < MIN_OTHERS:
        return False
    numbers = others.to_numpy()
    low, high = float(numbers.min()), float(numbers.max())
    if not is_low:
        return 0 <= high < code / MUCH
    return low >= 1000 if code == 0 else low >= 0


def _finding(rows: int, action: Action, why: str, table: str) -> Finding:
    return Finding(rule="codes", rows=rows, action=action, why=why, table=table)
