"""A world in which one thing decides what a user takes, and friends, place, mood and searches each
tell it.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.relations import Relations

GROUPS = ("tea", "rope", "ink", "oak")
PER_GROUP = 12
CITIES = ((52.5, 13.4), (48.1, 11.6), (50.1, 8.7), (53.6, 10.0))


def context_world(users: int = 72, seed: int = 0) -> Dataset:
    """Users take six items of their group and one of another; the device says nothing."""
    rng = np.random.default_rng(seed)
    events, searches, friends = [], [], []
    for user in range(users):
        group, start = user % len(GROUPS), 1_700_000_000 + 86_400 * user
        own = group * PER_GROUP + rng.choice(PER_GROUP, 7, replace=False)
        for step, item in enumerate([*own, rng.integers(len(GROUPS) * PER_GROUP)]):
            mood = GROUPS[item // PER_GROUP]
            device = ("phone", "tv")[rng.integers(2)]
            events.append((f"u{user}", f"i{item}", float(start + 60 * step), mood, device))
        searches.append((f"u{user}", f"{GROUPS[group]} please", float(start - 1)))
        for other in rng.choice(users // len(GROUPS), 4, replace=False):
            friends.append((f"u{user}", f"u{other * len(GROUPS) + group}"))
    items = range(len(GROUPS) * PER_GROUP)
    return Dataset(
        interactions=pl.DataFrame(
            events, schema=["user_id", "item_id", "timestamp", "mood", "device"], orient="row"
        ),
        items=pl.DataFrame(
            {
                "item_id": [f"i{item}" for item in items],
                "title": [f"thing {item}" for item in items],
                "latitude": [CITIES[i // PER_GROUP][0] + rng.normal(0, 0.01) for i in items],
                "longitude": [CITIES[i // PER_GROUP][1] + rng.normal(0, 0.01) for i in items],
            }
        ),
        relations=Relations.of(
            pl.DataFrame(friends, schema=["user_id", "friend_id"], orient="row"),
            pl.DataFrame(searches, schema=["user_id", "query", "timestamp"], orient="row"),
        ),
        name="groups",
    )


def group_of(item_id: str) -> str:
    """The group of an item."""
    return GROUPS[int(item_id[1:]) // PER_GROUP]
