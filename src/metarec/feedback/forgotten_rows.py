"""Removal of rows of forgotten users from data outside the store: old data, and the training tables
of model folders.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import polars as pl

from metarec.feedback.erasing import erase, waiting_for_erasure
from metarec.feedback.registry import Registry
from metarec.feedback.store.event_store import Store
from metarec.feedback.store.tombstones import all_asked, digest_of, read_key
from metarec.runtime.artifacts import BrokenArtifact, rewrite_tables


def forgotten_among(store: Store, user_ids: pl.Series) -> dict[str, float]:
    """Return those of the users who asked to be forgotten, with the time of their last request,
    seconds since 1970.
    """
    with store.reading() as connection:
        forgotten_at = all_asked(connection)
        key = read_key(connection) if forgotten_at else b""
    if not forgotten_at:
        return {}
    digests = {user: digest_of(key, user) for user in user_ids.drop_nulls().unique().to_list()}
    return {
        user: forgotten_at[digest] for user, digest in digests.items() if digest in forgotten_at
    }


def without_forgotten(store: Store, frame: pl.DataFrame) -> pl.DataFrame:
    """Return older data (with a column `user_id`) without the rows of forgotten users; a user who
    returned keeps the events (by the column `timestamp`) after the request.
    """
    return _without(frame, forgotten_among(store, frame["user_id"]))


def edges_without_forgotten(
    store: Store, friends: pl.DataFrame, *, but: Collection[str] = ()
) -> pl.DataFrame:
    """Return the friendships of which neither user asked to be forgotten; requests of the users in
    `but`, who returned, are ignored.
    """
    ends = pl.concat([friends["user_id"], friends["friend_id"]])
    forgotten = [user for user in forgotten_among(store, ends) if user not in but]
    return friends.filter(
        ~pl.col("user_id").is_in(forgotten) & ~pl.col("friend_id").is_in(forgotten)
    )


def _without(frame: pl.DataFrame, forgotten_at: dict[str, float]) -> pl.DataFrame:
    if not forgotten_at:
        return frame
    of_forgotten = pl.col("user_id").is_in(list(forgotten_at))
    if "timestamp" not in frame.columns:
        return frame.filter(~of_forgotten)
    asked_at = pl.col("user_id").replace_strict(forgotten_at, default=None, return_dtype=pl.Float64)
    # An event dated in the future cannot be known to follow the request
    is_since = (pl.col("timestamp") > asked_at) & (pl.col("timestamp") <= time.time())
    return frame.filter(~of_forgotten | is_since.fill_null(False))


def clean_folder(store: Store, folder: Path) -> int:
    """Remove rows of forgotten users from a model folder, and return their number.

    Raises:
        FileNotFoundError, BrokenArtifact: if there is no such model or it cannot be read.
        OSError: if it cannot be written; the folder stays as it was.
    """
    since: set[str] = set()

    def change(name: str, table: pl.DataFrame) -> pl.DataFrame:
        if "user_id" not in table.columns:
            return table
        if name == "friends":
            return edges_without_forgotten(store, table, but=since)
        forgotten_at = forgotten_among(store, table["user_id"])
        if name == "interactions":
            left = _without(table, forgotten_at)
            since.update(set(left["user_id"].unique()) & set(forgotten_at))
            return left
        # Users with events after their request have returned, and keep their profile
        return _without(table, {user: at for user, at in forgotten_at.items() if user not in since})

    return sum(rewrite_tables(folder, change).values())


def remove_user(folder: Path, user_id: str) -> int:
    """Remove all rows of one user from a model folder, and return their number.

    Raises:
        As `clean_folder`.
    """

    def change(_name: str, table: pl.DataFrame) -> pl.DataFrame:
        columns = [name for name in ("user_id", "friend_id") if name in table.columns]
        if not columns:
            return table
        return table.filter(pl.all_horizontal(pl.col(columns).ne_missing(user_id)))

    return sum(rewrite_tables(folder, change).values())


def remove_leftovers(store: Store, registry: Registry) -> dict[str, Any]:
    """Remove leftovers of killed processes from a registry, rows of forgotten users from all model
    folders, and bytes of deleted rows from SQLite's file; return what was done and what failed.

    Raises:
        StoreUnavailable: if the store does not answer.
        BadInput: if another process keeps changing the registry.
    """
    done: dict[str, Any] = {"swept": [], "rows": {}, "problems": []}
    with registry.changing():
        done["swept"] = registry.sweep()
        each_folder(registry, lambda folder: clean_folder(store, folder), done)
    if store.is_sqlite and waiting_for_erasure(store):
        done["erased"] = erase(store)
    return done


def each_folder(
    registry: Registry, clean: Callable[[Path], int], done: dict[str, Any]
) -> dict[str, Any]:
    """Clean every model folder of a registry, adding to `done` the removed `rows` by version,
    `problems`, and the `broken` versions.
    """
    for version, folder in registry.folders().items():
        try:
            if rows := clean(folder):
                done["rows"][version] = rows
        except (BrokenArtifact, OSError) as error:
            done["problems"].append((version, " ".join(str(error).split())))
            if isinstance(error, BrokenArtifact):
                done.setdefault("broken", []).append(version)
    return done
