"""Tables behind a database URL: SQLite and PostgreSQL through SQLAlchemy, any layout by query, and
our own event store by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import UUID

import polars as pl

from metarec.data.errors import BadInput
from metarec.data.events.rows import Place
from metarec.data.findings import Finding
from metarec.data.frames import key_text
from metarec.data.sources.canonical_tables import RawTable, Reading, tables_of
from metarec.data.sources.files.file_roles import MAX_FILES
from metarec.data.sources.layouts.data_folder import read_folder
from metarec.data.tables import Tables
from metarec.runtime.extras import require

if TYPE_CHECKING:
    import sqlalchemy as sa

TABLES = {
    "interactions": ("interactions", "events", "ratings"),
    "items": ("items", "products", "catalog"),
    "users": ("users", "customers", "profiles"),
    "friends": ("friends", "friendships"),
    "searches": ("searches", "search_queries"),
}
"""Table names understood without a query, by what they hold."""
JSON_COLUMNS = ("attributes", "profile", "context")
"""Columns of our own event store that hold an object each; its entries become columns."""
STORE_ONLY = ("sequence", "event_id", "slate_id", "version")
"""Columns of the event store that say nothing about taste."""
PORTION = 100_000
"""Rows fetched at a time."""


def read_sql(url: str, reading: Reading, queries: Mapping[str, str] | None = None) -> Tables:
    """Read from a database, which is only ever read.

    Args:
        url: `sqlite:///file` or `postgresql://user:password@host/name`.
        queries: by `interactions`, `items` and `users`, a table's name or a SELECT; None looks for
            tables of the usual names.

    Raises:
        BadInput: if the database cannot be reached, or has no table of events.
    """
    sqlalchemy = require("sqlalchemy", "postgres" if url.startswith("postgres") else "sql")
    shown, engine = _engine(sqlalchemy, url)
    try:
        with engine.connect() as connection:
            found = dict(queries) if queries else _usual_tables(sqlalchemy, connection)
            if not found:
                return _told_apart(sqlalchemy, connection, shown, reading)
            raw = {
                what: _rows(sqlalchemy, connection, query, shown) for what, query in found.items()
            }
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise BadInput(
            f"{shown}: {str(getattr(error, 'orig', None) or error).strip().splitlines()[0]}"
        ) from error
    finally:
        engine.dispose()
    return tables_of(
        raw.get("interactions"),
        raw.get("items"),
        raw.get("users"),
        reading,
        _name(shown),
        friends=raw.get("friends"),
        searches=raw.get("searches"),
    )


def _engine(sqlalchemy: Any, url: str) -> tuple[str, sa.Engine]:
    """The URL without its password, and an engine for it."""
    forms = "give sqlite:///file or postgresql://user:password@host/name"
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # which may hold the password
        raise BadInput(f"cannot read the database URL; {forms}") from None
    shown = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite":
        file = Path(parsed.database or "")
        if not file.is_file():
            raise BadInput(f"{file} does not exist; {forms}")
        # Read-only: opening a database must never create or change it.
        return shown, sqlalchemy.create_engine(
            f"sqlite:///file:{file.resolve().as_posix()}?mode=ro&uri=true"
        )
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        require("psycopg", "postgres")
        return shown, sqlalchemy.create_engine(
            parsed.set(drivername="postgresql+psycopg"), hide_parameters=True
        )
    raise BadInput(f"no reader for databases of kind {parsed.drivername!r}; {forms}")


def _table_names(sqlalchemy: Any, connection: sa.Connection) -> list[str]:
    inspector = sqlalchemy.inspect(connection)
    return [*inspector.get_table_names(), *inspector.get_view_names()]


def _usual_tables(sqlalchemy: Any, connection: sa.Connection) -> dict[str, str]:
    """Tables of the usual names; none where events have none."""
    names = _table_names(sqlalchemy, connection)
    found = {what: next((n for n in usual if n in names), None) for what, usual in TABLES.items()}
    if found["interactions"] is None:
        return {}
    return {what: name for what, name in found.items() if name is not None}


def _told_apart(sqlalchemy: Any, connection: sa.Connection, shown: str, reading: Reading) -> Tables:
    """Tables of other names, by their columns, as files of a folder are; of no more than a few."""
    names = sorted(_table_names(sqlalchemy, connection))
    why = f"it has {', '.join(names[:12]) or 'none'}"
    if 0 < len(names) <= MAX_FILES:
        with TemporaryDirectory(prefix="metarec-") as scratch:
            folder = Path(scratch) / _name(shown)
            folder.mkdir()
            for name in names:
                table = _rows(sqlalchemy, connection, name, shown)[0]
                table.write_parquet(folder / f"{re.sub(r'[^0-9A-Za-z_]', '_', name)}.parquet")
            try:
                return read_folder(folder, reading)
            except BadInput as error:
                if "holds no interactions" not in str(error):
                    why += f"; {str(error).replace(str(folder), shown)}"
    raise BadInput(
        f"{shown} has no table interactions, events or ratings ({why}); "
        "name a table or a SELECT in a TOML file, such as interactions = 'SELECT * FROM "
        "order_lines JOIN orders USING (order_id)'"
    )


def _rows(sqlalchemy: Any, connection: sa.Connection, query: str, shown: str) -> RawTable:
    """All rows of a table or a SELECT, fetched in portions."""
    is_select = _is_select(query)
    text = query if is_select else f"SELECT * FROM {_quoted(sqlalchemy, connection, query.strip())}"
    answer = connection.execution_options(stream_results=True).execute(
        sqlalchemy.text(text.replace(":", r"\:"))
    )
    columns, findings = _apart(list(answer.keys()), query if not is_select else "the query")
    portions = [pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))]
    for part in answer.partitions(PORTION):
        portions.append(
            pl.DataFrame(
                [tuple(_plain(cell) for cell in row) for row in part],
                schema=columns,
                orient="row",
                infer_schema_length=None,
                strict=False,
            )
        )
    frame = _open_json(_one_type(pl.concat(portions, how="vertical_relaxed")))
    return (
        _without_books(frame),
        Place(query if not is_select else f"the query of {shown}"),
        findings,
    )


def _without_books(frame: pl.DataFrame) -> pl.DataFrame:
    """Without what our own event store keeps for itself, and without items deleted there."""
    columns = set(frame.columns)
    if {"version", "is_deleted"} <= columns:
        frame = frame.filter(pl.col("is_deleted") == 0).drop("is_deleted")
    books = STORE_ONLY if "event_id" in columns else ("version",)
    return frame.drop(columns.intersection(books))


def _is_select(query: str) -> bool:
    """Whether this is a query rather than a table's name; comments and brackets may stand first."""
    bare = re.sub(r"^(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)+", "", query, flags=re.DOTALL)
    return re.match(r"(select|with|values|table)\b.*\s", bare + " ", re.I | re.DOTALL) is not None


def _quoted(sqlalchemy: Any, connection: sa.Connection, name: str) -> str:
    """A table's name, quoted; `schema.table` by its parts, unless a table is called so."""
    quote = connection.dialect.identifier_preparer.quote
    inspector = sqlalchemy.inspect(connection)
    if "." not in name or name in {*inspector.get_table_names(), *inspector.get_view_names()}:
        return str(quote(name.strip('"`[]')))
    return ".".join(str(quote(part.strip('"`[]'))) for part in name.split("."))


def _apart(columns: list[str], place: str) -> tuple[list[str], list[Finding]]:
    """Column names with a number where one comes again, as in joins of tables that share one."""
    names: list[str] = []
    findings = []
    for column in columns:
        number, name = 2, column
        while name in names:
            name, number = f"{column}_{number}", number + 1
        names.append(name)
        if name != column:
            why = f"a further column {column!r} of {place} was read as {name!r}"
            findings.append(Finding(rule="columns", rows=0, action="noted", why=why))
    return names, findings


def _plain(cell: Any) -> Any:
    """A cell as what a frame can hold: keys as text, decimals as numbers."""
    if isinstance(cell, UUID):
        return str(cell)
    if isinstance(cell, Decimal):
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    return key_text(cell) if isinstance(cell, bytes) else cell


def _one_type(frame: pl.DataFrame) -> pl.DataFrame:
    """Columns that hold objects of several types, as SQLite allows, as text."""
    return frame.with_columns(
        pl.Series(c, [None if v is None else str(v) for v in frame[c]], dtype=pl.Utf8)
        for c, dtype in frame.schema.items()
        if dtype == pl.Object
    )


def _open_json(frame: pl.DataFrame) -> pl.DataFrame:
    """Entries of a column of JSON objects as columns of their own; those there already keep their
    own.
    """
    for name in JSON_COLUMNS:
        if name not in frame.columns or frame.schema[name] not in (pl.Utf8, pl.Null):
            continue
        objects = frame[name].cast(pl.Utf8)
        frame = frame.drop(name)
        if objects.null_count() < len(objects):
            try:
                entries = (
                    objects.fill_null("{}")
                    .str.json_decode(infer_schema_length=None)
                    .struct.unnest()
                )
            except pl.exceptions.PolarsError:
                frame = frame.with_columns(objects)  # not JSON after all
                continue
            frame = frame.hstack(
                entries.select(c for c in entries.columns if c not in frame.columns)
            )
    return frame


def _name(shown: str) -> str:
    return Path(shown.split("?")[0]).stem or "database"
