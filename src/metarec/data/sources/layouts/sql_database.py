"""Read tables from a database by its URL: SQLite and PostgreSQL through SQLAlchemy, and our own
event store.
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
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.frames import key_text
from metarec.data.sources.canonical_tables import Reading, tables_of
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
"""Table -> names of database tables that are read as it without a query."""
JSON_COLUMNS = ("attributes", "profile", "context")
"""Columns with a JSON object per cell, as in our own event store; the fields become columns."""
STORE_EVENTS = ("sequence", "event_id", "slate_id")
STORE_ITEMS = ("attributes", "version")
"""Columns by which the tables of events and of items of our own event store are known."""
STORE_ONLY = (*STORE_EVENTS, "copy_key", "version", "is_deleted")
"""Columns that these tables have for the store alone."""
PORTION = 100_000
"""Number of rows fetched at a time."""


def read_sql(url: str, reading: Reading, queries: Mapping[str, str] | None = None) -> Tables:
    """Read from a database; nothing is written to it.

    Args:
        url: `sqlite:///file` or `postgresql://user:password@host/name`.
        queries: by `interactions`, `items`, `users`, `friends` and `searches`, the name of a table
            or a SELECT; None reads tables of common names, or identifies tables by their columns.

    Raises:
        BadInput: if the database cannot be reached, or has no table of events.
    """
    sqlalchemy = require("sqlalchemy", "postgres" if url.startswith("postgres") else "sql")
    safe_url, engine = _engine(sqlalchemy, url)
    try:
        with engine.connect() as connection:
            query_by_table = dict(queries) if queries else _usual_tables(sqlalchemy, connection)
            if not query_by_table:
                return _tables_by_columns(sqlalchemy, connection, safe_url, reading)
            raw = {
                what: _rows(sqlalchemy, connection, query, safe_url)
                for what, query in query_by_table.items()
            }
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise BadInput(
            f"{safe_url}: {str(getattr(error, 'orig', None) or error).strip().splitlines()[0]}"
        ) from error
    finally:
        engine.dispose()
    return tables_of(
        raw.get("interactions"),
        raw.get("items"),
        raw.get("users"),
        reading,
        _name_in_url(safe_url),
        friends=raw.get("friends"),
        searches=raw.get("searches"),
    )


def _engine(sqlalchemy: Any, url: str) -> tuple[str, sa.Engine]:
    """Return the URL without its password, and an engine.

    Raises:
        BadInput: if the URL is invalid, the SQLite file does not exist, or no driver is known.
    """
    forms = "give sqlite:///file or postgresql://user:password@host/name"
    try:
        parsed = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):  # which may hold the password
        raise BadInput(f"cannot read the database URL; {forms}") from None
    safe_url = parsed.render_as_string(hide_password=True)
    if parsed.get_backend_name() == "sqlite":
        file = Path(parsed.database or "")
        if not file.is_file():
            raise BadInput(f"{file} does not exist; {forms}")
        # Read-only: opening a database must never create or change it.
        return safe_url, sqlalchemy.create_engine(
            f"sqlite:///file:{file.resolve().as_posix()}?mode=ro&uri=true"
        )
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        require("psycopg", "postgres")
        return safe_url, sqlalchemy.create_engine(
            parsed.set(drivername="postgresql+psycopg"), hide_parameters=True
        )
    raise BadInput(f"no reader for databases of kind {parsed.drivername!r}; {forms}")


def _table_names(sqlalchemy: Any, connection: sa.Connection) -> list[str]:
    """Return the names of all tables and views."""
    inspector = sqlalchemy.inspect(connection)
    return [*inspector.get_table_names(), *inspector.get_view_names()]


def _usual_tables(sqlalchemy: Any, connection: sa.Connection) -> dict[str, str]:
    """Return table -> database table of a common name; empty where there is none for the events."""
    names = _table_names(sqlalchemy, connection)
    name_by_table = {
        what: next((n for n in usual if n in names), None) for what, usual in TABLES.items()
    }
    if name_by_table["interactions"] is None:
        return {}
    return {what: name for what, name in name_by_table.items() if name is not None}


def _tables_by_columns(
    sqlalchemy: Any, connection: sa.Connection, safe_url: str, reading: Reading
) -> Tables:
    """Read the tables of a database of other names by their columns, as the files of a folder.

    Raises:
        BadInput: if there are no tables, more than `MAX_FILES`, or none with events.
    """
    names = sorted(_table_names(sqlalchemy, connection))
    why = f"it has {', '.join(names[:12]) or 'none'}"
    if 0 < len(names) <= MAX_FILES:
        with TemporaryDirectory(prefix="metarec-") as scratch:
            folder = Path(scratch) / _name_in_url(safe_url)
            folder.mkdir()
            for name in names:
                table = _rows(sqlalchemy, connection, name, safe_url)[0]
                table.write_parquet(folder / f"{re.sub(r'[^0-9A-Za-z_]', '_', name)}.parquet")
            try:
                return read_folder(folder, reading)
            except BadInput as error:
                if "holds no interactions" not in str(error):
                    why += f"; {str(error).replace(str(folder), safe_url)}"
    raise BadInput(
        f"{safe_url} has no table interactions, events or ratings ({why}); "
        "name a table or a SELECT in a TOML file, such as interactions = 'SELECT * FROM "
        "order_lines JOIN orders USING (order_id)'"
    )


def _rows(sqlalchemy: Any, connection: sa.Connection, query: str, safe_url: str) -> RawTable:
    """Return all rows of a table or a SELECT as a raw table."""
    is_select = _is_select(query)
    text = query if is_select else f"SELECT * FROM {_quoted(sqlalchemy, connection, query.strip())}"
    result = connection.execution_options(stream_results=True).execute(
        sqlalchemy.text(text.replace(":", r"\:"))
    )
    columns, findings = _unique_names(list(result.keys()), query if not is_select else "the query")
    portions = [pl.DataFrame(schema=dict.fromkeys(columns, pl.Null))]
    for part in result.partitions(PORTION):
        portions.append(
            pl.DataFrame(
                [tuple(_plain_cell(cell) for cell in row) for row in part],
                schema=columns,
                orient="row",
                infer_schema_length=None,
                strict=False,
            )
        )
    frame = _without_objects(pl.concat(portions, how="vertical_relaxed"))
    return (
        _open_json(_without_store_columns(frame)),
        Place(query if not is_select else f"the query of {safe_url}"),
        findings,
    )


def _without_store_columns(frame: pl.DataFrame) -> pl.DataFrame:
    """Remove from a table of our own event store the columns that only the store uses, and its
    deleted items. Other tables stay unchanged.
    """
    columns = {*frame.columns}
    if not ({*STORE_EVENTS} <= columns or {*STORE_ITEMS} <= columns):
        return frame
    if "is_deleted" in columns:
        frame = frame.filter(pl.col("is_deleted") == 0)
    return frame.drop(columns.intersection(STORE_ONLY))


def _is_select(query: str) -> bool:
    """Whether a text is a query rather than the name of a table; comments and brackets may precede
    it.
    """
    bare = re.sub(r"^(?:\s|\(|--[^\n]*(?:\n|$)|/\*.*?\*/)+", "", query, flags=re.DOTALL)
    return re.match(r"(select|with|values|table)\b.*\s", bare + " ", re.I | re.DOTALL) is not None


def _quoted(sqlalchemy: Any, connection: sa.Connection, name: str) -> str:
    """Quote the name of a table; the parts of `schema.table` are quoted each, unless a table has
    that name.
    """
    quote = connection.dialect.identifier_preparer.quote
    inspector = sqlalchemy.inspect(connection)
    if "." not in name or name in {*inspector.get_table_names(), *inspector.get_view_names()}:
        return str(quote(name.strip('"`[]')))
    return ".".join(str(quote(part.strip('"`[]'))) for part in name.split("."))


def _unique_names(columns: list[str], place: str) -> tuple[list[str], list[Finding]]:
    """Return column names with a number where a name recurs, as in joins, and findings."""
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


def _plain_cell(cell: Any) -> Any:
    """Convert a cell to a value for a frame: UUIDs and bytes become text, decimals numbers."""
    if isinstance(cell, UUID):
        return str(cell)
    if isinstance(cell, Decimal):
        return int(cell) if cell == cell.to_integral_value() else float(cell)
    return key_text(cell) if isinstance(cell, bytes) else cell


def _without_objects(frame: pl.DataFrame) -> pl.DataFrame:
    """Convert columns of objects to text; SQLite allows several types in a column."""
    return frame.with_columns(
        pl.Series(c, [None if v is None else str(v) for v in frame[c]], dtype=pl.Utf8)
        for c, dtype in frame.schema.items()
        if dtype == pl.Object
    )


def _open_json(frame: pl.DataFrame) -> pl.DataFrame:
    """Replace columns of JSON objects by columns of their fields; existing columns keep their names
    and cells.
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


def _name_in_url(safe_url: str) -> str:
    """Return the name of the database from its URL."""
    return Path(safe_url.split("?")[0]).stem or "database"
