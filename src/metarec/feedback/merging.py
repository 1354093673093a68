"""Merging an anonymous user into a customer: everything stored of one user moves to another, and
the id given up is not kept. Its keyed digest remains, so that older data, and events still sent
under it, go to the other user.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import polars as pl
import sqlalchemy as sa

from metarec.data.dataset import Dataset
from metarec.data.merged_users import one_row_each, related, renamed
from metarec.data.relations import Relations
from metarec.data.schema import BadInput, Profiles
from metarec.feedback.copies import without_copies
from metarec.feedback.forgotten_rows import edges_without_forgotten, without_forgotten
from metarec.feedback.store import tables
from metarec.feedback.store.aliases import id_now, ids_now_among
from metarec.feedback.store.event_store import Store
from metarec.feedback.store.exposures import merge_exposures
from metarec.feedback.store.tombstones import asked_at, block_writers, digest_of, read_key

_SAME = ("item_id", "kind", "value", "query")


@dataclass(frozen=True, kw_only=True)
class Merged:
    """Result of merging one user into another."""

    user_id: str
    """Id of the user that everything belongs to now."""
    events: int
    """Events moved to the other user."""
    copies: int
    """Events that the other user already had; deleted."""
    forgotten: int
    """Events from before the other user asked to be forgotten; deleted."""
    slates: int
    """Slates moved to the other user."""
    friends: int
    """Friendships moved to the other user."""


def merge_user(store: Store, user_id: str, into: str) -> Merged:
    """Move everything stored of `user_id` to `into`, or to the user that `into` was merged into, in
    one transaction; attributes of `into` take precedence. Later events under `user_id` go to that
    user too. An id that was merged before may be merged into another user: what it brought until
    then stays where it is.

    Raises:
        BadInput: if they are the same user.
        StoreUnavailable: if the store cannot write.
    """
    merged: Merged = store.call(partial(_merge, user_id=user_id, named=into)).result()
    return merged


def _merge(connection: sa.Connection, *, user_id: str, named: str) -> Merged:
    """Merge two users in the transaction of `connection`."""
    block_writers(connection)  # a write must be committed before the merge or see it
    into = id_now(connection, named)
    if user_id == into:
        whom = f"{named!r} became that user" if named != into else f"name whom {into!r} became"
        raise BadInput(f"a user cannot be merged into themselves; {whom}")
    forgotten_at = asked_at(connection, [into]).get(into)
    forgotten = 0 if forgotten_at is None else _drop_older(connection, user_id, forgotten_at)
    copies = _drop_copies(connection, user_id, into)
    done = Merged(
        user_id=into,
        events=_moved(connection, tables.events, user_id, into),
        copies=copies,
        forgotten=forgotten,
        slates=_moved(connection, tables.slates, user_id, into),
        friends=_move_friends(connection, user_id, into),
    )
    merge_exposures(connection, user_id, into)
    _move_profile(connection, user_id, into, is_kept=forgotten_at is None)
    _note(connection, user_id, into)
    return done


def _drop_older(connection: sa.Connection, user_id: str, forgotten_at: float) -> int:
    events, slates = tables.events, tables.slates
    connection.execute(
        sa.delete(slates).where(slates.c.user_id == user_id, slates.c.timestamp <= forgotten_at)
    )
    connection.execute(sa.delete(tables.exposures).where(tables.exposures.c.user_id == user_id))
    older = sa.delete(events).where(events.c.user_id == user_id, events.c.timestamp <= forgotten_at)
    return connection.execute(older).rowcount


def _drop_copies(connection: sa.Connection, user_id: str, into: str) -> int:
    """Delete events that both users have; different events with the same id get a new id."""
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
        its_row = events.sequence == row.sequence
        if all(getattr(row, f"my_{n}") == getattr(row, f"their_{n}") for n in _SAME):
            copies += connection.execute(sa.delete(tables.events).where(its_row)).rowcount
        else:
            fresh = events.event_id + f"~{row.sequence}"
            connection.execute(sa.update(tables.events).where(its_row).values(event_id=fresh))
    return copies


def _moved(connection: sa.Connection, table: sa.Table, user_id: str, into: str) -> int:
    moved = sa.update(table).where(table.c.user_id == user_id).values(user_id=into)
    return connection.execute(moved).rowcount


def _move_friends(connection: sa.Connection, user_id: str, into: str) -> int:
    """Move the friendships of a user, in both directions; existing ones of `into` are kept."""
    edges = tables.friends
    names_old = sa.or_(edges.c.user_id == user_id, edges.c.friend_id == user_id)
    rows = connection.execute(
        sa.select(edges.c.user_id, edges.c.friend_id, edges.c.weight).where(names_old)
    ).all()
    connection.execute(sa.delete(edges).where(names_old))
    existing = {
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
        if user != friend and (user, friend) not in existing
    ]
    if fresh:
        connection.execute(sa.insert(edges), fresh)
    return len(fresh)


def _move_profile(connection: sa.Connection, user_id: str, into: str, *, is_kept: bool) -> None:
    """Move the attributes of a user; those of `into` take precedence. They are deleted if not
    `is_kept`.
    """
    users = tables.users
    profiles: dict[str, dict[str, Any]] = {
        user: json.loads(profile)
        for user, profile in connection.execute(
            sa.select(users.c.user_id, users.c.profile).where(users.c.user_id.in_([user_id, into]))
        )
    }
    if user_id not in profiles:
        return
    connection.execute(sa.delete(users).where(users.c.user_id == user_id))
    if not is_kept:
        return
    attributes = json.dumps(profiles[user_id] | profiles.get(into, {}))
    if into in profiles:
        connection.execute(
            sa.update(users).where(users.c.user_id == into).values(profile=attributes)
        )
    else:
        connection.execute(sa.insert(users).values(user_id=into, profile=attributes))


def _note(connection: sa.Connection, user_id: str, into: str) -> None:
    """Record the digest of the id with the user it is now, also for ids merged into it before."""
    merges = tables.merges
    digest, now = digest_of(read_key(connection), user_id), time.time()
    connection.execute(sa.update(merges).where(merges.c.user_id == user_id).values(user_id=into))
    connection.execute(sa.delete(merges).where(merges.c.digest == digest))
    connection.execute(sa.insert(merges).values(digest=digest, user_id=into, timestamp=now))


def with_merges(store: Store, data: Dataset) -> Dataset:
    """Return older data with the rows of merged users moved to the users they became, without what
    they asked to forget before.
    """
    with store.reading() as connection:
        now = ids_now_among(connection, _users_in(data))
    if not now:
        return data
    living = _without_forgotten(store, data, now)
    events = renamed(living.interactions.frame, now)
    return replace(
        living,
        interactions=living.interactions.keep(without_copies(events)),
        users=Profiles.of(one_row_each(living.users.frame, now)),
        relations=related(living.relations, now),
    )


def _users_in(data: Dataset) -> pl.Series:
    """Return all user ids in the data."""
    friends = data.relations.friends
    columns = [
        data.interactions.frame["user_id"],
        data.users.frame["user_id"],
        data.relations.searches["user_id"],
        friends["user_id"],
        friends["friend_id"],
    ]
    return pl.concat([column.cast(pl.Utf8) for column in columns])


def _without_forgotten(store: Store, data: Dataset, users: Collection[str]) -> Dataset:
    """Return the data without what these users asked to forget under the ids used in the data."""
    others = set(_users_in(data)) - set(users)
    relations = data.relations
    return replace(
        data,
        interactions=data.interactions.keep(without_forgotten(store, data.interactions.frame)),
        users=Profiles.of(without_forgotten(store, data.users.frame)),
        relations=Relations(
            friends=edges_without_forgotten(store, relations.friends, but=others),
            searches=without_forgotten(store, relations.searches),
        ),
    )
