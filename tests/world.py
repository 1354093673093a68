"""A tiny world whose right answers are known by construction: two tastes, one item withheld from
each user.

Users of a taste take every item of that taste but one, and each item is withheld equally often, so
popularity says nothing and the withheld item must come first. Items say their taste in their words
and their tag; users' `home` follows their taste, so that content and profile can be tested alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from metarec.data.cold_users import SHORT
from metarec.data.dataset import Dataset
from metarec.features.behavior import Behavior
from metarec.features.events import EventReader
from metarec.features.histories import Histories
from metarec.features.users import UserBatch
from metarec.models.base import dense

TASTES = ("space", "garden")
WORDS = {
    "space": ["rocket", "planet", "orbit", "alien", "galaxy", "comet"],
    "garden": ["rose", "soil", "seed", "bee", "meadow", "spade"],
}
HOMES = {"space": "north", "garden": "south"}


def behavior_of(rows: list[np.ndarray], items: int) -> Behavior:
    """Users known by their histories alone, for a short horizon."""
    return Behavior(
        histories=Histories.of_indexes(rows),
        profiles=np.zeros((len(rows), 0), np.float32),
        content=np.zeros((items, 0), np.float32),
        relevant_from=0.0,
        horizon=SHORT,
    )


@dataclass(frozen=True, kw_only=True)
class World:
    """The data and what is true of them."""

    data: Dataset
    taste_of_user: dict[str, str]
    items_of_taste: dict[str, list[str]]
    withheld: dict[str, str]
    """User id -> the one item of their taste they have not met."""

    def history(self, taste: str, n_support: int, *, value: float = 5.0) -> list[tuple[str, float]]:
        """The first `n_support` items of a taste, as a new user's liked history."""
        return [(item_id, value) for item_id in self.items_of_taste[taste][:n_support]]

    def history_of(self, user_id: str) -> list[tuple[str, float]]:
        """Everything a user of the data did, oldest first."""
        rows = self.data.interactions.frame.filter(pl.col("user_id") == user_id).select(
            "item_id", "value"
        )
        return [(i, 1.0 if value is None else float(value)) for i, value in rows.iter_rows()]


def tiny_world(
    *, users_per_taste: int = 24, items_per_taste: int = 12, ratings: bool = False, seed: int = 0
) -> World:
    """Build the world; it is the same for the same arguments.

    Args:
        ratings: also let each user rate three items of the other taste 1 or 2, and their own 4 or
            5; otherwise every event is an act without a value.
    """
    rng = np.random.default_rng(seed)
    items_of_taste = {
        taste: [f"{taste[0]}{n:02d}" for n in range(items_per_taste)] for taste in TASTES
    }
    rows: list[tuple[str, str, float, float]] = []
    taste_of_user: dict[str, str] = {}
    withheld: dict[str, str] = {}
    for taste, other in (TASTES, TASTES[::-1]):
        for n in range(users_per_taste):
            user_id = f"u{len(taste_of_user):03d}"
            taste_of_user[user_id] = taste
            withheld[user_id] = items_of_taste[taste][n % items_per_taste]
            events = [
                (item_id, float(rng.integers(4, 6)))
                for item_id in items_of_taste[taste]
                if item_id != withheld[user_id]
            ]
            if ratings:
                disliked = rng.choice(items_per_taste, size=3, replace=False)
                events += [(items_of_taste[other][d], float(rng.integers(1, 3))) for d in disliked]
            start = rng.integers(0, 1000)
            rows += [
                (user_id, *events[e], float(start + place))
                for place, e in enumerate(rng.permutation(len(events)))
            ]
    interactions = pl.DataFrame(
        rows, schema=["user_id", "item_id", "value", "timestamp"], orient="row"
    )
    if not ratings:
        interactions = interactions.drop("value")
    return World(
        data=Dataset(
            interactions=interactions,
            items=_items(items_of_taste, rng),
            users=_users(taste_of_user, rng),
            name="tiny world",
        ),
        taste_of_user=taste_of_user,
        items_of_taste=items_of_taste,
        withheld=withheld,
    )


def _items(items_of_taste: dict[str, list[str]], rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    for taste, item_ids in items_of_taste.items():
        for n, item_id in enumerate(item_ids):
            words = rng.permutation(WORDS[taste])[:4]
            rows.append(
                (
                    item_id,
                    f"{words[0].title()} {n}",
                    "a story of " + " and ".join(words[1:]),
                    taste,
                    1980 + 2 * n,
                )
            )
    return pl.DataFrame(
        rows, schema=["item_id", "title", "text", "categories", "year"], orient="row"
    )


def _users(taste_of_user: dict[str, str], rng: np.random.Generator) -> pl.DataFrame:
    rows = [
        (user_id, HOMES[taste], int(rng.integers(18, 70)))
        for user_id, taste in taste_of_user.items()
    ]
    return pl.DataFrame(rows, schema=["user_id", "home", "age"], orient="row")


def read_events(interactions, vocabulary):
    """What every user accepted, and the user ids in their order."""
    events, user_ids = EventReader.of(interactions).of_interactions(interactions, vocabulary)
    return events.joined()[0], user_ids


def read_lists(lists, vocabulary):
    """Histories of requests on a scale of 1 to 5, and how many events named unknown items."""
    reader = EventReader(has_ratings=True, low=1.0, high=5.0, relevant_from=4.0)
    events, unknown = reader.of_requests(lists, vocabulary)
    return events.joined(newest_last=True)[0], unknown


def evidence_of(model, support, profiles):
    """[B, N] dense evidence of one model for users known by `support` and `profiles`."""
    return dense(model.evidence(UserBatch(support=support, profiles=np.asarray(profiles))))


def popular_first(histories):
    """The same histories, popular items first, so that order matters."""
    popularity = np.bincount(histories.items)
    order = np.lexsort((histories.items, -popularity[histories.items], histories.owners))
    return replace(histories, items=histories.items[order], values=histories.values[order])
