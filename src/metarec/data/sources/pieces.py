"""One table in several files: `part-00000.csv` and those after it, a file for each month, or
folders by the value of a column (`date=2024-01-01`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from metarec.data.event_rows import Place
from metarec.data.findings import Finding
from metarec.data.sources.files import SUFFIXES, read_table, suffix_of
from metarec.data.sources.parts import Joined

_VALUE = re.compile(r"^(\w+)=(.+)$")


def pieces_of(folder: Path, files: Sequence[Path]) -> list[Path]:
    """The files that are one table: all in folders by a value, else those of a folder whose names
    differ in numbers alone; none where there are several such tables.
    """
    within = sorted(p for p in folder.glob("*=*/**/*") if suffix_of(p) in SUFFIXES)
    within = [p for p in within if p.is_file() and not p.name.startswith((".", "_"))]
    if within:
        return within
    groups: dict[str, list[Path]] = {}
    for path in files:
        groups.setdefault(_without_numbers(path.name), []).append(path)
    several = [paths for paths in groups.values() if len(paths) > 1]
    return several[0] if len(several) == 1 else []


def _without_numbers(name: str) -> str:
    return re.sub(r"\d+", "*", name)


def values_of(path: Path) -> dict[str, str]:
    """Column -> value that the folders of a file say: `date=2024-01-01/part.csv`."""
    return {m[1]: m[2] for part in path.parent.parts if (m := _VALUE.match(part))}


def put_together(folder: Path, pieces: Sequence[Path], encoding: str | None) -> Joined:
    """All rows of such files, with what their folders say."""
    tables, findings = list[pl.DataFrame](), list[Finding]()
    for path in pieces:
        table, _, found = read_table(path, encoding)
        said = {c: v for c, v in values_of(path).items() if c not in table.columns}
        tables.append(table.with_columns(pl.lit(v).alias(c) for c, v in said.items()))
        findings += found
    name = _without_numbers(pieces[0].name)
    why = f"{len(pieces)} files of {folder.name} were read as one table ({pieces[0].name}, ...)"
    told = Finding(rule="columns", rows=0, action="noted", why=why)
    table = pl.concat(tables, how="diagonal_relaxed")
    return Joined(
        many=pieces[0], one=pieces[0], table=table, place=Place(name), findings=[told, *findings]
    )
