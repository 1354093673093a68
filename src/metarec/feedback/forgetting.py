"""Forgetting a user: a tombstone, the rows, the bytes, the model folders, and a receipt that lists
every place that was looked at, and says no more than is true.

The id itself is not kept. A keyed digest (HMAC-SHA256, the key lies in the store) remains with the
time of asking, so that older data which still hold the user can leave them out.
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
from metarec.feedback.forgotten_places import Place, elsewhere, in_data
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
from metarec.feedback.store.tombstones import digest_of, hold_off_writers, read_key

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
"""For so long nothing of a user is stored while they are being forgotten; after a kill, too."""
MAX_AHEAD = 86_400.0
"""Seconds that the clock of a user's last event may be ahead of ours and be believed."""


@dataclass(frozen=True, kw_only=True)
class ForgetReceipt:
    """What was done for a user who asked to be forgotten."""

    receipt_id: str
    timestamp: float
    """The time of asking, or of their last event where its clock is ahead, seconds since 1970: what
    is older is never stored again.
    """
    rows_deleted: dict[str, int]
    """Rows deleted from each table of the store."""
    bytes_erased: bool
    """Whether the store's files were rewritten so that not even deleted rows can be read from
    them.
    """
    in_model: str
    """What becomes of the statistics that a model learned from the user."""
    places: Sequence[Place] = ()
    """Every place that was looked at, or that metarec knows of and cannot look at."""


def forget(
    store: Store, user_id: str, *, models: Registry | None = None, data: str = ""
) -> ForgetReceipt:
    """Delete everything that is kept of a user, by the id they have now or one that they gave up:
    rows of the store, and of the training tables of all model versions.

    Args:
        models: the models that learn from the store.
        data: what they were fitted on, looked at and left as it is.

    Raises:
        StoreUnavailable: if the rows could not be deleted now, as on a full disk; nothing is
            changed then.
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
    with suppress(StoreUnavailable):  # the first burial stands, and ends by itself
        at, late = store.call(partial(_close, grave=grave, is_learned=is_learned)).result()
        if any(late.values()):  # it took longer than the first burial held
            deleted = {name: count + late.get(name, 0) for name, count in deleted.items()}
            is_erased = erase(store)
    return ForgetReceipt(
        receipt_id=grave.receipts[0],
        timestamp=at,
        rows_deleted=deleted,
        bytes_erased=is_erased,
        in_model=IN_MODEL if is_learned else NOT_IN_MODEL,
        places=[
            *_in_store(store, deleted, is_erased=is_erased),
            *in_models,
            *([_in_services()] if is_learned and models is not None else []),
            in_data(data, {user_id, grave.user_id}),
            elsewhere(),
        ],
    )


@dataclass(frozen=True, kw_only=True)
class Grave:
    """What one wish to be forgotten put up."""

    user_id: str
    """The id that the user has now."""
    receipts: Sequence[str]
    """Of the tombstones: of that id, then of each that the user gave up."""
    until: float
    """So long nothing of the user is stored, unless `_close` ends it before."""
    deleted: dict[str, int]
    """Rows deleted from each table."""
    is_waiting: bool
    """Whether they asked before, and a model that may have learned from them still serves."""
    newest: float
    """When their last event was, seconds since 1970, by a clock that may have been ahead."""


def _dig(connection: sa.Connection, *, user_id: str) -> Grave:
    """Put up the tombstones and delete what is there, in one transaction without writers beside it.

    They are ahead of their time: no process stores anything of the user while files are rewritten.
    `_close` brings them back to the present.
    """
    hold_off_writers(connection)
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
        until=until,
        deleted=deleted,
        is_waiting=is_waiting,
        newest=min(float(newest or 0.0), time.time() + MAX_AHEAD),
    )


def _close(
    connection: sa.Connection, *, grave: Grave, is_learned: bool
) -> tuple[float, dict[str, int]]:
    """Delete once more, and let the user come back from now on; gives that time and the rows. No
    retraining is waited for where no model learned from the user.
    """
    hold_off_writers(connection)
    # What old data say of an event is as old as the event, by whatever clock
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
    """Note in the first tombstone how many rows went."""
    buried = tables.forgotten
    connection.execute(
        sa.update(buried)
        .where(buried.c.receipt_id == receipts[0])
        .values(rows_deleted=buried.c.rows_deleted + sum(deleted.values()))
    )


def _names(table: sa.Table, user_id: str) -> sa.ColumnElement[bool]:
    """Rows that name a user, as whoever knows or is known, too."""
    columns = [table.c[name] for name in ("user_id", "friend_id") if name in table.c]
    return sa.or_(*(column == user_id for column in columns))


def _in_store(store: Store, deleted: dict[str, int], *, is_erased: bool) -> list[Place]:
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
    """Model folders without the user's rows, and what says so of each; with a store, without those
    of everyone who is forgotten there, such as whoever became the user.
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
            found = [
                Place(
                    place=f"model version {version}, training tables",
                    removed=done["rows"].get(version, 0),
                    still_holds=_unclean(problems[version]) if version in problems else "",
                )
                for version in models.folders()
            ]
            found.append(_in_reports(models, user_id))
    except (BadInput, OSError) as error:
        busy = f"perhaps training rows in any version: {error}; forget again"
        found = [Place(place="model versions", still_holds=busy)]
    if _is_retraining(models):
        memory = "perhaps rows in memory; they are taken out when it saves and when it is promoted"
        found.append(Place(place="the retraining under way", still_holds=memory))
    return found


def _is_retraining(models: Registry) -> bool:
    """Nobody retrains where the lock cannot be written."""
    with suppress(OSError):
        return models.is_retraining()
    return False


def _in_services() -> Place:
    served = "the training rows in memory, until they restart or load the next model"
    return Place(place="services that run", still_holds=served)


def _unclean(problem: str) -> str:
    return f"perhaps training rows ({problem}); mend or delete the folder, and forget again"


def _in_reports(models: Registry, user_id: str) -> Place:
    """Reports, and what jobs logged, are written without users; whether the id stands in one all
    the same.
    """
    kept = [sorted(folder.glob("reports/*.json")) for folder in models.folders().values()]
    paths = [*chain.from_iterable(kept), *sorted(models.folder.glob("jobs/*.json"))]
    holding = [path.name for path in paths if _names_text(path, user_id)]
    said = f"the text of the id, in {', '.join(dict.fromkeys(holding))}; see whether it is theirs"
    return Place(place="reports kept with models", still_holds=said if holding else "")


def _names_text(path: Path, user_id: str) -> bool:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:  # old jobs go while one looks
        return False
    return f'"{user_id}"' in text or f"'{user_id}'" in text


def user_digest(store: Store, user_id: str) -> str:
    """A keyed digest of a user id: the same within a store, worthless without its key."""
    with store.reading() as connection:
        return digest_of(read_key(connection), user_id)


def waiting_in_model(store: Store) -> int:
    """How many forgotten users may still have left a trace in the serving model."""
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
