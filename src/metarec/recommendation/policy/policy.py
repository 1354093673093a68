"""Checks of a policy on one catalog: repeats, missing prerequisites, exclusions and rules for a
user, availability.

Everything that shows items uses `PolicyCheck`. What it could not check (a missing column, an empty
cell, an attribute that the user did not state) forbids nothing unless the policy says so, and
`notes` names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_matrix

from metarec.data.domains import Exclusion, Policy
from metarec.data.kinds import Kinds
from metarec.data.policy_values import tags_of
from metarec.recommendation.policy.attributes import MAX_GUESSED, PolicyAttributes
from metarec.recommendation.policy.columns import AVAILABLE, PolicyColumns
from metarec.recommendation.policy.fulfillment import fulfilled_items
from metarec.recommendation.policy.notes import PolicyNotes
from metarec.recommendation.slate import Request


@dataclass(frozen=True)
class PolicyCheck:
    """A policy over one catalog, for many users at once."""

    policy: Policy
    items: pl.DataFrame
    """The catalog's frame: `item_id` and the columns that the policy names."""
    users: pl.DataFrame | None = None
    """Training users, whose attributes and values count as known."""
    kinds: Kinds = field(default_factory=Kinds.default)
    """Meaning of event kinds, for prerequisites."""

    @cached_property
    def columns(self) -> PolicyColumns:
        """Item columns that the policy reads."""
        return PolicyColumns(self.policy, self.items)

    @cached_property
    def attributes(self) -> PolicyAttributes:
        """User attributes that the policy reads."""
        return PolicyAttributes(self.policy, self.columns, self.users)

    @cached_property
    def _notes(self) -> PolicyNotes:
        return PolicyNotes(self.policy, self.columns, self.attributes)

    def allowed(self, requests: Sequence[Request]) -> np.ndarray:
        """Return a mask [B, N] of the items that each user may be shown, in the order of the
        catalog.
        """
        owner = np.repeat(np.arange(len(requests)), [len(r.history) for r in requests])
        events = self.columns.vocabulary.indexes(
            str(event[0]) for request in requests for event in request.history
        )
        hidden = np.zeros((len(requests), len(self.columns.vocabulary)), bool)
        self.hide(hidden, requests, (owner[events >= 0], events[events >= 0]))
        return ~hidden

    def hide(
        self, scores: np.ndarray, requests: Sequence[Request], pairs: tuple[np.ndarray, np.ndarray]
    ) -> None:
        """Set scores to -inf (in a boolean array: to True), in place, where a user may not be shown
        an item.

        Args:
            scores: [B, N], in the order of the catalog.
            requests: B users.
            pairs: (user, item) index pairs of their events.
        """
        if not self.policy.repeats_allowed:
            scores[pairs] = -np.inf
        if self.columns.unavailable is not None:
            scores[:, self.columns.unavailable] = -np.inf
        for row, request in enumerate(requests):
            for _, items in self._forbidden(request):
                scores[row, items] = -np.inf
        self._hide_unfulfilled(scores, requests)

    def _forbidden(self, request: Request) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (reason, item indexes) for each exclusion and rule that applies to a user."""
        profile = self.attributes.profile(request)
        for exclusion in self.policy.exclusions:
            yield from self._excluded(exclusion, profile)
        for rule in self.columns.rules:
            parts = rule.for_user(profile)
            if parts is not None:
                yield rule.text, self.columns.items_of(parts)

    def _excluded(
        self, exclusion: Exclusion, profile: Mapping[str, Any]
    ) -> Iterator[tuple[str, np.ndarray]]:
        """Yield (reason, item indexes) that one exclusion forbids."""
        column = self.columns.column(exclusion.item_column)
        if column is None:
            return
        items = self.columns.items_of_tag[column]
        tags = tags_of(profile.get(exclusion.profile_attribute))
        n_guessed = 0
        for tag in tags or ():
            n_guessed += tag not in items
            may_guess = n_guessed <= MAX_GUESSED
            for meant in self.attributes.meant(exclusion, column, tag, may_guess=may_guess):
                yield exclusion.why, items[meant]
        if exclusion.unknown == "hide" and self.attributes.is_doubtful(exclusion, column, tags):
            yield f"{exclusion.profile_attribute} is not known", self.columns.says_anything[column]

    def _hide_unfulfilled(self, scores: np.ndarray, requests: Sequence[Request]) -> None:
        """Hide, in place, items with prerequisites that a user has not fulfilled."""
        if self.columns.required is None:
            return
        done = [self.columns.vocabulary.indexes(self._fulfilled(request)) for request in requests]
        owner = np.repeat(np.arange(len(done)), [len(row) for row in done])
        items = np.concatenate([*done, np.zeros(0, np.int64)])
        at = (owner[items >= 0], items[items >= 0])
        has = csr_matrix((np.ones(len(at[0])), at), shape=scores.shape)
        fulfilled = (has @ self.columns.required.T).toarray()
        scores[fulfilled < np.asarray(self.columns.required.sum(1)).reshape(1, -1)] = -np.inf

    def _fulfilled(self, request: Request) -> list[str]:
        """Return the ids of the items that fulfill prerequisites."""
        return fulfilled_items(request.history, self.kinds, self.policy.fulfilled_by)

    def reasons(self, request: Request, item_id: str) -> list[str]:
        """Return the reasons why a user may not be shown an item, as text; empty where they may."""
        item = int(self.columns.vocabulary.indexes([item_id])[0])
        if item < 0:
            return []
        why = [reason for reason, items in self._forbidden(request) if item in items]
        if not self.policy.repeats_allowed and any(str(e[0]) == item_id for e in request.history):
            why.append("it was seen before")
        if self.columns.unavailable is not None and item in self.columns.unavailable:
            why.append(f"its {self.policy.available or AVAILABLE!r} says no")
        if self.columns.required is not None:
            done = set(self._fulfilled(request))
            needed = self.columns.vocabulary.names(self.columns.required[item].indices.tolist())
            missing = [one for one in needed if one not in done]
            why += [f"{', '.join(missing)} must come first"] if missing else []
        return list(dict.fromkeys(why))

    def notes(self, request: Request, shown: Sequence[int]) -> list[str]:
        """Return notes on what could not be checked for one user and the items (indexes) of their
        slate.
        """
        return self._notes.notes(request, shown)

    @property
    def unavailable(self) -> np.ndarray:
        """Indexes of items that are not available."""
        return (
            np.zeros(0, np.int64) if self.columns.unavailable is None else self.columns.unavailable
        )

    def odd_attributes(self, profile: Mapping[str, Any], *, reads_any: bool = False) -> list[str]:
        """See `PolicyAttributes.odd_attributes`."""
        return self.attributes.odd_attributes(profile, reads_any=reads_any)

    def refuse_misspelled(self, profile: Mapping[str, Any]) -> None:
        """See `PolicyAttributes.refuse_misspelled`."""
        self.attributes.refuse_misspelled(profile)

    def heeds(self, names: Iterable[str]) -> set[str]:
        """See `PolicyAttributes.heeds`."""
        return self.attributes.heeds(names)
