"""Numbers that stand for no number: -999 where nothing else is below 0, 9999 where all else is
small.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from metarec.data.findings import Action, Finding

LOW = (-1, -9, -99, -999, -9999, -99999)
"""Codes among numbers of which no other is below 0: they are gaps."""
HIGH = (999, 9999, 99999, 999999)
"""Codes among numbers all else of which are much smaller: they may be gaps."""
COUNTED = ("stock", "quantity", "qty", "available", "inventory", "balance", "库存", "余额")
"""Names of columns in which a number below 0 says what it says."""
MUCH = 5.0
MIN_CELLS, MIN_OTHERS = 2, 3
"""Cells with the code, and different numbers beside it, at least; a single cell is told."""


def without_codes(
    table: pl.DataFrame, what: str, keep: Sequence[str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Leave out numbers that stand for none; name those that may.

    Args:
        keep: columns in which every number is meant.
    """
    findings: list[Finding] = []
    for name, dtype in table.schema.items():
        if name in keep or not dtype.is_numeric() or any(w in name.lower() for w in COUNTED):
            continue
        column = table[name].cast(pl.Float64)  # whatever its width, it is compared with -99999
        low = [c for c in (*LOW, *_no_year(name)) if _is_code(column, c, is_low=True)]
        once = [c for c in low if int((column == c).sum()) < MIN_CELLS]
        findings += [_finding(1, "noted", _doubted(name, c, "larger"), what) for c in once]
        if low := [c for c in low if c not in once]:
            gaps = _are(column, low)
            table = table.with_columns(pl.when(~gaps).then(pl.col(name)).alias(name))
            why = f"{name} is {low[0]} there, which stands for no number: all others are larger"
            findings.append(_finding(int(gaps.sum()), "changed", why, what))
        for code in (c for c in HIGH if _is_code(column, c, is_low=False)):
            why = _doubted(name, code, "much smaller")
            findings.append(_finding(int((column == code).sum()), "noted", why, what))
    return table, findings


def _doubted(name: str, code: int, others: str) -> str:
    return (
        f"{name} is {code} there, and all others are {others}; if it stands for no number, leave "
        f"such cells empty"
    )


def _no_year(name: str) -> tuple[int, ...]:
    """0 is no year."""
    return (0,) if "year" in name.lower() or "年" in name else ()


def _are(column: pl.Series, codes: Sequence[int]) -> pl.Series:
    return column.is_in([float(code) for code in codes]).fill_null(False)


def _is_code(column: pl.Series, code: int, *, is_low: bool) -> bool:
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
