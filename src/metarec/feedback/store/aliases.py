"""Ids of merged users; what still arrives under such an id belongs to the user it was merged into.

A merge records the keyed digest of the id and the user it is now; the id itself is not kept.
"""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl
import sqlalchemy as sa

from metarec.feedback.store import tables
from metarec.feedback.store.tombstones import digest_of, read_key, rows_of_digests


def ids_now(connection: sa.Connection, user_ids: Iterable[str]) -> dict[str, str]:
    """Return the users that these users were merged into; users never merged are left out."""
    merges = tables.merges.c
    if connection.execute(sa.select(merges.digest).limit(1)).first() is None:
        return {}
    key = read_key(connection)
    user_of = {digest_of(key, user_id): user_id for user_id in set(user_ids)}
    query = sa.select(merges.digest, merges.user_id)
    rows = rows_of_digests(connection, query, merges.digest, user_of)
    return {user_of[digest]: str(now) for digest, now in rows}


def id_now(connection: sa.Connection, user_id: str) -> str:
    """Return the user that a user was merged into, or the user itself."""
    return ids_now(connection, [user_id]).get(user_id, user_id)


def ids_now_among(connection: sa.Connection, user_ids: pl.Series) -> dict[str, str]:
    """Return `ids_now` of a column of user ids."""
    return ids_now(connection, user_ids.drop_nulls().unique().to_list())
