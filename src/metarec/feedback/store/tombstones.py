"""Who asked to be forgotten, and when: what is older than that is never stored again.

The id itself is not kept, only a keyed digest (HMAC-SHA256, whose key lies in the store). The
writer asks here in the transaction that writes, so that a batch under way when a user is forgotten
is written before the deletion, which takes it, or after the tombstone, which drops it.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Iterator
from typing import Any

import sqlalchemy as sa

from metarec.feedback.store import tables

_LOCK = 7271332
"""PostgreSQL's number of the lock that writers share and forgetting has for itself."""
_ASKED_AT_ONCE = 500


def digest_of(key: bytes, user_id: str) -> str:
    """A keyed digest of a user id: the same within a store, worthless without its key."""
    return hmac.digest(key, user_id.encode(errors="surrogatepass"), "sha256").hex()


def read_key(connection: sa.Connection) -> bytes:
    """The store's own key."""
    query = sa.select(tables.facts.c.value).where(tables.facts.c.name == "digest_key")
    return bytes.fromhex(connection.execute(query).scalar_one())


def hold_off_forgetting(connection: sa.Connection) -> None:
    """Let nobody be forgotten until this transaction ends; SQLite has one writer at a time
    anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock_shared({_LOCK})")


def hold_off_writers(connection: sa.Connection) -> None:
    """Wait until no writer is in a transaction, and let none in until this one ends."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def asked_at(connection: sa.Connection, user_ids: Iterable[str]) -> dict[str, float]:
    """When each of these users last asked to be forgotten, seconds since 1970; those who never did
    are left out.
    """
    asked = tables.forgotten.c
    if connection.execute(sa.select(asked.digest).limit(1)).first() is None:
        return {}
    key = read_key(connection)
    user_of = {digest_of(key, user_id): user_id for user_id in set(user_ids)}
    query: sa.Select[Any] = sa.select(asked.digest, sa.func.max(asked.timestamp)).group_by(
        asked.digest
    )
    rows = rows_of_digests(connection, query, asked.digest, user_of)
    return {user_of[digest]: float(at) for digest, at in rows}


def rows_of_digests(
    connection: sa.Connection,
    query: sa.Select[Any],
    column: sa.ColumnElement[str],
    digests: Iterable[str],
) -> Iterator[Any]:
    """Rows of a query whose `column` is one of any number of digests, asked in pieces."""
    every = list(digests)
    for start in range(0, len(every), _ASKED_AT_ONCE):
        yield from connection.execute(
            query.where(column.in_(every[start : start + _ASKED_AT_ONCE]))
        )


def all_asked(connection: sa.Connection) -> dict[str, float]:
    """Digest -> when its user last asked to be forgotten, seconds since 1970."""
    asked = tables.forgotten.c
    query: sa.Select[Any] = sa.select(asked.digest, sa.func.max(asked.timestamp)).group_by(
        asked.digest
    )
    return {digest: float(at) for digest, at in connection.execute(query)}
