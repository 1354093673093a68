"""Reader of requests: turns them into the `UserBatch` that every model scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from metarec.data.arguments import seconds_of
from metarec.data.dataset import Dataset
from metarec.data.places import degrees_of, is_placed, location_of
from metarec.data.regions import Regions
from metarec.data.schema import Catalog, Vocabulary
from metarec.features.context_columns import ContextColumns
from metarec.features.events import EventReader
from metarec.features.histories import Histories
from metarec.features.profiles import ProfileInputs
from metarec.features.request_context import RequestContext, no_friends
from metarec.features.training_context import current_location, friend_matrix
from metarec.features.users import UserBatch
from metarec.recommendation.ensemble.gate_tasks import MAX_GIVEN
from metarec.recommendation.slate import Request, checked_requests, friend_weights


@dataclass(frozen=True, kw_only=True)
class RequestReader:
    """Reads requests with the items, users, columns and kinds of events of the training data."""

    training: Dataset
    catalog: Catalog
    profile_inputs: ProfileInputs

    def users(self, requests: Sequence[Request]) -> tuple[UserBatch, np.ndarray]:
        """Return the users of the requests, and [B] the number of each user's events with unknown
        items.
        """
        support, refused, unknown = self.histories(requests)
        profiles = [request.profile for request in requests]
        return UserBatch(
            support=support,
            refused=refused,
            profiles=self.profile_inputs.transform(profiles),
            attributes=profiles,
            context=self._context(requests, support),
            given=self._given_items(requests),
        ), unknown

    def histories(self, requests: Sequence[Request]) -> tuple[Histories, Histories, np.ndarray]:
        """Return the accepted and the refused items of each user, and [B] the number of each user's
        events with unknown items.
        """
        checked_requests(requests)
        events, unknown = self.events.of_requests(
            [request.history for request in requests], self.catalog.vocabulary
        )
        return *events.joined(newest_last=True), unknown

    def with_catalog(self, catalog: Catalog) -> RequestReader:
        """Return the same reader for a catalog with added items, with its caches."""
        grown = replace(self, catalog=catalog)
        for name in ("events", "context_columns", "_user_vocabulary"):
            if name in vars(self):
                vars(grown)[name] = vars(self)[name]
        return grown

    def _given_items(self, requests: Sequence[Request]) -> Histories:
        """Return the allowed items of each request; empty where none or more than `MAX_GIVEN` are
        given.
        """
        if not any(request.allow for request in requests):
            return Histories.nothing(len(requests))
        nothing, vocabulary = np.zeros(0, np.int64), self.catalog.vocabulary
        rows = [nothing] * len(requests)
        for row, request in enumerate(requests):
            if request.allow:
                items = np.unique(vocabulary.indexes(map(str, request.allow)))
                items = items[items >= 0]
                rows[row] = items if len(items) <= MAX_GIVEN else nothing
        return Histories.of_indexes(rows)

    @cached_property
    def events(self) -> EventReader:
        """Reader of event kinds and values, the same for requests as in training."""
        return EventReader.of(self.training.interactions)

    def unknown_friends(self, request: Request) -> int:
        """Return the number of friends who are not among the training users."""
        return sum(str(friend) not in self._user_vocabulary for friend in request.friends)

    def unknown_values(self, context: Mapping[str, Any], read: Sequence[str]) -> dict[str, Any]:
        """Return the entries of `context` in columns that the model reads (`read`) with a value
        that has no code.
        """
        codes = self._circumstances([context] if context else [])
        return {
            name: context[name]
            for name, code in zip(self.context_columns.names, codes.sum(0), strict=True)
            if name in read and context.get(name) is not None and not code
        }

    def _context(self, requests: Sequence[Request], support: Histories) -> RequestContext:
        """Return friends, locations, circumstances, searches and times of requests."""
        return RequestContext(
            friends=self._friends([request.friends for request in requests]),
            location=self._locations(requests, support),
            circumstances=self._circumstances([request.context for request in requests]),
            searches=[list(request.searches) for request in requests],
            at=np.array(
                [np.nan if r.at is None else seconds_of(r.at) for r in requests], np.float64
            ),
        )

    def _friends(self, named: Sequence[Sequence[str] | Mapping[str, float]]) -> sp.csr_matrix:
        if not any(named):
            return no_friends(len(named), len(self._user_vocabulary))
        friends = self._user_vocabulary.indexes(
            str(friend) for of_user in named for friend in of_user
        )
        return friend_matrix(
            np.repeat(np.arange(len(named)), [len(of_user) for of_user in named]),
            friends,
            np.array(
                [weight for of_user in named for weight in friend_weights(of_user)], np.float32
            ),
            (len(named), len(self._user_vocabulary)),
        )

    def _locations(self, requests: Sequence[Request], support: Histories) -> np.ndarray:
        """[B, 2] degrees: the stated location, else the user's home, else the newest location of
        the history; only the stated one where no item has coordinates.
        """
        stated = np.array([location_of(request.location) for request in requests]).reshape(-1, 2)
        if not self._has_places or is_placed(stated).all():
            return stated
        home = self._regions.homes([request.profile for request in requests])
        return np.where(np.isnan(stated), current_location(home, self.places, support), stated)

    def _circumstances(self, contexts: Sequence[Mapping[str, Any]]) -> np.ndarray:
        return self.context_columns.of_requests(contexts)

    @cached_property
    def _user_vocabulary(self) -> Vocabulary:
        ids = self.training.interactions.frame["user_id"].unique(maintain_order=True)
        return Vocabulary(ids.to_list())

    @cached_property
    def _regions(self) -> Regions:
        return Regions.fit(self.training.users.frame, self.catalog.frame)

    @cached_property
    def places(self) -> np.ndarray:
        """[N, 2] degrees of the items; NaN where unknown."""
        return degrees_of(self.catalog.frame)

    @cached_property
    def _has_places(self) -> bool:
        return bool(is_placed(self.places).any())

    @cached_property
    def context_columns(self) -> ContextColumns:
        """Context columns of the training events."""
        return ContextColumns.fit(self.training.interactions)
