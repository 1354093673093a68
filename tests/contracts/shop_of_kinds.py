"""A shop of two tastes with views, purchases and other kinds, for contracts of events."""

from __future__ import annotations

import numpy as np
import polars as pl

from metarec import Dataset
from metarec.data.cold_users import Horizon

TASTES = ("tent", "cup")
SHORT = Horizon(support_sizes=(0, 1, 3), pool=4, min_events=6)


def shop(users: int = 60, items: int = 12, seed: int = 0, *, mixed: bool = False) -> Dataset:
    """Users of two tastes view both, and buy and keep only their own.

    Args:
        mixed: the other taste is viewed at any moment; else after everything else.
    """
    rng, rows = np.random.default_rng(seed), []
    for user in range(users):
        own, other = TASTES if user % 2 else TASTES[::-1]
        at = 1.7e9 + 1e5 * user
        for step, item in enumerate(rng.permutation(items)[:8]):
            rows.append((f"u{user}", f"{own}{item}", at + 100 * step, "view"))
            if step % 2:
                rows.append((f"u{user}", f"{own}{item}", at + 100 * step + 50, "purchase"))
        for step, item in enumerate(rng.permutation(items)[:2]):
            moment = rng.uniform(0, 800) if mixed else 1000 + step
            rows.append((f"u{user}", f"{other}{item}", at + moment, "view"))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "kind"], orient="row")
    catalog = [(f"{t}{n}", f"{t} number {n}", t) for t in TASTES for n in range(items)]
    table = pl.DataFrame(catalog, schema=["item_id", "title", "categories"], orient="row")
    return Dataset(interactions=frame, items=table, name="two tastes")
