"""Repeats requests to be forgotten that a restored backup does not know, from receipts. A receipt
names its user by keyed digests alone, whose key the backup has too.
"""

from __future__ import annotations

import json
import math
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from metarec.data.errors import BadInput
from metarec.feedback.erasing import PERSONAL, erase
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store
from metarec.feedback.store.tombstones import all_asked, block_writers, digest_of, read_key

MAX_AHEAD = 86_400.0
"""Seconds that the time of a receipt may be ahead of our clock."""
_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request to be forgotten, as its receipt tells it."""

    digests: Sequence[str]
    """Keyed digests of the user's ids."""
    timestamp: float
    """Time of the request, seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class ForgottenAgain:
    """Result of repeating requests to be forgotten."""

    requests: int
    """Receipts read."""
    known: int
    """Requests that the store knew."""
    rows_deleted: dict[str, int]
    """Rows deleted from each table."""
    bytes_erased: bool
    """Whether the store's files were rewritten without the deleted rows."""


def read_receipts(file: Path) -> list[Request]:
    """Read receipts: JSON objects, one after another or in lists, as `metarec forget --json` prints
    them and the service answers them.

    Raises:
        BadInput: if the file holds anything else, or a receipt has no digests.
    """
    try:
        text = file.read_text(encoding="utf-8")
        found, at, read = [], 0, json.JSONDecoder().raw_decode
        while text[at:].strip():
            at += len(text[at:]) - len(text[at:].lstrip())
            value, at = read(text, at)
            found += value if isinstance(value, list) else [value]
    except ValueError as error:  # no UTF-8, or no JSON
        raise BadInput(f"{str(file)!r} cannot be read as JSON: {error}") from error
    if not found:
        raise BadInput(f"{str(file)!r} holds no receipt")
    return [_request_of(receipt, number) for number, receipt in enumerate(found, start=1)]


def _request_of(receipt: Any, number: int) -> Request:
    """Read one receipt.

    Raises:
        BadInput: if it is none, or is of a metarec that wrote no digests.
    """
    named = receipt if isinstance(receipt, dict) else {}
    digests, at = named.get("digests"), named.get("timestamp")
    is_time = isinstance(at, int | float) and not isinstance(at, bool) and math.isfinite(at)
    if not is_time or not isinstance(named.get("receipt_id"), str):
        raise BadInput(f"object {number} is no receipt of forgetting: it needs receipt_id and time")
    if not isinstance(digests, list) or not digests or not all(map(_is_digest, digests)):
        raise BadInput(
            f"receipt {named['receipt_id']!r} has no digests, which an older metarec did not "
            f"write; forget that user by id"
        )
    assert at is not None, "it is a time"
    if at > time.time() + MAX_AHEAD:
        raise BadInput(f"receipt {named['receipt_id']!r} is from the future; see the clock")
    return Request(digests=digests, timestamp=float(at))


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def forget_again(store: Store, requests: Sequence[Request]) -> ForgottenAgain:
    """Repeat the requests that the store does not know: tombstones of their times, and the deletion
    of all rows of these users from before them. It can be run again.

    Raises:
        StoreUnavailable: if the rows could not be deleted; nothing is changed then.
    """
    known, deleted = store.call(lambda connection: _again(connection, requests)).result()
    return ForgottenAgain(
        requests=len(requests), known=known, rows_deleted=deleted, bytes_erased=erase(store)
    )


def _again(connection: sa.Connection, requests: Sequence[Request]) -> tuple[int, dict[str, int]]:
    """Insert the tombstones and delete the rows in one transaction that excludes other writers."""
    block_writers(connection)
    asked = all_asked(connection)
    fresh: dict[str, float] = {}
    for one in requests:
        for digest in one.digests:
            if asked.get(digest, -math.inf) < one.timestamp:
                fresh[digest] = max(one.timestamp, fresh.get(digest, -math.inf))
    known = sum(not any(digest in fresh for digest in one.digests) for one in requests)
    deleted = {str(table.name): 0 for table in (*PERSONAL, tables.merges)}
    if not fresh:
        return known, deleted
    graves = [
        {"receipt_id": uuid.uuid4().hex, "digest": digest, "timestamp": at, "rows_deleted": 0}
        for digest, at in fresh.items()
    ]
    connection.execute(sa.insert(tables.forgotten), graves)
    key = read_key(connection)
    for user_id in _user_ids(connection):
        at = fresh.get(digest_of(key, user_id))
        if at is None:
            continue
        for table in PERSONAL:
            deleted[str(table.name)] += connection.execute(_deletion(table, user_id, at)).rowcount
    for digest in fresh:
        merged = sa.delete(tables.merges).where(tables.merges.c.digest == digest)
        deleted["merges"] += connection.execute(merged).rowcount
    return known, deleted


def _user_ids(connection: sa.Connection) -> set[str]:
    """Return every user whom a table names."""
    columns = [
        table.c[name] for table in PERSONAL for name in ("user_id", "friend_id") if name in table.c
    ]
    return {
        user_id
        for one in columns
        for user_id in connection.execute(sa.select(one).distinct()).scalars()
    }


def _deletion(table: sa.Table, user_id: str, at: float) -> sa.Delete:
    """Return the deletion of a user's rows; of those with a time, of the ones up to `at`: a user
    who returned since keeps what followed.
    """
    columns = [table.c[name] for name in ("user_id", "friend_id") if name in table.c]
    named = sa.delete(table).where(sa.or_(*(column == user_id for column in columns)))
    return named.where(table.c.timestamp <= at) if "timestamp" in table.c else named
