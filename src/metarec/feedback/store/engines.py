"""Connections to the store: the forms of its url, and the setup of each connection."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from metarec.data.schema import BadInput
from metarec.feedback.events import StoreUnavailable

CONNECT_SECONDS = 5
"""Seconds to connect to a server; the operating system would wait for minutes if its machine is
gone.
"""
BUSY_SECONDS = {"write": 0.0, "read": 10.0}
"""Seconds that SQLite itself waits for a lock. Its waiting is not fair: it polls ever less often,
so that a busy neighbor starves it for seconds. The writer therefore waits by itself and polls often
(`writer.py`); readers hardly ever wait.
"""
LOCK_SECONDS = 5.0
"""Seconds that a statement may wait for a lock on a server, so that a statement waiting for a long
reader does not block others behind it.
"""
STATEMENT_SECONDS = {"short": 30.0, "long": 3600.0}
"""Seconds that one statement may take on a server: short for the service; long for retraining and
erasing.
"""
IDLE_SECONDS = 600.0
"""Seconds that a transaction may be idle before the server ends it: a machine that is gone must not
hold locks forever.
"""
SCHEMA = "metarec"
"""PostgreSQL schema of the tables, unless the url has `?schema=NAME`."""
_FORMS = "give a file, sqlite:///file or postgresql://user:password@host/name"


def known_url(url: str) -> tuple[sa.URL, str]:
    """Return the parsed url of a store, and the schema of its tables.

    Raises:
        BadInput: if the url names a store that metarec does not know.
    """
    if "://" not in url:
        return sa.URL.create("sqlite", database=str(Path(url))), ""
    parsed = _parsed(url)
    if parsed.drivername in ("postgres", "postgresql"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "postgresql+psycopg":
        return parsed.difference_update_query(["schema"]), _schema(parsed)
    if parsed.drivername == "sqlite" and parsed.database:
        return parsed, ""
    raise BadInput(f"no event store of kind {parsed.drivername!r}; {_FORMS}")


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):  # an invalid port is a ValueError; neither the error
        # nor the url is shown, since both may hold the password
        raise BadInput(
            f"cannot read the store's url; {_FORMS}; `/`, `@`, `:` and `%` of a password are "
            f"written %2F, %40, %3A and %25, or the password is left out and given as PGPASSWORD"
        ) from None


def _schema(url: sa.URL) -> str:
    named = url.query.get("schema", SCHEMA)
    if not isinstance(named, str) or not is_schema(named):
        raise BadInput(
            f"{named!r} is no name of a PostgreSQL schema for metarec; use lower-case letters, "
            f"digits and _, at most 60"
        )
    return named


def is_schema(name: str) -> bool:
    """Return whether a schema of metarec may have this name."""
    plain = name.replace("_", "a")
    return (
        0 < len(name) <= 60
        and plain.isascii()
        and plain.isalnum()
        and plain == plain.lower()
        and not plain[0].isdigit()
        and not name.startswith("pg_")
    )


def with_schema(url: str, schema: str) -> str:
    """Return the url of a store on a server with its tables in `schema`; other urls, and those that
    name a schema themselves, are unchanged.

    Raises:
        BadInput: if the url names a store that metarec does not know, or the schema's name is not
            allowed.
    """
    if not url.startswith("postgres"):
        return url
    parsed = _parsed(url)
    named = parsed if "schema" in parsed.query else parsed.update_query_dict({"schema": schema})
    _schema(named)
    return named.render_as_string(hide_password=False)


def server_engine(url: sa.URL, schema: str) -> sa.Engine:
    """Return an engine for PostgreSQL; errors carry no parameters, which are personal data."""
    engine = sa.create_engine(
        url,
        pool_pre_ping=True,
        pool_size=8,
        hide_parameters=True,
        connect_args={"connect_timeout": CONNECT_SECONDS},
    )

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            # Only this schema: a shop's database may have a table `events` of its own
            cursor.execute(f'SET search_path TO "{schema}"')
            for name, seconds in (
                ("lock_timeout", LOCK_SECONDS),
                ("statement_timeout", STATEMENT_SECONDS["short"]),
                ("idle_in_transaction_session_timeout", IDLE_SECONDS),
            ):
                cursor.execute(f"SET {name} = {seconds * 1e3:.0f}")
        connection.commit()

    return engine


def check_writable(url: sa.URL) -> None:
    """Check that a SQLite file and its folder, where SQLite creates other files, are writable:
    SQLite's own error names neither, and it cannot even read without.

    Raises:
        StoreUnavailable: if one of them is not.
    """
    path = Path(url.database or "")
    for place in (path.parent, path):
        if url.get_backend_name() == "sqlite" and place.exists() and not os.access(place, os.W_OK):
            raise StoreUnavailable(
                f"{str(place)!r} cannot be written, and a store must be; make it writable, or name "
                f"another store"
            )


def sqlite_engine(url: sa.URL, busy_seconds: float, *, as_it_is: bool = False) -> sa.Engine:
    """Return an engine for SQLite whose transactions take the write lock at once and are flushed at
    commit, and whose deletions overwrite the bytes; with `as_it_is` the file's kind of journal,
    which is kept in it, stays.
    """
    engine = sa.create_engine(
        url, connect_args={"timeout": BUSY_SECONDS["read"]}, hide_parameters=True
    )

    @sa.event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: Any) -> None:
        connection.isolation_level = (
            None  # the driver's own BEGIN comes late and takes only a read lock
        )
        for pragma in (
            *(() if as_it_is else ("journal_mode=WAL",)),
            "synchronous=FULL",
            "secure_delete=ON",
            f"busy_timeout={1e3 * busy_seconds:.0f}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
