"""New users shown as a user would like to see them: what they liked, and the slate before any
event and after a few.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from metarec.data.cold_users import ColdUser
from metarec.evaluation.interface import Scores
from metarec.evaluation.measure import Trial, measure

SHOWN_SHOTS = (0, 1, 5)
"""Numbers of events a slate is shown at, or the nearest ones evaluated."""
SHOWN_PLACES = 5


@dataclass(frozen=True, kw_only=True)
class ShownEvent:
    """One thing a new user did."""

    title: str
    value: float | None
    """Stated value; None where it was an act without one."""
    is_liked: bool


@dataclass(frozen=True, kw_only=True)
class ShownSlate:
    """What was recommended after some events."""

    events: int
    """How many events were known; repeated acts on an item are one."""
    acts: int
    """How many acts these were."""
    titles: list[str]
    hits: list[bool]
    """Which of them the user did like later; the model did not know."""
    ndcg: float
    """NDCG@10 of the whole list."""


@dataclass(frozen=True, kw_only=True)
class ShownUser:
    """One user never seen in training."""

    profile: dict[str, Any]
    did: list[ShownEvent]
    """Their first events, as shown to the model, oldest first."""
    slates: list[ShownSlate]
    liked_later: int
    """How many items they liked after those shown: what hits are counted against."""


def show_cold_users(
    model: Scores, trial: Trial, shots: Sequence[int], rng: np.random.Generator, count: int = 3
) -> list[ShownUser]:
    """A random few new users of `trial`, not picked for how well they are served.

    Args:
        model: whose slates are shown.
        trial: who is evaluated on what.
        shots: numbers of events evaluated at.
        rng: picks the users.
        count: how many users.
    """
    chosen = sorted(
        rng.choice(len(trial.cold_users), min(count, len(trial.cold_users)), replace=False)
    )
    users = [trial.cold_users[i] for i in chosen]
    few = Trial(cold_users=users, train=trial.train, vocabulary=trial.vocabulary)
    at = sorted({min(shots, key=lambda k: (abs(k - wanted), k)) for wanted in SHOWN_SHOTS})
    items = trial.train.items
    title_of = dict(zip(items.vocabulary.ids, items.titles(), strict=True))
    found = {k: measure(model, few, k, rng) for k in at}
    attributes = (
        trial.train.users.frame
    )  # an attribute that differs for nearly everyone (a zip code) tells a reader nothing
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
            {k: (m.ranked[row], float(m.per_user["ndcg@10"][row])) for k, m in found.items()},
            few,
            title_of,
        )
        for row, user in enumerate(users)
    ]


def _show(
    user: ColdUser,
    lists: dict[int, tuple[np.ndarray, float]],
    trial: Trial,
    title_of: dict[str, str],
) -> ShownUser:
    events = trial.train.interactions
    liked = set(user.relevant)
    slates = []
    for shots, (ranked, ndcg) in lists.items():
        ids = trial.vocabulary.names(i for i in ranked[:SHOWN_PLACES] if i >= 0)
        slates.append(
            ShownSlate(
                events=shots,
                acts=len(user.first(shots)),
                titles=[title_of.get(i, i) for i in ids],
                hits=[i in liked for i in ids],
                ndcg=ndcg,
            )
        )
    did = [
        ShownEvent(
            title=title_of.get(i, i),
            value=value if events.has_values else None,
            is_liked=value is None or value >= events.relevant_from,
        )
        for i, value, *_ in user.first(max(lists))
    ]
    return ShownUser(profile=user.profile, did=did, slates=slates, liked_later=len(liked))
