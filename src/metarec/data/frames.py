"""Frames of whatever library as polars has them, and an order of rows that no file decides."""

from __future__ import annotations

from collections.abc import Iterable
from os import PathLike
from typing import Any

import polars as pl

from metarec.data.errors import BadInput

LONGEST_KEY = 64
"""Bytes of a key that is no text."""


def as_polars(frame: Any, what: str) -> pl.DataFrame:
    """Take a polars or pandas frame (or anything polars reads) as a polars frame.

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
    """Whole numbers of any width as 64 bits, so that they compare with any other; spans of time as
    seconds; objects, such as keys of a program, and bytes as text.
    """
    found: list[pl.Expr | pl.Series] = []
    for name, dtype in table.schema.items():
        if dtype in (pl.Object, pl.Binary):
            found.append(pl.Series(name, _texts(table[name]), pl.Utf8))
        elif isinstance(dtype, pl.Duration):
            found.append(pl.col(name).dt.total_microseconds() / 1e6)
        elif dtype.is_integer() and dtype != pl.Int64:
            largest = table[name].max()
            if not isinstance(largest, int) or largest < 2**63:  # an id may be larger
                found.append(pl.col(name).cast(pl.Int64))
    return table.with_columns(found)


def _texts(cells: Iterable[Any]) -> list[str | None]:
    """Cells as text: bytes read as UTF-8, or, where some are no text, as hexadecimal digits;
    nothing where they are too long to be keys (pictures).
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
    """Bytes that stand beside text, as the text that they are, else in hexadecimal digits."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return key.hex()
    return text if text.isprintable() else key.hex()


def _of_pandas(frame: Any, what: str) -> pl.DataFrame:
    """A pandas frame, with what its index is called as columns; periods, and columns of objects
    that are neither text nor numbers (keys), become text.
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
    """A column of a pandas frame of which some column is of a type that Arrow lacks."""
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
    """Sort ids as whole numbers where they are, else as text, so that the order never depends on
    the file.
    """
    return [pl.col(column).cast(pl.Int64, strict=False), pl.col(column)]


def id_codes(ids: pl.Series) -> pl.Series:
    """Each id's place among the ids in `id_order`, as uint32: equal for equal ids, and much faster
    to sort and compare.
    """
    places = pl.DataFrame({"id": ids.unique()}).sort(id_order("id")).with_row_index("place")
    return pl.DataFrame({"id": ids}).join(places, on="id", how="left", maintain_order="left")[
        "place"
    ]


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """Events by user, time and item; kind and value decide what is left, so that the order of the
    input rows never does.
    """
    keys = events.with_columns(
        id_codes(events["user_id"]).alias("__user"),
        id_codes(events["item_id"]).alias("__item"),
        id_codes(events["kind"]).alias("__kind"),
    )
    return keys.sort("__user", "timestamp", "__item", "__kind", "value").drop(
        "__user", "__item", "__kind"
    )
