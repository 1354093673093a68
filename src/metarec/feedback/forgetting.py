"""Forgetting a person: their rows go, their bytes go, what was learned from them is queued to go,
and they get a receipt.

The id itself is not kept. A keyed digest (HMAC-SHA256, the key lies in the store) remains until
retraining, so that older data which still hold the person can leave them out.
"""

from __future__ import annotations

import hashlib
import hmac
import time
import uuid
from dataclasses import dataclass
from typing import Any

import polars as pl
import sqlalchemy as sa

from metarec.feedback import tables
from metarec.feedback.events import StoreUnavailable
from metarec.feedback.store import BUSY_SECONDS, Store

_PERSONAL = (tables.events, tables.slates, tables.users)
IN_MODEL = (
    "queued: the next retraining leaves this person out of all data, old and new; model versions "
    "trained before keep what they "
    "learned until their folders are deleted"
)
ERASE_SECONDS = 30.0
"""How long erasing may wait for readers and writers of other processes to step aside."""


@dataclass(frozen=True, kw_only=True)
class ForgetReceipt:
    """What was done for a person who asked to be forgotten."""

    receipt_id: str
    timestamp: float
    """Seconds since 1970."""
    rows_deleted: dict[str, int]
    """Rows deleted from each table."""
    bytes_erased: bool
    """Whether the files were rewritten so that not even deleted rows can be read from them."""
    in_model: str
    """What becomes of the statistics that a model learned from the person."""


def forget(store: Store, user_id: str) -> ForgetReceipt:
    """Delete everything the store holds of a person.

    Raises:
        StoreUnavailable: if the rows could not be deleted now.
    """
    receipt_id, now, digest = uuid.uuid4().hex, time.time(), user_digest(store, user_id)

    def delete(connection: sa.Connection) -> dict[str, int]:
        deleted = {
            str(table.name): connection.execute(
                sa.delete(table).where(table.c.user_id == user_id)
            ).rowcount
            for table in _PERSONAL
        }
        connection.execute(
            sa.insert(tables.forgotten).values(
                receipt_id=receipt_id,
                digest=digest,
                timestamp=now,
                rows_deleted=sum(deleted.values()),
            )
        )
        return deleted

    deleted = store.call(delete).result()
    return ForgetReceipt(
        receipt_id=receipt_id,
        timestamp=now,
        rows_deleted=deleted,
        bytes_erased=erase(store),
        in_model=IN_MODEL,
    )


def erase(store: Store, patience: float = ERASE_SECONDS) -> bool:
    """Rewrite the store's files without what was deleted; False if others kept them busy for
    `patience` seconds.

    SQLite's `secure_delete` overwrites deleted rows but not copies left behind when pages were
    split, so the file is rewritten whole. PostgreSQL rewrites the tables; its server's own log and
    backups end by the server's rules.
    """
    until = time.monotonic() + patience
    while not _rewritten(store):
        if time.monotonic() > until:
            return False
        time.sleep(0.2)
    return True


def _rewritten(store: Store) -> bool:
    try:
        with store.reading() as connection:
            if not store.is_sqlite:
                for table in _PERSONAL:
                    connection.exec_driver_sql(f"VACUUM FULL {table.name}")
                return True
            connection.exec_driver_sql(
                "PRAGMA busy_timeout=200"
            )  # give way often rather than wait long
            try:
                connection.exec_driver_sql("VACUUM")
                return not connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()[0]
            finally:
                connection.exec_driver_sql(f"PRAGMA busy_timeout={BUSY_SECONDS['read'] * 1000:.0f}")
    except StoreUnavailable:
        return False  # a reader or writer of another process


def user_digest(store: Store, user_id: str) -> str:
    """A keyed digest of a user id: the same within a store, worthless without its key."""
    return hmac.new(_digest_key(store), user_id.encode(), hashlib.sha256).hexdigest()


def _digest_key(store: Store) -> bytes:
    with store.reading() as connection:
        return bytes.fromhex(
            connection.execute(
                sa.select(tables.facts.c.value).where(tables.facts.c.name == "digest_key")
            ).scalar_one()
        )


def forgotten_digests(store: Store) -> set[str]:
    """Digests of everyone who asked to be forgotten."""
    with store.reading() as connection:
        return set(connection.execute(sa.select(tables.forgotten.c.digest)).scalars())


def without_forgotten(store: Store, frame: pl.DataFrame) -> pl.DataFrame:
    """Rows of older data (with a column `user_id`) without those of forgotten people."""
    digests = forgotten_digests(store)
    if not digests:
        return frame
    key = _digest_key(store)
    ids = frame["user_id"].unique()
    gone = [
        user
        for user in ids.to_list()
        if hmac.new(key, user.encode(), hashlib.sha256).hexdigest() in digests
    ]
    return frame.filter(~pl.col("user_id").is_in(gone))


def waiting_in_model(store: Store) -> int:
    """How many forgotten people may still have left a trace in the serving model."""
    with store.reading() as connection:
        return int(
            connection.execute(
                sa.select(sa.func.count())
                .select_from(tables.forgotten)
                .where(tables.forgotten.c.left_model_at.is_(None))
            ).scalar_one()
        )


def mark_left_model(store: Store, asked_before: float) -> int:
    """Note that a model trained without everyone who asked before `asked_before` (seconds since
    1970) now serves.
    """

    def mark(connection: sa.Connection) -> int:
        gone: Any = (
            tables.forgotten.c.timestamp <= asked_before
        ) & tables.forgotten.c.left_model_at.is_(None)
        return connection.execute(
            sa.update(tables.forgotten).where(gone).values(left_model_at=time.time())
        ).rowcount

    return int(store.call(mark).result())
