"""One table from one file: CSV, Parquet or JSON Lines, read without changing it and without a
traceback.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from metarec.data.findings import Finding
from metarec.data.schema import BadInput
from metarec.data.validity import Place

SUFFIXES = (
    ".parquet",
    ".csv",
    ".tsv",
    ".txt",
    ".jsonl",
    ".ndjson",
    ".csv.gz",
    ".tsv.gz",
    ".jsonl.gz",
    ".pq",
)
"""Endings of the files a table can be read from."""
MOST_LINE = 1 << 24
"""Characters; no line of a text table may be longer."""


def suffix_of(path: Path) -> str:
    """The ending that says how to read a file, in lower case: `.csv.gz` as well as `.csv`."""
    suffixes = [s.lower() for s in path.suffixes[-2:]]
    return "".join(suffixes) if suffixes[-1:] == [".gz"] else (suffixes[-1] if suffixes else "")


def read_table(path: Path) -> tuple[pl.DataFrame, Place, list[Finding]]:
    """Read a file as a table with the column names it has; text columns stay text.

    Raises:
        BadInput: if the file is missing, empty, of no known form, or cannot be read.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist or is not a file")
    if path.stat().st_size == 0:
        raise BadInput(f"{path} is empty; it needs a line with column names and at least one row")
    suffix = suffix_of(path)
    try:
        if suffix in (".parquet", ".pq"):
            return pl.read_parquet(path), Place(path.name), []
        if suffix in (".jsonl", ".ndjson", ".jsonl.gz"):
            return _read_json_lines(path)
        if suffix in (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz"):
            return read_delimited(path)
    except pl.exceptions.PolarsError as error:
        raise BadInput(
            f"{path} cannot be read as {suffix}: {str(error).strip().splitlines()[0]}"
        ) from error
    except (OSError, UnicodeDecodeError, EOFError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    raise BadInput(
        f"{path}: no reader for {suffix or 'a file without an ending'}; tables end in "
        f"{', '.join(SUFFIXES)}"
    )


def read_delimited(
    path: Path,
    separator: str | None = None,
    columns: Sequence[str] | None = None,
    encoding: str = "utf8-lossy",
) -> tuple[pl.DataFrame, Place, list[Finding]]:
    """Read a text table with every cell as text; too short rows end in empty cells, surplus cells
    are left off.

    Args:
        separator: None takes comma, tab or semicolon, whichever the first line has most of.
        columns: names, for a file without a line of names.
    """
    header = first_line(path)
    separator = separator or max(("\t", ",", ";", "|"), key=lambda s: (header.count(s), s == ","))
    options: dict[str, Any] = {
        "separator": separator,
        "has_header": columns is None,
        "infer_schema": False,
        "truncate_ragged_lines": True,
        "encoding": encoding,
        "new_columns": list(columns) if columns else None,
    }
    findings: list[Finding] = []
    try:
        table = pl.read_csv(path, **options)
    except pl.exceptions.PolarsError:
        # A quote that is opened and never closed swallows the rest of the file; without quoting
        # only its own row is odd.
        table = pl.read_csv(path, **options, quote_char=None)
        findings.append(
            Finding(
                rule="unclosed_quotes",
                rows=0,
                action="noted",
                why=f"quotes in {path.name} do not pair up and were read as text",
            )
        )
    table = table.rename({c: c.strip().strip('"\ufeff') for c in table.columns})
    return table, Place(path.name, "line", 2 if columns is None else 1), findings


def first_line(path: Path) -> str:
    """The first line of a text file, packed or not."""
    opened = (
        gzip.open(path, "rt", encoding="utf-8", errors="replace")
        if path.suffix.lower() == ".gz"
        else path.open(encoding="utf-8", errors="replace")
    )
    with opened as lines:
        return lines.readline(MOST_LINE)


def _read_json_lines(path: Path) -> tuple[pl.DataFrame, Place, list[Finding]]:
    place = Place(path.name, "line")
    try:
        if path.suffix.lower() != ".gz":
            return pl.read_ndjson(path, infer_schema_length=None), place, []
    except pl.exceptions.PolarsError:
        pass  # some line is no object, or a column mixes types: read line by line and say which
    rows, bad, lines = [], [], 0
    opened = (
        gzip.open(path, "rt", encoding="utf-8", errors="replace")
        if path.suffix.lower() == ".gz"
        else path.open(encoding="utf-8", errors="replace")
    )
    with opened as text:
        for lines, line in enumerate(text, start=1):
            row = _object(line)
            if row is not None:
                rows.append(row)
            elif line.strip():
                bad.append(lines)
    if not rows or len(bad) > 0.2 * lines:
        raise BadInput(
            f"{path}: {len(bad):,} of {lines:,} lines are no JSON objects (first: line "
            f"{bad[0] if bad else 1}); "
            'each line must be one object such as {"user_id": "7", "item_id": "50"}'
        )
    findings = (
        [
            Finding(
                rule="unreadable_rows",
                rows=len(bad),
                action="removed",
                why="the line is no JSON object",
                examples=[f"line {n:,} of {path.name}" for n in bad[:3]],
            )
        ]
        if bad
        else []
    )
    return _mixed_frame(rows), Place(path.name, "object"), findings


def _object(line: str) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _mixed_frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """A frame of rows whose columns may mix types; a mixed column becomes text."""
    columns: dict[str, pl.Series] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        cells = [row.get(name) for row in rows]
        try:
            columns[name] = pl.Series(name, cells, strict=True)
        except (TypeError, pl.exceptions.PolarsError):
            texts = [c if c is None or isinstance(c, str) else json.dumps(c) for c in cells]
            columns[name] = pl.Series(name, texts, dtype=pl.Utf8)
    return pl.DataFrame(columns)


def with_numbers(table: pl.DataFrame, keep_text: Sequence[str] = ()) -> pl.DataFrame:
    """Turn text columns into numbers where every cell is one; codes such as `01234` and ids stay
    text.
    """
    found = {}
    for name, dtype in table.schema.items():
        if (
            dtype != pl.Utf8
            or name in keep_text
            or name.endswith("_id")
            or name in ("title", "text")
        ):
            continue
        text = table[name].str.strip_chars()
        text = pl.select(pl.when(text != "").then(text)).to_series().alias(name)
        if text.null_count() == len(text) or text.str.contains(r"^[+-]?0\d").any():
            continue
        numbers = text.cast(pl.Float64, strict=False)
        if numbers.null_count() == text.null_count() and numbers.is_finite().all():
            whole = bool((numbers == numbers.round()).all()) and bool((numbers.abs() < 2**53).all())
            found[name] = numbers.cast(pl.Int64) if whole else numbers
    return table.with_columns(**found) if found else table
