"""Imports events, attributes, friends and searches of a data set into an event store, each only
once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any, TypeVar

import numpy as np
import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.schema import EARLIEST_MOMENT, Vocabulary
from metarec.feedback.copies import without_copies, without_known
from metarec.feedback.events import Event, StoreUnavailable
from metarec.feedback.forgetting import without_forgotten
from metarec.feedback.forgotten_rows import edges_without_forgotten
from metarec.feedback.merging import with_merges
from metarec.feedback.retention import note_import, note_untimed
from metarec.feedback.store.event_store import Store
from metarec.feedback.store.writer import NOTHING_STORED
from metarec.runtime.progress import Progress, silent

T = TypeVar("T")
AT_ONCE = 2_000
"""Rows written to the store before the writes are waited for."""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Counts of an import."""

    events: int
    """Events stored now."""
    known: int
    """Events left out as copies of stored ones or of others in the data."""
    forgotten: int
    """Events left out because their users asked to be forgotten."""
    untimed: int
    """Events of the data without a time. They are stored as older than all others, in the order of
    the data, and are as old for the store's limits as their last import.
    """
    drawn_times: int
    """Events of the data without a time where others have one. They are stored in a random order
    within the second before the first of these.
    """
    unknown_items: int
    """Stored events on items that the model does not know."""
    profiles: int
    """Users whose attributes were stored; those with attributes in the store keep them."""
    friends: int
    """Users whose friends were stored; those with friends in the store keep them."""
    searches: int
    """Searches stored now."""
    untimed_searches: int
    """Searches left out because they have no time: the next import could not tell them from later
    ones for the same.
    """

    def as_dict(self) -> dict[str, int]:
        """Return plain data for JSON."""
        return asdict(self)


def import_data(
    store: Store, data: Dataset, vocabulary: Vocabulary, *, progress: Progress = silent
) -> Imported:
    """Import everything that a data set has of users into a store. A second import changes nothing
    more.

    Args:
        vocabulary: items of the served model.
        progress: called with the share of the events stored.

    Raises:
        StoreUnavailable: if the store cannot write; the import can be run again and stores nothing
            twice.
    """
    with _told_as_an_import():
        return _imported(store, with_merges(store, data), vocabulary, progress)


@contextmanager
def _told_as_an_import() -> Iterator[None]:
    """Say of a store that cannot write that earlier batches of the import stay."""
    try:
        yield
    except StoreUnavailable as error:
        why = str(error).removesuffix(NOTHING_STORED)
        raise StoreUnavailable(
            f"{why}; what was imported before stays: run it again, which stores nothing twice"
        ) from error


def _imported(store: Store, data: Dataset, vocabulary: Vocabulary, progress: Progress) -> Imported:
    events_frame = data.interactions.frame
    living = without_forgotten(store, events_frame)
    fresh = without_known(without_copies(living), store.as_frame())
    if untimed := int((living["timestamp"] < EARLIEST_MOMENT).sum()):  # positions
        note_untimed(store, time.time())
    first = data.interactions.first_time
    events = (_event(row) for row in fresh.iter_rows(named=True))
    stored = _stored(store, events, lambda number: progress("events", number / fresh.height))
    if stored:
        note_import(store, time.time())
    progress("attributes, friends and searches", 0.0)
    return Imported(
        events=stored,
        known=living.height - stored,
        forgotten=events_frame.height - living.height,
        untimed=untimed,
        drawn_times=0 if first is None else int((living["timestamp"] < first).sum()),
        unknown_items=int((vocabulary.indexes(fresh["item_id"]) < 0).sum()),
        profiles=_profiles(store, data),
        friends=_friends(store, data.relations.friends),
        searches=_searches(store, data.relations.searches),
        untimed_searches=data.relations.searches["timestamp"].null_count(),
    )


def _event(row: dict[str, Any]) -> Event:
    canonical = ("user_id", "item_id", "timestamp", "kind", "value")
    value, identity = row["value"], [row["item_id"], row["kind"], row["timestamp"]]
    return Event(
        event_id=_id_of(identity),
        user_id=row["user_id"],
        item_id=row["item_id"],
        timestamp=row["timestamp"],
        kind=row["kind"],
        value=None if value is None or not np.isfinite(value) else float(value),
        context={
            name: _plain(cell)
            for name, cell in row.items()
            if name not in canonical and name != "seq_pos" and cell is not None
        },
        is_timed=True,
    )


def _id_of(identity: Sequence[Any]) -> str:
    """Return an id that is the same for the same event in every import."""
    return "import-" + hashlib.blake2b(repr(list(identity)).encode(), digest_size=12).hexdigest()


def _stored(
    store: Store, events: Iterable[Event], report: Callable[[int], None] = lambda _number: None
) -> int:
    stored = handed = 0
    for batch in _batches(events):
        stored += store.append(batch).result().accepted
        handed += len(batch)
        report(handed)
    return stored


def _profiles(store: Store, data: Dataset) -> int:
    stored = set(store.profiles()["user_id"])
    users = without_forgotten(store, data.users.frame)["user_id"].cast(pl.Utf8).to_list()
    users = [user for user in users if user not in stored]
    profiles = [
        (user, {name: _plain(value) for name, value in profile.items()})
        for user, profile in zip(users, data.users.of_users(users), strict=True)
        if profile
    ]
    _wait(store.put_profile(user, profile) for user, profile in profiles)
    return len(profiles)


def _friends(store: Store, edges: pl.DataFrame) -> int:
    stored = set(store.friends()["user_id"])
    by_user: dict[str, dict[str, float]] = {}
    for user, friend, weight in (
        edges_without_forgotten(store, edges).select("user_id", "friend_id", "weight").iter_rows()
    ):
        if user not in stored and weight > 0:
            by_user.setdefault(user, {})[friend] = weight
    _wait(store.put_friends(user, friends) for user, friends in by_user.items())
    return len(by_user)


def _searches(store: Store, searches: pl.DataFrame) -> int:
    """Store the searches with a time; others could not be distinguished from a later search for the
    same.
    """
    timed = without_forgotten(store, searches.drop_nulls("timestamp"))
    return _stored(
        store,
        (
            Event(
                event_id=_id_of([query, at]),
                user_id=user,
                item_id="",
                query=query,
                kind="search",
                timestamp=at,
            )
            for user, query, at in timed.select("user_id", "query", "timestamp").iter_rows()
        ),
    )


def _batches(many: Iterable[T]) -> Iterable[list[T]]:
    left = iter(many)
    while batch := list(islice(left, AT_ONCE)):
        yield batch


def _wait(writes: Iterable[Future[Any]]) -> None:
    for batch in _batches(writes):
        for write in batch:
            write.result()


def _plain(value: Any) -> Any:
    """Convert a cell to a JSON value."""
    if isinstance(value, list):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, bool | int | float | str) or value is None else str(value)
