"""Conversion of frames of any library to polars, and sort orders that do not depend on the order of
the input rows.
"""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any

import polars as pl

from metarec.data.errors import BadInput

LONGEST_KEY = 64
"""Length in bytes of the longest binary key; longer values are no keys."""


def as_polars(frame: Any, what: str) -> pl.DataFrame:
    """Convert a polars or pandas frame, or anything polars reads, to a polars frame.

    Raises:
        BadInput: if `frame` is not a table.
    """
    if isinstance(frame, pl.DataFrame):
        return widened(frame)
    if isinstance(frame, pl.LazyFrame):
        return widened(frame.collect())
    if type(frame).__module__.split(".")[0] == "pandas" and hasattr(frame, "columns"):
        return widened(_of_pandas(frame, what))
    if isinstance(frame, str | PathLike):
        raise BadInput(f"{what} must be a frame, got {str(frame)!r}; metarec.read reads files")
    try:
        return widened(pl.DataFrame(frame))
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise BadInput(
            f"{what} must be a polars or pandas frame, got {type(frame).__name__}"
        ) from error


def widened(table: pl.DataFrame) -> pl.DataFrame:
    """Convert integers of any width to 64 bits, so that columns can be compared and joined;
    durations to seconds; objects and bytes to text.
    """
    columns: list[pl.Expr | pl.Series] = []
    for name, dtype in table.schema.items():
        if dtype in (pl.Object, pl.Binary):
            columns.append(pl.Series(name, _texts(table[name]), pl.Utf8))
        elif isinstance(dtype, pl.Duration):
            columns.append(pl.col(name).dt.total_microseconds() / 1e6)
        elif dtype.is_integer() and dtype != pl.Int64:
            largest = table[name].max()
            if not isinstance(largest, int) or largest < 2**63:  # an id may be larger
                columns.append(pl.col(name).cast(pl.Int64))
    return table.with_columns(columns)


def _texts(cells: Iterable[Any]) -> list[str | None]:
    """Convert cells to text. A column of bytes is decoded as UTF-8; where one cell cannot be, all
    become hexadecimal digits, or null where one is too long to be a key (pictures).
    """
    known = [None if c is None or c != c else c for c in cells]
    if not all(isinstance(cell, bytes | None) for cell in known):
        return [
            None if c is None else key_text(c) if isinstance(c, bytes) else str(c) for c in known
        ]
    try:
        return [None if cell is None else cell.decode() for cell in known]
    except UnicodeDecodeError:
        is_key = max(len(cell or b"") for cell in known) <= LONGEST_KEY
        return [cell.hex() if cell and is_key else None for cell in known]


def key_text(key: bytes) -> str:
    """Decode bytes as UTF-8; as hexadecimal digits where they are not printable text."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return key.hex()
    return text if text.isprintable() else key.hex()


def _of_pandas(frame: Any, what: str) -> pl.DataFrame:
    """Convert a pandas frame. Named index levels become columns; periods, intervals and objects
    that are neither text nor numbers become text.
    """
    keys = [name for name in frame.index.names if name is not None and name not in frame.columns]
    frame = frame.reset_index(level=keys) if keys else frame
    twice = frame.columns[frame.columns.duplicated()].tolist()
    if twice:
        raise BadInput(f"{what}: two columns are called {twice[0]!r}; rename one or leave it out")

    def with_texts(names: Iterable[str]) -> Any:
        return frame.assign(**{name: _texts(frame[name]) for name in names})

    spans = [n for n in frame.columns if str(frame[n].dtype).startswith(("period", "interval"))]
    frame = with_texts(spans) if spans else frame
    try:
        table = pl.from_pandas(frame)
    except (TypeError, ValueError, NotImplementedError):  # by which Arrow refuses a type it lacks
        return pl.DataFrame([_of_series(frame[name], what) for name in frame.columns])
    objects = [n for n, dtype in table.schema.items() if dtype in (pl.Object, pl.Binary)]
    return pl.from_pandas(with_texts(objects)) if objects else table


def _of_series(column: Any, what: str) -> pl.Series:
    """Convert one pandas column, for frames with a column of a type that Arrow does not have."""
    if str(column.dtype).startswith("Sparse"):
        column = column.sparse.to_dense()
    try:
        return pl.Series(str(column.name), pl.from_pandas(column))
    except (TypeError, ValueError, NotImplementedError) as error:
        if column.dtype == object:
            return pl.Series(str(column.name), _texts(column), dtype=pl.Utf8)
        raise BadInput(
            f"{what}: column {column.name!r} is of type {column.dtype}, which cannot be read; make "
            f"numbers or texts of it"
        ) from error


def id_order(column: str) -> list[pl.Expr]:
    """Return sort keys that order ids as integers where they are such, else as text, so that the
    order never depends on the file.
    """
    return [pl.col(column).cast(pl.Int64, strict=False), pl.col(column)]


def id_codes(ids: pl.Series) -> pl.Series:
    """Return each id's rank in `id_order` as uint32: equal for equal ids, and much faster to sort
    and compare than text.
    """
    places = pl.DataFrame({"id": ids.unique()}).sort(id_order("id")).with_row_index("place")
    return pl.DataFrame({"id": ids}).join(places, on="id", how="left", maintain_order="left")[
        "place"
    ]


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """Sort events by user, time and item; kind and value break ties, so that the order of the input
    rows has no effect.
    """
    keys = events.with_columns(
        id_codes(events["user_id"]).alias("__user"),
        id_codes(events["item_id"]).alias("__item"),
        id_codes(events["kind"]).alias("__kind"),
    )
    return keys.sort("__user", "timestamp", "__item", "__kind", "value").drop(
        "__user", "__item", "__kind"
    )
