"""Forgetting a user: a tombstone, the deletion of rows, bytes and training rows in model folders,
and a receipt that lists every place searched and claims no more than is true.

The id itself is not kept. A keyed digest (HMAC-SHA256, the key is in the store) remains with the
time of the request, so that older data that still hold the user can leave them out.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from metarec.data.schema import BadInput
from metarec.feedback.erasing import PERSONAL, erase
from metarec.feedback.events import StoreUnavailable
from metarec.feedback.forgotten_places import (
    Place,
    elsewhere,
    encodings,
    in_data,
    other_forms,
    unfinished_fit,
)
from metarec.feedback.forgotten_rows import (
    clean_folder,
    each_folder,
    remove_user,
    without_forgotten,
)
from metarec.feedback.registry import Registry
from metarec.feedback.store import tables
from metarec.feedback.store.aliases import id_now
from metarec.feedback.store.event_store import Store
from metarec.feedback.store.tombstones import block_writers, digest_of, read_key

__all__ = [
    "ForgetReceipt",
    "Place",
    "erase",
    "forget",
    "mark_left_model",
    "user_digest",
    "waiting_in_model",
    "without_forgotten",
]

IN_MODEL = (
    "queued: the next retraining leaves this user out of all data, old and new; model versions "
    "trained before keep the numbers they learned, without the id, until their folders are deleted"
)
NOT_IN_MODEL = "nothing: no model that is kept learned from this user"
HOLD_SECONDS = 180.0
"""Seconds during which nothing of a user is stored while they are being forgotten; it also ends the
hold after a kill.
"""
MAX_AHEAD = 86_400.0
"""Seconds that the time of a user's last event may be ahead of our clock and be accepted."""


@dataclass(frozen=True, kw_only=True)
class ForgetReceipt:
    """Report on what was done for a user who asked to be forgotten."""

    receipt_id: str
    timestamp: float
    """Time of the request, or of the user's last event where its clock is ahead, seconds since
    1970; events before it are never stored again.
    """
    rows_deleted: dict[str, int]
    """Rows deleted from each table of the store."""
    bytes_erased: bool
    """Whether the store's files were rewritten, so that deleted rows cannot be recovered from
    them.
    """
    in_model: str
    """What happens to the parameters that a model learned from the user."""
    digests: Sequence[str]
    """Keyed digests of the user's ids, by which `forget_again` finds the user in a restored backup;
    worthless without the store's key.
    """
    places: Sequence[Place] = ()
    """Every place searched, and every known place that metarec cannot search."""


def forget(
    store: Store, user_id: str, *, models: Registry | None = None, data: str = ""
) -> ForgetReceipt:
    """Delete everything stored of a user, given by the current id or one that was merged into it:
    rows of the store, and of the training tables of all model versions.

    Args:
        models: registry of the models that learn from the store.
        data: data that the models were fitted on; searched but not changed.

    Raises:
        StoreUnavailable: if the rows could not be deleted, as on a full disk; nothing is changed
            then.
    """
    was_retraining = models is not None and _is_retraining(models)  # it may end meanwhile
    grave: Grave = store.call(partial(_dig, user_id=user_id)).result()
    deleted, at = grave.deleted, grave.until
    is_erased = erase(store)
    in_models = (
        []
        if models is None
        else _in_models(models, grave.user_id, store if "merges" in deleted else None)
    )
    is_found = not in_models or any(one.holds for one in in_models)
    is_learned = is_found or was_retraining or grave.is_waiting
    with suppress(StoreUnavailable):  # the first tombstones stand, and their hold expires
        at, late = store.call(partial(_close, grave=grave, is_learned=is_learned)).result()
        if any(late.values()):  # the hold of the first deletion had expired
            deleted = {name: count + late.get(name, 0) for name, count in deleted.items()}
            is_erased = erase(store)
    return ForgetReceipt(
        receipt_id=grave.receipts[0],
        timestamp=at,
        rows_deleted=deleted,
        bytes_erased=is_erased,
        in_model=IN_MODEL if is_learned else NOT_IN_MODEL,
        digests=grave.digests,
        places=[
            *_in_store(store, deleted, is_erased=is_erased),
            *other_forms(store, grave.user_id),
            *in_models,
            *([_in_services()] if is_learned and models is not None else []),
            in_data(data, {user_id, grave.user_id}),
            *([] if models is None else [*unfinished_fit(models.folder), *encodings()]),
            *elsewhere(),
        ],
    )


@dataclass(frozen=True, kw_only=True)
class Grave:
    """State of one request to be forgotten: its tombstones and what was deleted."""

    user_id: str
    """Current id of the user."""
    receipts: Sequence[str]
    """Receipt ids of the tombstones: of the current id, then of each merged id."""
    digests: Sequence[str]
    """Keyed digests of these ids."""
    until: float
    """Time until which nothing of the user is stored, unless `_close` ends it before; seconds since
    1970.
    """
    deleted: dict[str, int]
    """Rows deleted from each table."""
    is_waiting: bool
    """Whether the user asked before and a model that may have learned from them still serves."""
    newest: float
    """Time of the user's last event, seconds since 1970, by a clock that may have been ahead."""


def _dig(connection: sa.Connection, *, user_id: str) -> Grave:
    """Insert the tombstones and delete the rows, in one transaction that excludes other writers.

    The tombstones are dated `HOLD_SECONDS` ahead, so that no process stores anything of the user
    while files are rewritten. `_close` dates them back to the present.
    """
    block_writers(connection)
    until, user_id = time.time() + HOLD_SECONDS, id_now(connection, user_id)
    merges = tables.merges
    earlier = connection.execute(
        sa.select(merges.c.digest).where(merges.c.user_id == user_id)
    ).scalars()
    digests = [digest_of(read_key(connection), user_id), *earlier]
    buried = tables.forgotten.c
    waits = buried.digest.in_(digests) & buried.left_model_at.is_(None)
    is_waiting = connection.execute(sa.select(buried.digest).where(waits)).first() is not None
    graves = [
        {"receipt_id": uuid.uuid4().hex, "digest": digest, "timestamp": until} for digest in digests
    ]
    connection.execute(
        sa.insert(tables.forgotten), [{**grave, "rows_deleted": 0} for grave in graves]
    )
    last = sa.select(sa.func.max(tables.events.c.timestamp))
    newest = connection.execute(last.where(tables.events.c.user_id == user_id)).scalar()
    deleted = _delete(connection, user_id)
    if len(graves) > 1:
        deleted["merges"] = len(graves) - 1
        connection.execute(sa.delete(merges).where(merges.c.user_id == user_id))
    receipts = [str(grave["receipt_id"]) for grave in graves]
    _count(connection, receipts, deleted)
    return Grave(
        user_id=user_id,
        receipts=receipts,
        digests=digests,
        until=until,
        deleted=deleted,
        is_waiting=is_waiting,
        newest=min(float(newest or 0.0), time.time() + MAX_AHEAD),
    )


def _close(
    connection: sa.Connection, *, grave: Grave, is_learned: bool
) -> tuple[float, dict[str, int]]:
    """Delete once more, and allow new events of the user from now on; return that time and the rows
    deleted. If no model learned from the user, the tombstones do not wait for a retraining.
    """
    block_writers(connection)
    # Old data date an event by the sender's clock, which may be ahead of ours
    at, buried = max(time.time(), grave.newest), tables.forgotten
    connection.execute(
        sa.update(buried)
        .where(buried.c.receipt_id.in_(grave.receipts))
        .values(timestamp=at, left_model_at=None if is_learned else at)
    )
    deleted = _delete(connection, grave.user_id)
    _count(connection, grave.receipts, deleted)
    return at, deleted


def _delete(connection: sa.Connection, user_id: str) -> dict[str, int]:
    return {
        str(table.name): connection.execute(sa.delete(table).where(_names(table, user_id))).rowcount
        for table in PERSONAL
    }


def _count(connection: sa.Connection, receipts: Sequence[str], deleted: Mapping[str, int]) -> None:
    """Add the number of deleted rows to the first tombstone."""
    buried = tables.forgotten
    connection.execute(
        sa.update(buried)
        .where(buried.c.receipt_id == receipts[0])
        .values(rows_deleted=buried.c.rows_deleted + sum(deleted.values()))
    )


def _names(table: sa.Table, user_id: str) -> sa.ColumnElement[bool]:
    """Return the condition for rows that name a user, also as somebody's friend."""
    columns = [table.c[name] for name in ("user_id", "friend_id") if name in table.c]
    return sa.or_(*(column == user_id for column in columns))


def _in_store(store: Store, deleted: dict[str, int], *, is_erased: bool) -> list[Place]:
    """Return the places of the store: the rows deleted of each table, and bytes that may remain."""
    rows = [Place(place=f"event store, table {name}", removed=n) for name, n in deleted.items()]
    if is_erased:
        return [*rows, Place(place="event store, bytes of deleted rows")]
    if store.is_sqlite:
        busy = (
            "perhaps copies of deleted rows: the file is in use or the disk is full; run `metarec "
            "store erase` later"
        )
        return [*rows, Place(place="event store, bytes of deleted rows", still_holds=busy)]
    server = (
        "bytes of deleted rows until `metarec store erase` rewrites the tables, and the server's "
        "own log by its rules"
    )
    return [*rows, Place(place="PostgreSQL server's files", still_holds=server)]


def _in_models(models: Registry, user_id: str, store: Store | None = None) -> list[Place]:
    """Remove the user's rows from model folders, and return a place for each version. With a store,
    rows of all users forgotten there are removed too, such as those of merged ids.
    """
    done: dict[str, Any] = {"rows": {}, "problems": []}

    def remove(folder: Path) -> int:
        others = 0 if store is None else clean_folder(store, folder)
        return remove_user(folder, user_id) + others

    try:
        with models.changing():
            models.sweep()
            each_folder(models, remove, done)
            problems = dict(done["problems"])
            for version in [v for v in done.get("broken", ()) if models.remove(v)]:
                del problems[version]
            places = [
                Place(
                    place=f"model version {version}, training tables",
                    removed=done["rows"].get(version, 0),
                    still_holds=_unclean(problems[version]) if version in problems else "",
                )
                for version in models.folders()
            ]
            places.append(_in_reports(models, user_id))
    except (BadInput, OSError) as error:
        busy = f"perhaps training rows in any version: {error}; forget again"
        places = [Place(place="model versions", still_holds=busy)]
    if _is_retraining(models):
        memory = "perhaps rows in memory; they are taken out when it saves and when it is promoted"
        places.append(Place(place="the retraining under way", still_holds=memory))
    return places


def _is_retraining(models: Registry) -> bool:
    """Return whether a retraining is under way; False where the lock cannot be written, since then
    nothing can retrain.
    """
    with suppress(OSError):
        return models.is_retraining()
    return False


def _in_services() -> Place:
    served = "the training rows in memory, until they restart or load the next model"
    return Place(place="services that run", still_holds=served)


def _unclean(problem: str) -> str:
    return f"perhaps training rows ({problem}); mend or delete the folder, and forget again"


def _in_reports(models: Registry, user_id: str) -> Place:
    """Search reports and job logs for the text of the id; they are written without users, so it
    should not be there.
    """
    kept = [sorted(folder.glob("reports/*.json")) for folder in models.folders().values()]
    paths = [*chain.from_iterable(kept), *sorted(models.folder.glob("jobs/*.json"))]
    holding = [path.name for path in paths if _names_text(path, user_id)]
    text = f"the text of the id, in {', '.join(dict.fromkeys(holding))}; see whether it is theirs"
    return Place(place="reports kept with models", still_holds=text if holding else "")


def _names_text(path: Path, user_id: str) -> bool:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # old job logs are deleted meanwhile
        return False
    return f'"{user_id}"' in text or f"'{user_id}'" in text


def user_digest(store: Store, user_id: str) -> str:
    """Return a keyed digest of a user id: constant within a store, worthless without its key."""
    with store.reading() as connection:
        return digest_of(read_key(connection), user_id)


def waiting_in_model(store: Store) -> int:
    """Return the number of forgotten users that the serving model may still have learned from."""
    with store.reading() as connection:
        return int(
            connection.execute(
                sa.select(sa.func.count())
                .select_from(tables.forgotten)
                .where(tables.forgotten.c.left_model_at.is_(None))
            ).scalar_one()
        )


def mark_left_model(store: Store, asked_before: float) -> int:
    """Record that a model trained without all users who asked before `asked_before` (seconds since
    1970) now serves, and return the number of tombstones changed.
    """

    def mark(connection: sa.Connection) -> int:
        gone: Any = (
            tables.forgotten.c.timestamp <= asked_before
        ) & tables.forgotten.c.left_model_at.is_(None)
        return connection.execute(
            sa.update(tables.forgotten).where(gone).values(left_model_at=time.time())
        ).rowcount

    return int(store.call(mark).result())
