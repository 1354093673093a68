"""Ids that users gave up when they became others; what still comes under such an id is the other's.

A merge notes the keyed digest of the id and whose it is now; the id itself is kept nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import sqlalchemy as sa

from metarec.feedback.store import tables
from metarec.feedback.store.tombstones import digest_of, read_key, rows_of_digests


def ids_now(connection: sa.Connection, user_ids: Iterable[str]) -> dict[str, str]:
    """Whom each of these users became; those who stayed themselves are left out."""
    merges = tables.merges.c
    if connection.execute(sa.select(merges.digest).limit(1)).first() is None:
        return {}
    key = read_key(connection)
    user_of = {digest_of(key, user_id): user_id for user_id in set(user_ids)}
    query = sa.select(merges.digest, merges.user_id)
    rows = rows_of_digests(connection, query, merges.digest, user_of)
    return {user_of[digest]: str(now) for digest, now in rows}


def id_now(connection: sa.Connection, user_id: str) -> str:
    """Whom a user became, or who they are."""
    return ids_now(connection, [user_id]).get(user_id, user_id)


def ids_now_among(connection: sa.Connection, user_ids: pl.Series) -> dict[str, str]:
    """`ids_now` of a column of users."""
    return ids_now(connection, user_ids.drop_nulls().unique().to_list())
