"""Read one table from several files: `part-00000.csv` and those after it, a file for each month, or
folders by the value of a column (`date=2024-01-01`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from metarec.data.errors import BadInput
from metarec.data.events.rows import Place
from metarec.data.findings import Finding
from metarec.data.sources.files.joined_files import Joined
from metarec.data.sources.files.single_file import read_table
from metarec.data.sources.files.suffixes import SUFFIXES, suffix_of

_VALUE = re.compile(r"^(\w+)=(.+)$")
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""Name of the folder of missing values in Hive and Spark."""
MAX_SAME, MIN_ROWS = 0.9, 10
"""Maximum share of a file's distinct rows that other files have too, and the minimum number of
distinct rows for this check.
"""


def pieces_of(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Return the files of one table: all files in folders by a value, else those whose names differ
    only in numbers; empty where there are several such groups.
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
    """Return a file's name without numbers and names of months."""
    return re.sub(r"\d+", "*", _MONTH.sub("*", name))


_MONTH = re.compile(
    r"(?<![^\W\d_])(jan(uary|uar|eiro)?|janvier|enero|gennaio|feb(ruary|ruar|rero|braio)?|fevereiro"
    r"|f[ée]vrier|mar(ch|s|zo|ço)?|märz|maerz|apr(il|ile)?|avril|abril|may|mai|mayo|maio|maggio"
    r"|june?|juni|juin|junio|junho|giugno|july?|juli|juillet|julio|julho|luglio"
    r"|aug(ust)?|ao[uû]t|agosto|sept?(ember|embre|iembre)?|setembro|settembre"
    r"|o[ck]t(ober|obre|ubre)?|outubro|ottobre|nov(ember|embre|iembre|embro)?"
    r"|de[cz](ember|embre|embro)?|d[ée]cembre|diciembre|dicembre)(?![^\W\d_])",
    re.IGNORECASE,
)
"""Pattern of a name of a month that no letter precedes or follows."""


def values_of(folder: Path, path: Path) -> dict[str, str | None]:
    """Return column -> value from the folders of a file: `date=2024-01-01/part.csv`."""
    parts = path.relative_to(folder).parent.parts
    values = {m[1]: unquote(m[2]) for part in parts if (m := _VALUE.match(part))}
    return {c: None if v == NO_VALUE else v for c, v in values.items()}


def put_together(folder: Path, pieces: Sequence[Path], encoding: str | None) -> Joined:
    """Concatenate the files, with the values in the names of their folders as columns.

    Raises:
        BadInput: if nearly all rows of a file are in other files too.
    """
    tables, findings = list[pl.DataFrame](), list[Finding]()
    for path in pieces:
        table, _, notes = read_table(path, encoding)
        values = {c: v for c, v in values_of(folder, path).items() if c not in table.columns}
        tables.append(
            table.with_columns(pl.lit(v, dtype=pl.Utf8).alias(c) for c, v in values.items())
        )
        findings += notes
    _refuse_copies(tables, pieces)
    name = _without_numbers(pieces[0].name)
    why = f"{len(pieces)} files of {folder.name} were read as one table ({pieces[0].name}, ...)"
    note = Finding(rule="columns", rows=0, action="noted", why=why)
    table = pl.concat(tables, how="diagonal_relaxed")
    return Joined(
        many=pieces[0], one=pieces[0], table=table, place=Place(name), findings=[note, *findings]
    )


def _refuse_copies(tables: Sequence[pl.DataFrame], pieces: Sequence[Path]) -> None:
    """Refuse files nearly all rows of which are in other files: versions of a table, not parts."""
    row_hashes = list[pl.DataFrame]()
    for number, table in enumerate(tables):
        flat = table.select(c for c, t in sorted(table.schema.items()) if not t.is_nested())
        rows = flat.hash_rows().unique() if flat.width else pl.Series(dtype=pl.UInt64)
        row_hashes.append(pl.DataFrame({"row": rows}).with_columns(piece=pl.lit(number)))
    hashes = pl.concat(row_hashes).with_columns(same=pl.col("row").is_duplicated())
    share = hashes.group_by("piece", maintain_order=True).agg(pl.len(), pl.col("same").mean())
    copies = share.filter(pl.col("len") >= MIN_ROWS, pl.col("same") > MAX_SAME)
    if copies.height:
        raise BadInput(
            f"nearly all rows of {pieces[copies[0, 'piece']].name} stand in files beside it too, "
            "as in versions of one table; keep one, or name the file of events interactions"
        )
