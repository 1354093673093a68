"""Conversion of HTTP requests into requests of the recommender, and slates for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from metarec.app.service.schemas import (
    Friend,
    HistoryEvent,
    RecommendationRequest,
    UserInput,
)
from metarec.app.service.scoring.live_model import Served
from metarec.data.relations import active_searches
from metarec.data.schema import BadInput
from metarec.feedback.events import KnownBeside
from metarec.feedback.experiments.experiment import ArmSettings
from metarec.feedback.outcomes import as_history
from metarec.feedback.store.event_store import Store
from metarec.recommendation.notes import refuse_unknown_context
from metarec.recommendation.ordering.rules import Rules
from metarec.recommendation.pipeline import FirstStages, recommend_each
from metarec.recommendation.ranking import SlateOptions
from metarec.recommendation.slate import Request, Slate
from metarec.recommendation.stages.retrieve import retrieve

MAX_OLDER = 20_000
"""Number of a user's events that are searched for items seen before."""


@dataclass(frozen=True)
class Options:
    """Options of a slate apart from the user; requests with equal options are ranked together."""

    k: int
    filter: str | None = None
    pin: tuple[str, ...] = ()
    quota: tuple[tuple[str, int], ...] = ()
    diversity: float = 0.0
    explore: float = 0.0
    cold_share: float = 0.0

    def as_slate_options(self) -> SlateOptions:
        """Convert to the options of the recommender."""
        return SlateOptions(
            k=self.k,
            filter=self.filter,
            rules=Rules(pin=self.pin, quota=dict(self.quota)),
            diversity=self.diversity,
            explore=self.explore,
            cold_share=self.cold_share,
        )


@dataclass(frozen=True)
class ScoreRequest:
    """A request of one user for a slate from one model."""

    served: Served
    request: Request
    options: Options


def options_of(body: RecommendationRequest, defaults: ArmSettings) -> Options:
    """Return the options of a request. `defaults` apply where the request gives none, and their
    filter in addition to its own. Further pages reserve no places for cold items, so that no item
    comes twice by chance.
    """
    filter_sent, only = body.filter, defaults.filter
    both = f"({only}) and ({filter_sent})" if only and filter_sent else filter_sent or only
    share = (defaults.cold_share or 0.0) if body.cold_share is None else body.cold_share
    explore = (defaults.explore or 0.0) if body.explore is None else body.explore
    is_varied = "diversity" in body.model_fields_set
    return Options(
        k=body.k + body.offset,
        filter=both or None,
        pin=tuple(body.pin),
        quota=tuple(sorted(body.quota.items())),
        diversity=body.diversity if is_varied else defaults.diversity or 0.0,
        explore=explore,
        cold_share=0.0 if body.offset else share,
    )


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the store has of the user."""

    events: Sequence[tuple[str, float | None, str, float]] = ()
    """The latest events, oldest first: `(item_id, value, kind, timestamp)`."""
    profile: Mapping[str, Any] = field(default_factory=dict)
    beside: KnownBeside = field(default_factory=KnownBeside)

    @classmethod
    def of(cls, body: UserInput, served: Served, store: Store | None, last: int) -> Known:
        """Read the user with the `last` events from the store; empty without a user id or a
        store.
        """
        if store is None or body.user_id is None:
            return cls()
        events, profile = _telling_events(store, body.user_id, served, last)
        beside = store.known_beside(body.user_id) if served.reads_beside else KnownBeside()
        return cls(events=events, profile=profile, beside=beside)

    def searches(self, served: Served) -> list[str]:
        """The stored searches that still speak for the user, oldest first."""
        kinds = served.scale.kinds
        acts = [at for *_, kind, at in self.events if kinds.of(kind).sign == "positive"]
        return active_searches(self.beside.searches, acts, served.model.searches_last)

    def has_older(self, body: UserInput, served: Served, last: int) -> bool:
        """Return whether the items of events before the `last` must be read too, so that none of
        them is shown again.
        """
        sent = len(body.events)
        is_cut = len(self.events) == last or len(self.events) + sent > last
        return is_cut and not served.model.policy.repeats_allowed


def _telling_events(
    store: Store, user_id: str, served: Served, last: int
) -> tuple[list[tuple[str, float | None, str, float]], dict[str, Any]]:
    """The `last` events of a user that say anything of taste, and the attributes: impressions do
    not push out what the user did.
    """
    silent: set[str] = set()
    while True:
        events, profile = store.user(user_id, last, silent)
        named = {kind for _, _, kind, _ in events}
        without_preference = named - served.scale.preference_kinds(named)
        if not without_preference:
            return events, profile
        if len(events) < last:
            return [event for event in events if event[2] not in without_preference], profile
        silent |= without_preference


def older_items(body: UserInput, served: Served, store: Store | None) -> set[str]:
    """Return the items on which a user acted, among their `MAX_OLDER` stored events; kinds without
    a preference do not count.
    """
    if store is None or body.user_id is None:
        return set()
    acted_on = store.acted_on(body.user_id, MAX_OLDER)
    preference_kinds = served.scale.preference_kinds(kind for _, kind in acted_on)
    return {item_id for item_id, kind in acted_on if kind in preference_kinds}


def request_of(
    body: UserInput, served: Served, store: Store | None, last: int, **more: Any
) -> Request:
    """Return the recommender's request for a user: what is stored of them (if `store` is given),
    followed by what they sent along; `more` as in `request_from`.

    Raises:
        BadInput: if an attribute sent along looks like a misspelled one of the policy, or the model
            knows no such context column.
    """
    known = Known.of(body, served, store, last)
    is_long = known.has_older(body, served, last)
    older = older_items(body, served, store) if is_long else None
    return request_from(body, served, known, older, last, **more)


def request_from(
    body: UserInput,
    served: Served,
    known: Known,
    older: Collection[str] | None,
    last: int,
    *,
    exclude: Sequence[str] = (),
    allow: Sequence[str] | None = None,
    within_km: float | None = None,
    basket: Sequence[str] = (),
) -> Request:
    """Return the recommender's request for a user, from what was read of them.

    Args:
        older: items on which the user acted; None where their history has no more than the `last`
            events, or items may be shown again.
        last: number of events that the history keeps.

    Raises:
        BadInput: as `request_of`.
    """
    served.model.policy_check.refuse_misspelled(body.profile)
    model = served.model
    refuse_unknown_context(
        model.context_columns, body.context, model.policy_check.heeds(body.context)
    )
    sent = [_sent(event) for event in body.events]
    sent += [(item_id, None, "add_to_cart", time.time()) for item_id in basket]
    history = as_history([*known.events, *sent], served.scale)[-last:]
    hidden = [*basket] if older is None else [*basket, *_seen_before(older, sent, history, served)]
    beside = known.beside
    return Request(
        history=history,
        profile={**known.profile, **body.profile},
        wish=body.wish,
        context=body.context,
        location=beside.location if body.location is None else body.location.degrees,
        within_km=within_km,
        friends={**beside.friends, **weights_of(body.friends)},
        searches=[*known.searches(served), *body.searches],
        exclude=[*exclude, *hidden] if hidden else exclude,
        allow=allow,
    )


def weights_of(friends: Sequence[str | Friend]) -> dict[str, float]:
    """Return the weight of each friend; 1 where none is given."""
    return {
        **{friend: 1.0 for friend in friends if isinstance(friend, str)},
        **{f.friend_id: f.weight for f in friends if isinstance(f, Friend)},
    }


def _seen_before(
    older: Collection[str],
    sent: Sequence[tuple[str, float | None, str, float | None]],
    history: Sequence[tuple[Any, ...]],
    served: Served,
) -> list[str]:
    """Return items of events that the history no longer has."""
    recent = {event[0] for event in history}
    taken = (event[0] for event in as_history(sent, served.scale))
    return [item_id for item_id in dict.fromkeys([*older, *taken]) if item_id not in recent]


def stated_user(user_id: str | None, profile: Sequence[str], **more: Any) -> UserInput:
    """Return a user as query parameters describe them, with attributes as `NAME=VALUE`.

    Raises:
        BadInput: if an attribute has no `=` or no name, or is stated twice.
    """
    wrong = next((text for text in profile if text.find("=") < 1), None)
    if wrong is not None:
        raise BadInput(f"profile takes NAME=VALUE, got {wrong!r}")
    pairs = [text.partition("=") for text in profile]
    names = [name for name, _, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise BadInput(f"profile states {twice[0]!r} twice; once is enough")
    return UserInput(user_id=user_id, profile={name: value for name, _, value in pairs}, **more)


def _sent(event: HistoryEvent) -> tuple[str, float | None, str, float | None]:
    return event.item_id, event.value, event.kind, event.timestamp


def answer_all(
    requests: Sequence[ScoreRequest],
    rng: np.random.Generator,
    first_of: Callable[[Served], FirstStages] = lambda _served: retrieve,
) -> list[Slate]:
    """Make a slate for each request. Requests of the same model are scored together, with the first
    stages `first_of` of that model.
    """
    groups: dict[int, list[int]] = {}
    for row, ask in enumerate(requests):
        groups.setdefault(id(ask.served), []).append(row)
    shared = {options: options.as_slate_options() for options in {r.options for r in requests}}
    slates: dict[int, Slate] = {}
    for rows in groups.values():
        group = [requests[row] for row in rows]
        answers = recommend_each(
            group[0].served.model,
            [one.request for one in group],
            [shared[one.options] for one in group],
            rng,
            first_of(group[0].served),
        )
        slates.update(zip(rows, answers, strict=True))
    return [slates[row] for row in range(len(requests))]
