"""A visitor who became a customer: everything kept of one user goes to another, and the id given up
is kept nowhere. Its keyed digest remains, so that older data are read under the new id.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl
import sqlalchemy as sa

from metarec.data.merged_users import one_row_each, related
from metarec.data.schema import BadInput, Dataset, Profiles
from metarec.feedback import tables
from metarec.feedback.copies import without_copies
from metarec.feedback.exposures import merge_exposures
from metarec.feedback.store import Store
from metarec.feedback.tombstones import asked_at, digest_of, hold_off_forgetting, read_key

_SAME = ("item_id", "kind", "value", "query")


@dataclass(frozen=True, kw_only=True)
class Merged:
    """What one user gave another."""

    events: int
    """Events that are the other's now."""
    copies: int
    """Events that the other had already; deleted."""
    forgotten: int
    """Events from before the other asked to be forgotten; deleted."""
    slates: int
    friends: int


def merge_user(store: Store, user_id: str, into: str) -> Merged:
    """Give everything kept of `user_id` to `into`, in one transaction; the attributes of `into` go
    first. Nothing is changed where nothing is kept.

    Raises:
        BadInput: if they are the same user.
        StoreUnavailable: if the store cannot write.
    """
    if user_id == into:
        raise BadInput(f"a user cannot be merged into themselves; name whom {user_id!r} became")

    def merge(connection: sa.Connection) -> Merged:
        hold_off_forgetting(connection)
        asked = asked_at(connection, [into]).get(into)
        forgotten = 0 if asked is None else _drop_older(connection, user_id, asked)
        copies = _drop_copies(connection, user_id, into)
        done = Merged(
            events=_moved(connection, tables.events, user_id, into),
            copies=copies,
            forgotten=forgotten,
            slates=_moved(connection, tables.slates, user_id, into),
            friends=_move_friends(connection, user_id, into),
        )
        merge_exposures(connection, user_id, into)
        _move_profile(connection, user_id, into, is_kept=asked is None)
        _note(connection, user_id, into)
        return done

    given: Merged = store.call(merge).result()
    return given


def _drop_older(connection: sa.Connection, user_id: str, asked: float) -> int:
    events, slates = tables.events, tables.slates
    connection.execute(
        sa.delete(slates).where(slates.c.user_id == user_id, slates.c.timestamp <= asked)
    )
    connection.execute(sa.delete(tables.exposures).where(tables.exposures.c.user_id == user_id))
    older = sa.delete(events).where(events.c.user_id == user_id, events.c.timestamp <= asked)
    return connection.execute(older).rowcount


def _drop_copies(connection: sa.Connection, user_id: str, into: str) -> int:
    """Delete what both have; the same id of something else gets another."""
    events = tables.events.c
    theirs = sa.select(events.copy_key).where(events.user_id == into, events.copy_key.is_not(None))
    gone = sa.delete(tables.events).where(events.user_id == user_id, events.copy_key.in_(theirs))
    copies = connection.execute(gone).rowcount
    mine, other = tables.events.alias(), tables.events.alias()
    clash = sa.select(mine.c.sequence).select_from(
        mine.join(other, (mine.c.event_id == other.c.event_id) & (other.c.user_id == into))
    )
    for row in connection.execute(
        clash.add_columns(
            *(mine.c[n].label(f"my_{n}") for n in _SAME),
            *(other.c[n].label(f"their_{n}") for n in _SAME),
        ).where(mine.c.user_id == user_id)
    ).all():
        own = events.sequence == row.sequence
        if all(getattr(row, f"my_{n}") == getattr(row, f"their_{n}") for n in _SAME):
            copies += connection.execute(sa.delete(tables.events).where(own)).rowcount
        else:
            fresh = events.event_id + f"~{row.sequence}"
            connection.execute(sa.update(tables.events).where(own).values(event_id=fresh))
    return copies


def _moved(connection: sa.Connection, table: sa.Table, user_id: str, into: str) -> int:
    moved = sa.update(table).where(table.c.user_id == user_id).values(user_id=into)
    return connection.execute(moved).rowcount


def _move_friends(connection: sa.Connection, user_id: str, into: str) -> int:
    edges = tables.friends
    names_old = sa.or_(edges.c.user_id == user_id, edges.c.friend_id == user_id)
    rows = connection.execute(
        sa.select(edges.c.user_id, edges.c.friend_id, edges.c.weight).where(names_old)
    ).all()
    connection.execute(sa.delete(edges).where(names_old))
    known = {
        (user, friend)
        for user, friend in connection.execute(
            sa.select(edges.c.user_id, edges.c.friend_id).where(
                sa.or_(edges.c.user_id == into, edges.c.friend_id == into)
            )
        )
    }
    now = {user_id: into}
    moved = {
        (now.get(user, user), now.get(friend, friend)): weight for user, friend, weight in rows
    }
    fresh = [
        {"user_id": user, "friend_id": friend, "weight": weight}
        for (user, friend), weight in moved.items()
        if user != friend and (user, friend) not in known
    ]
    if fresh:
        connection.execute(sa.insert(edges), fresh)
    return len(fresh)


def _move_profile(connection: sa.Connection, user_id: str, into: str, *, is_kept: bool) -> None:
    users = tables.users
    found: dict[str, dict[str, Any]] = {
        user: json.loads(profile)
        for user, profile in connection.execute(
            sa.select(users.c.user_id, users.c.profile).where(users.c.user_id.in_([user_id, into]))
        )
    }
    if user_id not in found:
        return
    connection.execute(sa.delete(users).where(users.c.user_id == user_id))
    if not is_kept:
        return
    whole = json.dumps(found[user_id] | found.get(into, {}))
    if into in found:
        connection.execute(sa.update(users).where(users.c.user_id == into).values(profile=whole))
    else:
        connection.execute(sa.insert(users).values(user_id=into, profile=whole))


def _note(connection: sa.Connection, user_id: str, into: str) -> None:
    """Remember who the user is now, and who is the user by earlier merges."""
    merges = tables.merges
    digest, now = digest_of(read_key(connection), user_id), time.time()
    connection.execute(sa.update(merges).where(merges.c.user_id == user_id).values(user_id=into))
    connection.execute(sa.delete(merges).where(merges.c.digest == digest))
    connection.execute(sa.insert(merges).values(digest=digest, user_id=into, timestamp=now))


def became(store: Store, user_ids: pl.Series) -> dict[str, tuple[str, float]]:
    """Who of these users became somebody else: whom, and when, seconds since 1970."""
    with store.reading() as connection:
        merges = tables.merges.c
        found = {
            digest: (str(user), float(at))
            for digest, user, at in connection.execute(
                sa.select(merges.digest, merges.user_id, merges.timestamp)
            )
        }
        key = read_key(connection) if found else b""
    if not found:
        return {}
    digests = {user: digest_of(key, user) for user in user_ids.drop_nulls().unique().to_list()}
    return {user: found[digest] for user, digest in digests.items() if digest in found}


def with_merges(store: Store, data: Dataset) -> Dataset:
    """Older data with what users did before they became others given to those."""
    ids = [data.interactions.frame["user_id"], data.users.frame["user_id"]]
    known = became(store, pl.concat([column.cast(pl.Utf8) for column in ids]))
    if not known:
        return data
    now = {user: other for user, (other, _) in known.items()}
    return replace(
        data,
        interactions=data.interactions.keep(_events_of(data.interactions.frame, known)),
        users=Profiles.of(one_row_each(data.users.frame, now)),
        relations=related(data.relations, now),
    )


def _events_of(frame: pl.DataFrame, known: Mapping[str, tuple[str, float]]) -> pl.DataFrame:
    until = pl.col("user_id").replace_strict(
        {user: at for user, (_, at) in known.items()}, default=None, return_dtype=pl.Float64
    )
    then = pl.col("user_id").replace({user: other for user, (other, _) in known.items()})
    moved = frame.with_columns(
        pl.when(pl.col("timestamp") <= until)
        .then(then)
        .otherwise(pl.col("user_id"))
        .alias("user_id")
    )
    return without_copies(moved)
