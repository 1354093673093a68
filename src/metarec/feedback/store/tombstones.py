"""Tombstones: users who asked to be forgotten, with the time; data from before it are never stored
again.

The id itself is not kept, only a keyed digest (HMAC-SHA256, whose key is in the store). The writer
looks tombstones up in its own transaction, so that a batch under way when a user is forgotten is
written either before the deletion, which removes it, or after the tombstone, which drops it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from metarec.feedback.store import tables

_LOCK = 7271332
"""Number of PostgreSQL's advisory lock that writers share and forgetting takes exclusively."""
_ASKED_AT_ONCE = 500


def digest_of(key: bytes, user_id: str) -> str:
    """Return a keyed digest of a user id: constant within a store, worthless without its key."""
    return hmac.digest(key, user_id.encode(errors="surrogatepass"), "sha256").hex()


def read_key(connection: sa.Connection) -> bytes:
    """Return the store's own key."""
    query = sa.select(tables.facts.c.value).where(tables.facts.c.name == "digest_key")
    return bytes.fromhex(connection.execute(query).scalar_one())


def block_forgetting(connection: sa.Connection) -> None:
    """Block forgetting until this transaction ends; SQLite has one writer at a time anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")


def block_writers(connection: sa.Connection) -> None:
    """Wait until no writer is in a transaction, and block writers until this transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def asked_at(connection: sa.Connection, user_ids: Iterable[str]) -> dict[str, float]:
    """Return user -> time of the last request to be forgotten, seconds since 1970; users without
    one are left out.
    """
    columns = tables.forgotten.c
    if connection.execute(sa.select(columns.digest).limit(1)).first() is None:
        return {}
    key = read_key(connection)
    user_of = {digest_of(key, user_id): user_id for user_id in set(user_ids)}
    query: sa.Select[Any] = sa.select(columns.digest, sa.func.max(columns.timestamp)).group_by(
        columns.digest
    )
    rows = rows_of_digests(connection, query, columns.digest, user_of)
    return {user_of[digest]: float(at) for digest, at in rows}


def rows_of_digests(
    connection: sa.Connection,
    query: sa.Select[Any],
    column: sa.ColumnElement[str],
    digests: Iterable[str],
) -> Iterator[Any]:
    """Yield the rows of a query whose `column` is one of any number of digests, queried in
    batches.
    """
    every = list(digests)
    for start in range(0, len(every), _ASKED_AT_ONCE):
        yield from connection.execute(
            query.where(column.in_(every[start : start + _ASKED_AT_ONCE]))
        )


def all_asked(connection: sa.Connection) -> dict[str, float]:
    """Return digest -> time of the last request to be forgotten, seconds since 1970."""
    columns = tables.forgotten.c
    query: sa.Select[Any] = sa.select(columns.digest, sa.func.max(columns.timestamp)).group_by(
        columns.digest
    )
    return {digest: float(at) for digest, at in connection.execute(query)}
