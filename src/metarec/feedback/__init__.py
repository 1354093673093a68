"""Stage 5: durable storage of impressions and events, drift and retraining advice, experiments, and
forgetting of users.

The loop closes by data, not by imports: feedback stores events, and the next `fit` or `fold_in`
reads them.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from metarec.data.errors import BadInput

if TYPE_CHECKING:
    from metarec.feedback.store.event_store import Store

__all__ = ["open_store"]
SQLITE = b"SQLite format 3\0"
"""First bytes of every SQLite file."""


def open_store(url: str, *, create: bool = True, as_it_is: bool = False) -> Store:
    """Open the event store at `url`, creating or migrating its tables.

    Args:
        url: a path to a SQLite file, `sqlite:///file`, or
            `postgresql://user:password@host/database`, with `?schema=NAME` if its tables are
            not in the schema `metarec`.
        create: whether a place without a store, such as a missing or empty file, becomes one.
        as_it_is: neither create nor migrate tables, as for inspecting a store.

    Raises:
        metarec.data.schema.BadInput: if it is a file that cannot be a store.
        FileNotFoundError: if there is no store yet and `create` is False; with `as_it_is` an
            empty file is opened.
        MissingExtra: without the extra that reads such a store; the message names it.
        metarec.data.schema.BadInput: if the url names a store that metarec does not know.
    """
    from metarec.runtime.extras import require

    require("sqlalchemy", "serve")
    if url.startswith("postgres"):
        require("psycopg", "postgres")
    from metarec.feedback.store.event_store import Store, file_of

    file = file_of(url)
    _check_place(file)
    if not create and file is not None and not file.is_file():
        raise FileNotFoundError(
            f"there is no event store at {str(file)!r}; name yours with --store"
        )
    if not _has_store(file) and not create and not as_it_is:
        raise FileNotFoundError(f"{str(file)!r} holds no event store yet; name yours with --store")
    return Store(url, as_it_is=as_it_is, create=create)


def _has_store(file: Path | None) -> bool:
    """Return whether a SQLite file holds tables of a store; True for a server, which is asked when
    it is opened. Reading leaves the file as it is.

    Raises:
        metarec.data.schema.BadInput: if it holds tables of others only, which ours must not join:
            a file is rewritten as a whole, and a store of nobody would say that users are
            forgotten.
    """
    if file is None or not file.is_file():
        return file is None
    import sqlite3

    place, tables = f"{file.absolute().as_uri()}?mode=ro", "WHERE type = 'table'"
    try:
        with contextlib.closing(sqlite3.connect(place, uri=True)) as read:
            names = {name for (name,) in read.execute(f"SELECT name FROM sqlite_master {tables}")}
    except sqlite3.DatabaseError:  # busy or damaged, which is reported when it is opened
        return True
    others = sorted(name for name in names if not name.startswith("sqlite_"))
    if others and not {"schema_version", "events"} <= names:
        raise BadInput(
            f"the store's place holds tables of others ({', '.join(others[:3])}); give metarec a "
            f"file, or with ?schema=NAME a PostgreSQL schema, of its own"
        )
    return bool(others)


def _check_place(file: Path | None) -> None:
    """Refuse a path that cannot be a SQLite store, before anything is opened."""
    if file is None:
        return
    if file.is_dir():
        raise BadInput(
            f"the event store {str(file)!r} is a folder; name a file in it, such as "
            f"{str(file / 'events.db')!r}"
        )
    if not file.absolute().parent.is_dir():
        raise BadInput(
            f"there is no folder {str(file.parent)!r} for the event store; make it, or name "
            "another file with --store"
        )
    with contextlib.suppress(OSError):  # an unreadable file is reported when it is opened
        begins = _first_bytes(file)
        if begins and begins != SQLITE:
            raise BadInput(
                f"{str(file)!r}: the store is damaged (file is not a database); restore a backup, "
                "or name another file with --store"
            )


def _first_bytes(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(len(SQLITE))
