"""Context of the training users: friends, locations, circumstances of events, and searches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
import scipy.sparse as sp

from metarec.data.dataset import Dataset
from metarec.data.places import LATITUDE, degrees_of, is_placed
from metarec.data.regions import Regions
from metarec.data.relations import SPENT_AFTER, active_searches
from metarec.data.schema import Catalog
from metarec.data.vocabulary import Vocabulary
from metarec.features.context_columns import ContextColumns, with_clock
from metarec.features.histories import Histories
from metarec.features.request_context import RequestContext
from metarec.features.searches import events_after_queries, informative_length

SEARCHED = 0.5
"""Share of the users with searches whose task is an event right after a search, if there is one:
requests with a search are about items that match it more than about items of other days.
"""


@dataclass(frozen=True, kw_only=True)
class Acts:
    """Accepted events of training users with their circumstances, grouped by user."""

    owners: np.ndarray
    """[A] int64 index of the user among the U users."""
    items: np.ndarray
    """[A] int64 item indexes."""
    times: np.ndarray
    """[A] float64 seconds; NaN where events have no times."""
    codes: np.ndarray
    """[A, C] int64 codes of the context columns."""
    locations: np.ndarray
    """[A, 2] float64 latitude and longitude of the events in degrees; NaN where unknown."""

    def where(self, keep: np.ndarray) -> Acts:
        """Return the events where `keep` [A] is True."""
        return Acts(**{name: getattr(self, name)[keep] for name in self.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True)
class TrainingContext:
    """Context of U training users, a subset of the V users that the whole model is fitted on."""

    members: np.ndarray
    """[U] int64 index of each user among the V users."""
    friends: sp.csr_matrix
    """[U, V] weights of friends."""
    places: np.ndarray
    """[N, 2] float64 latitude and longitude of the items in degrees; NaN where unknown."""
    homes: np.ndarray
    """[U, 2] float64 latitude and longitude of the users in degrees; NaN where unknown."""
    columns: ContextColumns
    """Coding of the circumstances."""
    acts: Acts
    """Accepted events of the users."""
    queries: Sequence[Sequence[tuple[str, float]]]
    """[U] search queries and their times (NaN where unknown), the newest last."""
    texts: Sequence[str] = ()
    """[N] text of each item."""
    searches_last: int = SPENT_AFTER
    """Number of later events after which a search is no longer part of a request."""

    @classmethod
    def of(
        cls, data: Dataset, catalog: Catalog, user_ids: Sequence[str], texts: Sequence[str] = ()
    ) -> TrainingContext:
        """Read friends, locations, circumstances and searches of these users."""
        columns = ContextColumns.fit(data.interactions)
        context = cls(
            members=np.arange(len(user_ids)),
            friends=friend_rows(data, user_ids),
            places=degrees_of(catalog.frame),
            homes=Regions.fit(data.users.frame, catalog.frame).homes(data.users.of_users(user_ids)),
            columns=columns,
            acts=_acts(data, catalog, user_ids, columns),
            queries=_queries(data, user_ids),
            texts=texts,
        )
        return (
            replace(context, searches_last=context._lasting()) if context.has_searches else context
        )

    @property
    def has_friends(self) -> bool:
        """Whether any user has a friend."""
        return bool(self.friends.nnz)

    @property
    def has_places(self) -> bool:
        """Whether at least two items have a location."""
        return int(is_placed(self.places).sum()) >= 2

    @property
    def has_circumstances(self) -> bool:
        """Whether events have context columns."""
        return bool(self.columns.names)

    @property
    def has_searches(self) -> bool:
        """Whether any user has a search."""
        return any(self.queries)

    def users(self, indexes: np.ndarray) -> TrainingContext:
        """Return the context of these users only."""
        place = np.full(len(self.members), -1)
        place[indexes] = np.arange(len(indexes))
        kept = self.acts.where(place[self.acts.owners] >= 0)
        return replace(
            self,
            members=self.members[indexes],
            friends=self.friends[indexes],
            homes=self.homes[indexes],
            acts=replace(kept, owners=place[kept.owners]),
            queries=[self.queries[user] for user in indexes],
        )

    def of_users(
        self, users: np.ndarray, support: Histories, acts: np.ndarray, pool: Histories
    ) -> RequestContext:
        """Return the context of requests of these users after `support`, at the time and location
        and in the circumstances of the events `acts` [B] (indexes; -1 for none).

        For a user without a home or a located item in `support`, the location is that of an item
        of their `pool`, which is never part of the targets.
        """
        times = self._at(self.acts.times, acts, np.nan)
        here = self._at(self.acts.locations, acts, np.nan)
        at_support = current_location(self.homes[users], self.places, support)
        return RequestContext(
            friends=self.friends[users],
            location=np.where(
                np.isnan(here), current_location(at_support, self.places, pool), here
            ),
            circumstances=self._at(self.acts.codes, acts, 0),
            searches=[self._searches(user, time) for user, time in zip(users, times, strict=True)],
            members=self.members[users],
        )

    def _searches(self, user: int, time: float) -> list[str]:
        """Return a user's recent searches at a time: those followed by fewer than `searches_last`
        events, as in the requests of a service; all of them where times are unknown.
        """
        queries, acts = self.queries[user], self._times[user]
        before = [(text, at) for text, at in queries if not at >= time]
        return active_searches(before, acts[: np.searchsorted(acts, time)], self.searches_last)

    @cached_property
    def _times(self) -> list[np.ndarray]:
        """[U] times of each user's events, ascending; NaN last."""
        order = np.lexsort((self.acts.times, self.acts.owners))
        cuts = np.searchsorted(self.acts.owners[order], np.arange(1, len(self.members)))
        return np.split(self.acts.times[order], cuts)

    def context_events(self, rows: np.ndarray) -> np.ndarray:
        """Return [U] for each user one random index of their events among `rows`, which `acts_on`
        gave, -1 where there is none. For half of the users it is one that follows a search, if
        there is any.
        """
        rng = np.random.default_rng(0)
        event_of_user = np.full(len(self.members), -1)
        shuffled = rng.permutation(rows)
        event_of_user[self.acts.owners[shuffled]] = shuffled
        if self.has_searches:
            searched = np.flatnonzero(rng.random(len(self.members)) < SEARCHED)
            after = shuffled[self._follows_search[shuffled]]
            after = after[np.isin(self.acts.owners[after], searched)]
            event_of_user[self.acts.owners[after]] = after
        return event_of_user

    @cached_property
    def _follows_search(self) -> np.ndarray:
        """[A] whether an event is the first of its user after a search."""
        follows_search = np.zeros(len(self.acts.owners), bool)
        follows_search[self._after_searches[1][:, 0]] = True
        return follows_search

    @cached_property
    def _after_searches(self) -> tuple[list[str], np.ndarray]:
        """Queries, and the indexes [Q, SPENT_AFTER] of the events that followed each; -1 where
        there are no more.
        """
        order = np.lexsort((self.acts.times, self.acts.owners))
        starts = np.searchsorted(self.acts.owners[order], np.arange(len(self.members)))
        queries, places = events_after_queries(self.queries, self._times, starts)
        return queries, np.where(places >= 0, order[places], -1)

    def _lasting(self) -> int:
        queries, acts = self._after_searches
        counts = np.bincount(self.acts.items, minlength=len(self.places)) + 0.5
        taken = np.where(acts >= 0, self.acts.items[acts], -1)
        return informative_length(queries, taken, counts / counts.sum())

    def taken_then(self, users: np.ndarray, rows: np.ndarray, acts: np.ndarray) -> np.ndarray:
        """Return a mask [B, N] of the items that each of `users` took, by their events among
        `rows`, in the same circumstances as their event in `acts` [U].
        """
        is_one = np.zeros(len(self.members), bool)
        is_one[users] = True
        rows = rows[is_one[self.acts.owners[rows]]]
        rows = rows[(self.acts.codes[rows] == self.acts.codes[acts[self.acts.owners[rows]]]).all(1)]
        place = np.full(len(self.members), -1)
        place[users] = np.arange(len(users))
        taken = np.zeros((len(users), len(self.places)), bool)
        taken[place[self.acts.owners[rows]], self.acts.items[rows]] = True
        return taken

    def _at(self, values: np.ndarray, acts: np.ndarray, otherwise: float) -> np.ndarray:
        """Return `values` at the indexes `acts`, and `otherwise` at -1."""
        values_at = np.full((len(acts), *values.shape[1:]), otherwise, values.dtype)
        values_at[acts >= 0] = values[acts[acts >= 0]]
        return values_at

    def acts_on(self, targets: Histories) -> np.ndarray:
        """Return the indexes, ascending, of the events of all users on their items of `targets` (U
        users).
        """
        n_items = len(self.places)
        pairs = self.acts.owners * n_items + self.acts.items
        wanted = np.sort(targets.owners * n_items + targets.items)
        return np.flatnonzero(np.append(wanted, -1)[np.searchsorted(wanted, pairs)] == pairs)

    @cached_property
    def n_members(self) -> int:
        """V, the number of users that the whole model is fitted on."""
        return int(self.friends.shape[1])


def current_location(homes: np.ndarray, places: np.ndarray, support: Histories) -> np.ndarray:
    """Return the assumed location [B, 2] of users: their home, else that of the newest located item
    of their support.
    """
    somewhere = is_placed(places[support.items])
    if not somewhere.any():
        return homes
    located = support.where(somewhere)
    last = located.offsets[1:] - 1
    locations = homes.copy()
    rows = np.flatnonzero((located.lengths > 0) & ~is_placed(homes))
    locations[rows] = places[located.items[last[rows]]]
    return locations


def friend_rows(data: Dataset, user_ids: Sequence[str]) -> sp.csr_matrix:
    """Return the weights [U, U] of friends among users with events."""
    index = {user: place for place, user in enumerate(user_ids)}
    edges = data.relations.friends
    rows = [index.get(user, -1) for user in edges["user_id"].to_list()]
    columns = [index.get(user, -1) for user in edges["friend_id"].to_list()]
    return friend_matrix(
        np.array(rows, np.int64),
        np.array(columns, np.int64),
        edges["weight"].to_numpy(),
        (len(user_ids),) * 2,
    )


def friend_matrix(
    rows: np.ndarray, columns: np.ndarray, weights: np.ndarray, shape: tuple[int, int]
) -> sp.csr_matrix:
    """Return a sparse float32 matrix of the edges whose two ends are known (0 or more)."""
    is_known = (rows >= 0) & (columns >= 0)
    if not is_known.any():
        return sp.csr_matrix(shape, dtype=np.float32)
    return sp.csr_matrix(
        (weights[is_known].astype(np.float32), (rows[is_known], columns[is_known])), shape=shape
    )


def _acts(
    data: Dataset, catalog: Catalog, user_ids: Sequence[str], columns: ContextColumns
) -> Acts:
    """Return the accepted events; none where no context, locations or searches need them."""
    events = data.interactions
    keep = (events.acts()["sign"] > 0).to_numpy()
    has_places = LATITUDE in events.frame.columns
    if not columns.names and not data.relations.searches.height and not has_places:
        keep = np.zeros_like(keep)
    frame = events.frame.filter(pl.Series(keep))
    return Acts(
        owners=Vocabulary(user_ids).indexes(frame["user_id"]),
        items=catalog.vocabulary.indexes(frame["item_id"]),
        times=frame["timestamp"].to_numpy() if events.has_time else np.full(frame.height, np.nan),
        codes=columns.codes(with_clock(events).filter(pl.Series(keep)))
        if columns.names
        else np.zeros((frame.height, 0), np.int64),
        locations=degrees_of(frame),
    )


def _queries(data: Dataset, user_ids: Sequence[str]) -> list[list[tuple[str, float]]]:
    queries_of: dict[str, list[tuple[str, float]]] = {}
    for user, query, time in data.relations.searches.iter_rows():
        queries_of.setdefault(user, []).append((query, np.nan if time is None else time))
    return [queries_of.get(user, []) for user in user_ids]
