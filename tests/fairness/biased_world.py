"""A world with a known bias: few users of group "few" like other items than the many of group
"many" do.
"""

from __future__ import annotations

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset

ITEMS = 30
"""Per taste."""
EVENTS = 12


def biased_data(
    *, many: int = 120, few: int = 30, seed: int = 0, ratings: bool = False, apart: float = 0.9
) -> Dataset:
    """Training data: `apart` of a user's events lie in their group's taste; within a taste, early
    items are more popular.
    """
    rng = np.random.default_rng(seed)
    events, users = [], []
    for n in range(many + few):
        group = "many" if n < many else "few"
        users.append((f"u{n}", group, float(20 + n % 40), f"zip{n}"))
        for place, item in enumerate(_draw(group, rng, apart)):
            events.append((f"u{n}", item, float(1000 * n + place), float(rng.integers(3, 6))))
    frame = pl.DataFrame(events, schema=["user_id", "item_id", "timestamp", "value"], orient="row")
    return Dataset(
        interactions=frame if ratings else frame.drop("value"),
        items=_catalog(),
        users=pl.DataFrame(users, schema=["user_id", "group", "age", "zip"], orient="row"),
        name="biased world",
    )


def _draw(group: str, rng: np.random.Generator, apart: float = 0.9) -> list[str]:
    weight = 1.0 / (np.arange(ITEMS) + 3.0)
    own, other = ("a", "b") if group == "many" else ("b", "a")
    names = [f"{own}{n:02d}" for n in range(ITEMS)] + [f"{other}{n:02d}" for n in range(ITEMS)]
    chance = np.concatenate([apart * weight, (1 - apart) * weight])
    return [
        names[i]
        for i in rng.choice(len(names), size=EVENTS, replace=False, p=chance / chance.sum())
    ]


def _catalog() -> pl.DataFrame:
    rows = [
        (
            f"{taste}{n:02d}",
            f"Title {taste}{n:02d}",
            {"a": "drama", "b": "comedy"}[taste],
            f"maker {n % 3}",
        )
        for taste in "ab"
        for n in range(ITEMS)
    ]
    return pl.DataFrame(rows, schema=["item_id", "title", "categories", "maker"], orient="row")


def biased_cold_users(*, many: int = 60, few: int = 40, seed: int = 9) -> list[ColdUser]:
    """New users of the same world: the first 4 events are the pool, the rest is
    liked.
    """
    rng = np.random.default_rng(seed)
    users = []
    for n in range(many + few):
        group = "many" if n < many else "few"
        items = _draw(group, rng)
        users.append(
            ColdUser(
                user_id=f"n{n}",
                profile={"group": group, "age": float(20 + n % 40)},
                pool=[(i, 1.0) for i in items[:4]],
                query=[(i, 1.0) for i in items[4:]],
                relevant=items[4:],
            )
        )
    return users
