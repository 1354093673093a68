"""A model that uses everything in a request: friends, locations, context and searches."""

from __future__ import annotations

from pathlib import Path

import numpy as np

USERS, EVENTS, FRIENDS = 400, 25, 8


def told_model(items: int, folder: Path, seed: int = 0, mark: str = "") -> Path:
    """Fit and save a model on synthetic users, whose groups determine their items and locations.

    Args:
        mark: suffix of their ids.
    """
    import polars as pl

    import metarec
    from metarec.data.relations import Relations

    rng = np.random.default_rng(seed)
    group = np.arange(USERS) % 4
    taken = (rng.zipf(1.3, (USERS, EVENTS)) * 4 + group[:, None]) % items
    users = np.repeat([f"u{user}{mark}" for user in range(USERS)], EVENTS)
    events = pl.DataFrame(
        {
            "user_id": users,
            "item_id": [f"i{item}" for item in taken.ravel()],
            "timestamp": 1.7e9 + 60.0 * rng.permutation(USERS * EVENTS),
            "mood": [("calm", "wild", "glad", "sad")[item % 4] for item in taken.ravel()],
        }
    )
    catalog = pl.DataFrame(
        {
            "item_id": [f"i{item}" for item in range(items)],
            "title": [f"Title {item} of kind{item % 4}" for item in range(items)],
            "categories": [f"c{item % 20}" for item in range(items)],
            "year": [1950 + item % 70 for item in range(items)],
            "latitude": 48.0 + np.arange(items) % 4 + rng.normal(0, 0.05, items),
            "longitude": 9.0 + np.arange(items) % 4 + rng.normal(0, 0.05, items),
        }
    )
    known = rng.integers(0, USERS // 4, (USERS, FRIENDS)) * 4 + group[:, None]
    friends = pl.DataFrame(
        {
            "user_id": np.repeat([f"u{user}{mark}" for user in range(USERS)], FRIENDS),
            "friend_id": [f"u{other}{mark}" for other in known.ravel()],
        }
    )
    searches = pl.DataFrame(
        {
            "user_id": [f"u{user}{mark}" for user in range(USERS)],
            "query": [f"kind{user % 4} please" for user in range(USERS)],
            "timestamp": np.full(USERS, 1.7e9),
        }
    )
    data = metarec.Dataset(
        interactions=events.unique(["user_id", "item_id"], maintain_order=True),
        items=catalog,
        relations=Relations.of(friends, searches),
        name="told",
    )
    metarec.Recommender.fit(data, preset="tiny", seed=seed, encoder="tfidf").save(folder)
    return folder
