"""Examples of test users for a report: what they liked, and the slate before any event and after a
few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUser
from metarec.data.schema import Interactions
from metarec.evaluation.interface import Scores
from metarec.evaluation.measure import EvaluationSet, measure

SHOWN_SUPPORT_SIZES = (0, 1, 5)
"""Numbers of events at which a slate is shown, or the nearest ones evaluated."""
SHOWN_PLACES = 5
"""Items shown of each slate."""


@dataclass(frozen=True, kw_only=True)
class ShownEvent:
    """One event of a new user."""

    title: str
    value: float | None
    """Stated value; None for an event without one."""
    kind: str | None
    """What was done; None where all events of the data are of one kind."""
    is_liked: bool
    """Whether it is a target event that says the user liked the item."""


@dataclass(frozen=True, kw_only=True)
class ShownSlate:
    """The slate recommended after some events."""

    events: int
    """Number of items known; repeated events on an item count once."""
    acts: int
    """Number of events behind these items, repeated ones included."""
    titles: list[str]
    hits: list[bool]
    """Whether the user liked each item later, which the model did not know."""
    ndcg: float
    """NDCG@10 of the whole list."""


@dataclass(frozen=True, kw_only=True)
class ShownUser:
    """One test user."""

    profile: dict[str, Any]
    did: list[ShownEvent]
    """The user's first events, as shown to the model, oldest first."""
    slates: list[ShownSlate]
    liked_later: int
    """Number of items that the user liked after the events shown: the possible hits."""

    def did_in_words(self, acts: int) -> str:
        """Return the user's first `acts` events, those on one item in a row together: `Tent (view,
        return), Lamp (4)`.
        """
        shown = []
        for title, events in groupby(self.did[:acts], key=lambda event: event.title):
            acts_said = [
                event.kind if event.value is None else f"{event.value:g}" for event in events
            ]
            stated = [act for act in acts_said if act is not None]
            shown.append(f"{title} ({', '.join(stated)})" if stated else title)
        return ", ".join(shown)


def show_cold_users(
    model: Scores,
    evaluation_set: EvaluationSet,
    support_sizes: Sequence[int],
    rng: np.random.Generator,
    count: int = 3,
) -> list[ShownUser]:
    """Return a few random users of `evaluation_set`, not picked for how well they are served.

    Args:
        model: recommender whose slates are shown.
        evaluation_set: users and candidate items.
        support_sizes: numbers of events evaluated at.
        rng: picks the users.
        count: how many users.
    """
    users = evaluation_set.cold_users
    chosen = sorted(rng.choice(len(users), min(count, len(users)), replace=False))
    users = [users[i] for i in chosen]
    few = EvaluationSet(
        cold_users=users, train=evaluation_set.train, vocabulary=evaluation_set.vocabulary
    )
    at = sorted(
        {min(support_sizes, key=lambda k: (abs(k - size), k)) for size in SHOWN_SUPPORT_SIZES}
    )
    items = evaluation_set.train.items
    title_of = dict(zip(items.vocabulary.ids, items.titles(), strict=True))
    measured = {k: measure(model, few, k, rng) for k in at}
    attributes = (
        evaluation_set.train.users.frame
    )  # an attribute with nearly unique values (a zip code) tells a reader nothing
    telling = {
        c
        for c in attributes.columns
        if attributes[c].dtype.is_numeric()
        or attributes[c].n_unique() <= max(50, len(attributes) // 50)
    }
    users = [
        replace(p, profile={a: v for a, v in p.profile.items() if a in telling}) for p in users
    ]
    return [
        _show(
            user,
            {k: (m.ranked[row], float(m.per_user["ndcg@10"][row])) for k, m in measured.items()},
            few,
            title_of,
        )
        for row, user in enumerate(users)
    ]


def _show(
    user: ColdUser,
    lists: dict[int, tuple[np.ndarray, float]],
    evaluation_set: EvaluationSet,
    title_of: dict[str, str],
) -> ShownUser:
    events = evaluation_set.train.interactions
    liked = set(user.relevant)
    first = user.first(max(lists))
    has_kinds = events.frame["kind"].n_unique() > 1
    slates = []
    for n_support, (ranked, ndcg) in lists.items():
        ids = evaluation_set.vocabulary.names(i for i in ranked[:SHOWN_PLACES] if i >= 0)
        slates.append(
            ShownSlate(
                events=n_support,
                acts=len(user.first(n_support)),
                titles=[title_of.get(i, i) for i in ids],
                hits=[i in liked for i in ids],
                ndcg=ndcg,
            )
        )
    did = [
        ShownEvent(
            title=title_of.get(i, i),
            value=value if events.has_values else None,
            kind=kind if has_kinds else None,
            is_liked=is_liked,
        )
        for (i, value, *_), kind, is_liked in zip(
            first, _kinds_of(first), _are_liked(first, events), strict=True
        )
    ]
    return ShownUser(profile=user.profile, did=did, slates=slates, liked_later=len(liked))


def _kinds_of(acts: Sequence[tuple[Any, ...]]) -> list[str]:
    """Return the kind of each event of a pool."""
    return [act[2] if len(act) > 2 and act[2] else "event" for act in acts]


def _are_liked(acts: Sequence[tuple[Any, ...]], events: Interactions) -> list[bool]:
    """Whether each event of a pool, by itself, is a liked target: see `accepted_items`."""
    frame = pl.DataFrame(
        {"kind": _kinds_of(acts), "value": [act[1] for act in acts]},
        schema={"kind": pl.Utf8, "value": pl.Float32},
    )
    preferences = replace(events, frame=frame).acts()
    is_liked = preferences["rating"].fill_null(float("inf")) >= events.relevant_from
    return (
        is_liked & (preferences["sign"] > 0) & preferences["is_target"] & ~preferences["is_undo"]
    ).to_list()
