"""Read one table from one file: delimited text, Parquet, Arrow, JSON, or a container with one
table.
"""

from __future__ import annotations

import ast
import json
import re
import zlib
from collections.abc import Sequence
from lzma import LZMAError
from pathlib import Path
from typing import Any

import polars as pl

from metarec.data.errors import BadInput
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_matching import key_of
from metarec.data.names.column_names import SYNONYMS, plain
from metarec.data.sources.files.containers import holds_tables, unpacked_tables
from metarec.data.sources.files.suffixes import (
    ARROW_SUFFIXES,
    JSON_SUFFIXES,
    PARQUET_SUFFIXES,
    TEXT_SUFFIXES,
    UNPACKED,
    WORKBOOK_SUFFIXES,
    bare_suffix,
    suffix_of,
)
from metarec.data.sources.text.compression import open_bytes
from metarec.data.sources.text.delimited import read_delimited
from metarec.data.sources.text.encoding import as_utf8
from metarec.data.sources.text.separators import LOOKED_AT, start_of


def read_table(
    path: Path, encoding: str | None = None, columns: Sequence[str] | None = None
) -> RawTable:
    """Read a file as a table with the column names it has; text stays text.

    Args:
        encoding: encoding of a text file; None detects it.
        columns: names, for delimited text without a header.

    Raises:
        BadInput: if the file is missing, empty, of unknown format, holds several tables, or cannot
            be read.
    """
    if not path.is_file():
        raise BadInput(f"{path} does not exist or is not a file")
    if path.stat().st_size == 0:
        raise BadInput(f"{path} is empty; it needs a line with column names and at least one row")
    if holds_tables(path):
        return _only_table(path, encoding, columns)
    suffix = suffix_of(path)
    try:
        if suffix in PARQUET_SUFFIXES:
            return pl.read_parquet(path), Place(path.name), []
        if suffix in ARROW_SUFFIXES:
            return _read_arrow(path), Place(path.name), []
        if _is_json(path):
            is_lines = "l" in suffix or "nd" in suffix or bare_suffix(path) in TEXT_SUFFIXES
            return _read_json(path, encoding, is_lines=is_lines)
        if bare_suffix(path) in (*TEXT_SUFFIXES, *JSON_SUFFIXES):
            return read_delimited(path, columns=columns, encoding=encoding)
    except pl.exceptions.PolarsError as error:
        raise BadInput(
            f"{path} cannot be read as {suffix}: {str(error).strip().splitlines()[0]}"
        ) from error
    except (OSError, UnicodeDecodeError, EOFError, LZMAError, zlib.error) as error:
        raise BadInput(f"{path} cannot be read: {error}") from error
    raise BadInput(
        f"{path}: no reader for {suffix or 'a file without an ending'}; tables end in "
        f"{', '.join((*UNPACKED, *WORKBOOK_SUFFIXES))}, those of text also in .csv.gz and the like"
    )


def _is_json(path: Path) -> bool:
    """Whether a file is JSON, by its suffix, or by its beginning where that contradicts the
    suffix.
    """
    with open_bytes(path) as file:
        start = file.read(LOOKED_AT).removeprefix(b"\xef\xbb\xbf").lstrip()
    if bare_suffix(path) in TEXT_SUFFIXES:
        return re.match(rb'(\[\s*)?\{\s*"[^"]*"\s*:', start) is not None
    is_table = re.match(rb'"?[A-Za-z_]\w*"?[,;\t|]"?[A-Za-z_]', start) is not None
    return bare_suffix(path) in JSON_SUFFIXES and not is_table


def _only_table(path: Path, encoding: str | None, columns: Sequence[str] | None) -> RawTable:
    """Read the only table of a container.

    Raises:
        BadInput: if it holds several.
    """
    with unpacked_tables(path) as (where, findings):
        if where.is_file():
            table, place, notes = read_table(where, encoding, columns)
            return table, place, [*findings, *notes]
        listed = ", ".join(sorted(p.name.split(".")[0] for p in where.iterdir()))
    raise BadInput(
        f"{path} holds several tables ({listed}); give it by itself, or by path = in a TOML file, "
        f"so that all of them are read"
    )


def _read_arrow(path: Path) -> pl.DataFrame:
    """Read a file in Arrow's file format, which is Feather, or in its stream format."""
    is_file = start_of(path).startswith(b"ARROW1")
    return pl.read_ipc(path) if is_file else pl.read_ipc_stream(path)


def _read_json(path: Path, encoding: str | None, *, is_lines: bool) -> RawTable:
    """Read JSON Lines or one array of objects; both are read under either suffix."""
    source, findings = as_utf8(path, encoding)
    content = source if isinstance(source, bytes) else None
    start = (content if content is not None else start_of(path)).lstrip()[:1]
    if start == b"[" or not is_lines:
        rows = _array(content if content is not None else path.read_bytes(), path.name)
        if rows is not None:
            named_keys = [*findings, *_with_named_keys(rows, path.name)]
            return _mixed_frame(rows), Place(path.name, "object"), named_keys
    try:
        table = pl.read_ndjson(source, infer_schema_length=None)
        return table, Place(path.name, "line"), findings
    except pl.exceptions.PolarsError:
        pass  # some line is no object, or a column mixes types: read line by line and say which
    text = (content if content is not None else path.read_bytes()).decode("utf-8", errors="replace")
    table, place, notes = _object_lines(text, path)
    return table, place, [*findings, *notes]


def _array(content: bytes, place: str) -> list[dict[str, Any]] | None:
    """Return the objects of one array, or of the only array within an object; None for other
    documents, such as one per line.
    """
    document = _loaded(content.decode("utf-8-sig", errors="replace"))
    if isinstance(document, dict):
        if (rows := _of_pandas(document) or _by_key(document, place)) is not None:
            return rows
        arrays = [v for v in document.values() if isinstance(v, list) and v]
        inner = [v for v in document.values() if isinstance(v, dict)]
        if not arrays and len(inner) == 1:  # an answer of a service, within an object of its own
            return _array(json.dumps(inner[0]).encode(), place)
        if len(arrays) != 1 or not isinstance(arrays[0][0], dict):
            return None
        document = arrays[0]
    if not isinstance(document, list) or not document:
        return None
    if (rows := _of_lists(document)) is not None:
        return rows
    return document if all(isinstance(row, dict) for row in document) else None


_ASSIGNED = re.compile(r"^\s*(?:(?:var|let|const|export|window\.)[^=\[{]*=|\w+\s*\()\s*")
"""Pattern of what a script has before its data: `var data = `, `callback(`."""


def _loaded(text: str) -> Any:
    """Parse JSON, also with trailing commas or within a script; None where that fails."""
    bare = re.sub(r",(\s*[\]}])", r"\1", _ASSIGNED.sub("", text.rstrip().rstrip(";)")))
    for one in (text, bare):
        try:
            return json.loads(one)
        except ValueError:
            continue
    return None


def _of_lists(array: list[Any]) -> list[dict[str, Any]] | None:
    """Return the rows of an array of arrays, the first of which holds the names; None for
    others.
    """
    if not all(isinstance(row, list) and len(row) == len(array[0]) for row in array):
        return None
    names, *rows = array
    is_named = all(isinstance(name, str) for name in names) and len({*names}) == len(names)
    if not rows or not is_named or not {plain(name) for name in names} & _NAMES:
        return None
    return [dict(zip(names, row, strict=True)) for row in rows]


KEYS = {"user_id": "__user_key", "item_id": "__item_key"}
"""Canonical name -> temporary name of a column made of the keys of an object."""


def _with_named_keys(rows: list[dict[str, Any]], place: str) -> list[Finding]:
    """Rename the temporary column of keys to its canonical name in place, and return a finding."""
    name = next((n for n, column in KEYS.items() if column in rows[0]), None)
    if name is None:
        return []
    for row in rows:
        row[name] = row.pop(KEYS[name])
    why = f"keys of the object in {place} were read as {name}"
    return [Finding(rule="columns", rows=0, action="noted", why=why)]


def _of_pandas(document: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Return the rows of JSON in the default layout of pandas, `{"user": {"0": "u1", ...}, ...}`,
    or in its layout `split`; None for others.
    """
    if {"columns", "data"} <= document.keys() and isinstance(document["data"], list):
        return [
            dict(zip(document["columns"], row, strict=False)) for row in document["data"]
        ] or None
    columns = [v for v in document.values() if isinstance(v, dict)]
    if len(columns) < max(2, len(document)) or not {plain(key) for key in document} & _NAMES:
        return None
    keys = columns[0].keys()
    if not keys or any(column.keys() != keys for column in columns):
        return None
    return [{name: column[key] for name, column in document.items()} for key in keys]


def _by_key(document: dict[str, Any], place: str) -> list[dict[str, Any]] | None:
    """Return the rows of an object of lists of objects, `{"u1": [{...}, ...], ...}`, with a column
    of its keys: users where the objects have items and no users, items in the contrary case.
    Objects of rows by number are read too; None for others.

    Raises:
        BadInput: if the values are lists of ids or flat objects, and nothing states what the keys
            are.
    """
    if len(document) < 2 or {plain(key) for key in document} & _NAMES:
        return None
    document = _without_one_name(document)
    if all(isinstance(v, dict) and v for v in document.values()):
        names = list(dict.fromkeys(name for row in document.values() for name in row))
        if key_of(names, "user_id") is not None and key_of(names, "item_id") is not None:
            return list(document.values())  # a number of the row, as Firebase and pandas have it
    if all(isinstance(v, list) and v and isinstance(v[0], dict) for v in document.values()):
        columns = list(dict.fromkeys(name for v in document.values() for row in v for name in row))
        user, item = key_of(columns, "user_id"), key_of(columns, "item_id")
        if (user is None) == (item is None):
            return None
        key = "user_id" if user is None else "item_id"
        return [{KEYS[key]: name, **row} for name, rows in document.items() for row in rows]
    if all(
        isinstance(v, list) and v and not isinstance(v[0], list) for v in document.values()
    ) or all(
        isinstance(v, dict) and v and all(map(_is_flat, v.values())) for v in document.values()
    ):
        first = next(iter(document))
        raise BadInput(
            f"{place} holds an object by key ({first!r}, ...), and does not say whether the keys "
            f'are users; write a row for each: {{"user_id": {json.dumps(first)}, "item_id": "50"}}'
        )
    return None


def _without_one_name(document: dict[str, Any]) -> dict[str, Any]:
    """Return an object with the only member of each of its objects in the place of that object,
    where all have the same: `{"u1": {"ratings": {...}}, ...}`; others unchanged.
    """
    inner = [v for v in document.values() if isinstance(v, dict) and len(v) == 1]
    names = {name for v in inner for name in v}
    if len(inner) < len(document) or len(names) != 1:
        return document
    (name,) = names
    is_list = all(isinstance(v[name], dict | list) for v in inner)
    return {key: v[name] for key, v in document.items()} if is_list else document


def _is_flat(cell: object) -> bool:
    """Whether a cell is a value or a list of values."""
    cells = cell if isinstance(cell, list) else [cell]
    return not any(isinstance(c, dict | list) for c in cells)


_NAMES = {plain(n) for name, names in SYNONYMS.items() for n in (name, *names)}
_NAMES -= {name for name in _NAMES if name[-1].isdigit()}  # `user2` is rather a user than a friend
"""Known names of columns, by which an object of lists is a table of columns."""


_GAP = re.compile(r"[\s,]*")


def _object_lines(text: str, path: Path) -> RawTable:
    """Read JSON objects line by line, or one after another. Return the table, its places and a
    finding on unreadable lines.

    Raises:
        BadInput: if more than a fifth of the lines are no objects.
    """
    rows, at, bad, lines = [], [], [], 0
    for lines, line in enumerate(text.splitlines(), start=1):
        row = _object(line)
        if row is not None:
            rows.append(row)
            at.append(lines)
        elif line.strip():
            bad.append(lines)
    if not rows or len(bad) > 0.2 * lines:
        if (objects := _one_after_another(text)) is not None:
            return _mixed_frame(objects), Place(path.name, "object"), []
        raise BadInput(
            f"{path}: {len(bad):,} of {lines:,} lines are no JSON objects (first: line "
            f"{bad[0] if bad else 1}); "
            'each line must be one object such as {"user_id": "7", "item_id": "50"}, or the file '
            "one array of such objects"
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
    place = Place(path.name, "line", 0, pl.Series(at, dtype=pl.Int64))
    return _mixed_frame(rows), place, findings


def _object(line: str) -> dict[str, Any] | None:
    """Parse a line as an object of JSON or of Python, in which some published data are written;
    None where it is neither.
    """
    text = line.strip().removesuffix(",")
    try:
        row = json.loads(text)
    except ValueError:
        if not text.startswith(("{'", "{u'", '{"')):
            return None
        try:
            row = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    if isinstance(row, str) and row.startswith("{"):  # a text of JSON in JSON
        return _object(row)
    return row if isinstance(row, dict) else None


def _one_after_another(text: str) -> list[dict[str, Any]] | None:
    """Return objects that follow each other on one line or span several lines; None for other
    text.
    """
    decoder, rows, position = json.JSONDecoder(), list[dict[str, Any]](), 0
    while (gap := _GAP.match(text, position)) is not None and gap.end() < len(text):
        try:
            row, position = decoder.raw_decode(text, gap.end())
        except (ValueError, RecursionError):
            return None
        several = row if isinstance(row, list) else [row]  # a page each
        if not all(isinstance(one, dict) for one in several):
            return None
        rows += several
    return rows or None


def _mixed_frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return a frame of rows; columns of mixed types become text."""
    columns: dict[str, pl.Series] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        cells = [row.get(name) for row in rows]
        try:
            columns[name] = pl.Series(name, cells, strict=True)
        except (TypeError, pl.exceptions.PolarsError):
            texts = [c if c is None or isinstance(c, str) else json.dumps(c) for c in cells]
            columns[name] = pl.Series(name, texts, dtype=pl.Utf8)
    return pl.DataFrame(columns)
