"""Checks of a store: its version and its integrity."""

from __future__ import annotations

from dataclasses import dataclass, field

import sqlalchemy as sa

from metarec.feedback.erasing import waiting_for_erasure
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store
from metarec.feedback.store.migrations import MIGRATIONS, older_places, version_of


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Result of checking a store."""

    version: int
    """Migrations applied to the store; 0 where there is no store yet."""
    newest: int
    """Migrations that this version of metarec knows."""
    rows: dict[str, int] = field(default_factory=dict)
    """Rows of each table; empty where the store has a problem, such as an old version."""
    to_erase: int = 0
    """Users forgotten since the files were last rewritten."""
    forgotten_until: float | None = None
    """Time of the last request to be forgotten that the store knows, seconds since 1970; a restored
    backup knows none of the later ones. None where there is none, or the store has a problem.
    """
    problems: list[str] = field(default_factory=list)
    """Problems, each with what to do, in sentences."""


def check_store(store: Store) -> Checked:
    """Check a store, opened with `as_it_is`, without changing it.

    Raises:
        StoreUnavailable: if it does not answer.
    """
    with store.reading() as connection:
        version = version_of(connection)
        problems = [*_of_version(store, connection, version), *_of_file(store, connection)]
        if version == len(MIGRATIONS):
            there = set(sa.inspect(connection).get_table_names())
            missing = sorted({str(name) for name in tables.metadata.tables} - there)
            problems += [f"there is no table {name}; restore a backup" for name in missing]
    if problems:
        return Checked(version=version, newest=len(MIGRATIONS), problems=problems)
    return Checked(
        version=version,
        newest=len(MIGRATIONS),
        rows=store.counts(),
        to_erase=waiting_for_erasure(store),
        forgotten_until=_forgotten_until(store),
    )


def _forgotten_until(store: Store) -> float | None:
    with store.reading() as connection:
        last = sa.select(sa.func.max(tables.forgotten.c.timestamp))
        return connection.execute(last).scalar()


def _of_version(store: Store, connection: sa.Connection, version: int) -> list[str]:
    if version > len(MIGRATIONS):
        return [f"version {version} is of a newer metarec; install one"]
    if 0 < version < len(MIGRATIONS):
        return [f"version {version} is older; run: metarec store migrate URL"]
    if version:
        return []
    older = [] if store.is_sqlite else older_places(connection, store.schema)
    if older:
        return [
            f"the tables of an older store lie in the schema {older[0]}; run: metarec store "
            f"migrate URL"
        ]
    return ["there is no store yet; metarec serve makes it, or: metarec store migrate URL"]


def _of_file(store: Store, connection: sa.Connection) -> list[str]:
    """Return the problems that SQLite's `quick_check` finds in its file."""
    if not store.is_sqlite:
        return []
    try:
        problems = connection.exec_driver_sql("PRAGMA quick_check(5)").scalars().all()
    except sa.exc.DatabaseError as error:
        problems = [str(error.orig)]
    return [f"the file is damaged ({line}); restore a backup" for line in problems if line != "ok"]
