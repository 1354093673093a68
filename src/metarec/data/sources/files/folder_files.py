"""Find the tables in a folder and their columns; advice for folders without events."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from metarec.data.errors import BadInput
from metarec.data.names.column_matching import key_of
from metarec.data.names.column_names import SYNONYMS, plain
from metarec.data.sources.files.single_file import read_table
from metarec.data.sources.files.suffixes import SUFFIXES, WORKBOOK_SUFFIXES, suffix_of

LINES, HEAD = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson"), 1 << 20
"""Suffixes of files with one row per line, and bytes of a large one read for its columns."""


def tables_in(folder: Path) -> list[Path]:
    """Return the files that may be tables, sorted; beside other files, workbooks only where the
    reader for them is installed.
    """
    visible = [p for p in sorted(folder.iterdir()) if not p.name.startswith((".", "_", "~$"))]
    books = [p for p in visible if p.is_file() and suffix_of(p) in WORKBOOK_SUFFIXES]
    others = [p for p in visible if p.is_file() and suffix_of(p) in SUFFIXES]
    can_read = not others or find_spec("fastexcel") is not None
    return sorted([*others, *books]) if can_read else others


def columns_of(path: Path) -> list[str]:
    """Return the names of a file's columns; of a large text file only the beginning is read."""
    suffix = suffix_of(path)
    if suffix in (".parquet", ".pq"):
        return _schema(path)
    if suffix not in LINES or path.stat().st_size <= HEAD:
        return read_table(path)[0].columns
    with path.open("rb") as file, TemporaryDirectory() as scratch:
        head = Path(scratch) / path.name
        head.write_bytes(file.read(HEAD).rpartition(b"\n")[0])
        return read_table(head)[0].columns


def _schema(path: Path) -> list[str]:
    try:
        return list(pl.read_parquet_schema(path))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error


def listing(folder: Path, max_names: int = 8) -> str:
    """Return the first names of files and folders in a folder, for a message."""
    names = sorted(p.name for p in folder.iterdir())
    return (
        "nothing"
        if not names
        else ", ".join(names[:max_names])
        + (f" and {len(names) - max_names} more" if len(names) > max_names else "")
    )


def advice_on_folder(folder: Path, files: Sequence[Path]) -> str:
    """Return advice for a folder without events that holds exports of one user each, folders of
    tables or XML files; else empty.
    """
    advice = list[str]()
    without_users = [path.name for path in files if _names_no_user(path)]
    if len(without_users) > 1:
        advice.append(
            f"; {without_users[0]} and {without_users[1]} name items, but no users: if each is of "
            f"one user, add a column user_id that says which, and put them into one table"
        )
    within = sorted(path for path in folder.iterdir() if path.is_dir())
    holding = [path.name for path in within if tables_in(path)]
    if holding:
        advice.append(f"; give {holding[0]} alone, if the events are in it")
    xml = sorted(path.name for path in folder.iterdir() if path.suffix.lower() == ".xml")
    if xml:
        advice.append(
            f"; {xml[0]} is XML, which is not read: make a table of it "
            f"(pandas.read_xml(PATH).to_csv('events.csv', index=False))"
        )
    return "".join(advice)


def _names_no_user(path: Path) -> bool:
    """Whether the columns of a file name items or titles, and no user."""
    try:
        columns = columns_of(path)
    except BadInput:
        return False
    titles = {plain(name) for name in ("title", *SYNONYMS["title"])}
    is_named = key_of(columns, "item_id") is not None or bool(titles & {*map(plain, columns)})
    return is_named and key_of(columns, "user_id") is None
