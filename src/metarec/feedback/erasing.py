"""Erasing the bytes of deleted rows, which stay in SQLite's file or a server's tables until these
are rewritten. SQLite's file is rewritten when a user is forgotten. Rewriting a server's tables
would block all other sessions behind a long reader, so it has a command of its own and never
happens during a request.
"""

from __future__ import annotations

import time

import sqlalchemy as sa

from metarec.feedback.events import StoreUnavailable
from metarec.feedback.store import tables
from metarec.feedback.store.engines import BUSY_SECONDS, STATEMENT_SECONDS
from metarec.feedback.store.event_store import Store

PERSONAL = (tables.events, tables.slates, tables.users, tables.friends, tables.exposures)
"""Tables with personal data."""
ERASE_SECONDS = 30.0
"""Seconds that erasing may wait for readers and writers of other processes."""


def erase(store: Store, patience: float = ERASE_SECONDS) -> bool:
    """Rewrite SQLite's files without deleted rows; False if others kept them busy for `patience`
    seconds, if the disk is full, or if the store is a server (see `erase_server`).

    SQLite's `secure_delete` overwrites deleted rows but not copies left behind when pages were
    split, so the file is rewritten whole.
    """
    if not store.is_sqlite:
        return False
    until = time.monotonic() + patience
    while True:
        try:
            if _rewritten(store):
                _note_erased(store)
                return True
        except StoreUnavailable as error:  # a reader or writer of another process
            if "full" in str(error):
                return False
        if time.monotonic() > until:
            return False
        time.sleep(0.2)


def _rewritten(store: Store) -> bool:
    with store.reading() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=200")  # gives way to others
        try:
            connection.exec_driver_sql("VACUUM")
            return not connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS['read'] * 1000:.0f}")


def erase_server(store: Store) -> None:
    """Rewrite a server's tables without deleted rows. Each table is locked exclusively while it is
    rewritten, so readers and writers wait: run it at night.

    Raises:
        StoreUnavailable: if a table is in use for longer than the lock timeout (that table is then
            unchanged), or if another transaction that may still see deleted rows stays open:
            rewriting would copy these rows.
    """
    _await_older(store)
    _vacuum(store, "VACUUM FULL")
    _note_erased(store)


OLDER = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
AND (age(backend_xid) > age(CAST(:now AS xid)) OR age(backend_xmin) > age(CAST(:now AS xid)))
"""
"""Counts sessions with a transaction, or a snapshot, older than the transaction `:now`."""


def _await_older(store: Store) -> None:
    """Wait until no transaction can see the rows deleted so far, for at most `ERASE_SECONDS`."""
    until = time.monotonic() + ERASE_SECONDS
    with store.reading() as connection:
        now = connection.execute(sa.text("SELECT CAST(pg_current_xact_id() AS xid)")).scalar_one()
        while older := connection.execute(sa.text(OLDER), {"now": str(now)}).scalar_one():
            if time.monotonic() > until:
                raise StoreUnavailable(
                    f"{older} transactions older than the deletions stay open, so that the rows "
                    "could not be left out; end them (pg_stat_activity), then erase again"
                )
            time.sleep(0.2)


def free_space(store: Store) -> None:
    """Let a server reuse the space of deleted rows, without blocking readers and writers; their
    bytes are overwritten as new rows come. SQLite needs none of this.

    Raises:
        StoreUnavailable: if the server does not answer.
    """
    if not store.is_sqlite:
        _vacuum(store, "VACUUM")


def _vacuum(store: Store, how: str) -> None:
    with store.reading() as connection:
        before = connection.exec_driver_sql("SHOW statement_timeout").scalar_one()
        connection.exec_driver_sql(f"SET statement_timeout = {STATEMENT_SECONDS['long'] * 1e3:.0f}")
        try:
            for table in PERSONAL:
                connection.exec_driver_sql(f"{how} {table.name}")
        finally:
            connection.exec_driver_sql(f"SET statement_timeout = '{before}'")


def _note_erased(store: Store) -> None:
    waiting = tables.forgotten.c.erased_at.is_(None)
    noted = sa.update(tables.forgotten).where(waiting).values(erased_at=time.time())
    store.call(lambda connection: connection.execute(noted)).result()


def waiting_for_erasure(store: Store) -> int:
    """Return the number of users forgotten since the files were last rewritten."""
    waiting = sa.select(sa.func.count()).where(tables.forgotten.c.erased_at.is_(None))
    with store.reading() as connection:
        return int(connection.execute(waiting).scalar_one())
