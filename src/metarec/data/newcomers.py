"""Who is a newcomer, what is shown of them, what is asked: the split by newcomers.

The same rules as the neutral newcomer protocol: a newcomer's first events are the support pool,
everything after is the query, and relevance is the upper quarter of the value scale. Every training
user is a task of the same shape, which is what the meta-learners train on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from metarec.data.schema import BadInput, Dataset, id_order


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """How many events a newcomer is judged at."""

    shots: tuple[int, ...]
    """Support sizes at which quality is measured."""
    pool: int
    """Events of a newcomer that may become support; the query is what comes after."""
    min_events: int
    """A newcomer judged must have at least this many events."""


LONG = Horizon(shots=(0, 1, 3, 5, 10, 20), pool=20, min_events=30)
SHORT = Horizon(shots=(0, 1, 2, 3), pool=3, min_events=5)


def choose_horizon(events_per_user: np.ndarray) -> Horizon:
    """LONG where at least 2,000 users, or a fifth of them, have 30 events or more; else SHORT."""
    rich = int((events_per_user >= LONG.min_events).sum())
    return LONG if rich >= 2000 or (rich and rich >= 0.2 * len(events_per_user)) else SHORT


@dataclass(frozen=True, kw_only=True)
class Newcomer:
    """One person never seen in training: what may be shown of them and what they are judged on."""

    user_id: str
    profile: dict[str, Any]
    pool: list[tuple[str, float]]
    """(item id, value), oldest first: support of size k is its first k."""
    query: list[tuple[str, float]]
    """Everything after the pool that lies in the training catalog."""
    relevant: list[str]
    """Query items that count as liked."""


@dataclass(frozen=True, kw_only=True)
class NewcomerSplit:
    """Training data without any newcomer, and the newcomers to choose settings by and to judge
    by.
    """

    train: Dataset
    validation: list[Newcomer]
    test: list[Newcomer]
    horizon: Horizon


def split_newcomers(
    data: Dataset,
    *,
    rng: np.random.Generator,
    test: float = 0.2,
    validation: float = 0.1,
    horizon: Horizon | None = None,
    most: int | None = None,
) -> NewcomerSplit:
    """Hold whole users out: `test` and `validation` are shares of the users with enough events to
    be judged.

    A repeated (user, item) pair keeps its first event. Newcomers without any relevant query item
    are dropped.

    Args:
        rng: draws who is a newcomer.
        most: at most this many newcomers in each part.

    Raises:
        BadInput: if no user has enough events to be judged.
    """
    events = data.interactions.frame.unique(
        ["user_id", "item_id"], keep="first", maintain_order=True
    )
    counts = events.group_by("user_id").len()
    horizon = horizon or choose_horizon(counts["len"].to_numpy())
    eligible = (
        counts.filter(pl.col("len") >= horizon.min_events)
        .sort(id_order("user_id"))["user_id"]
        .to_numpy()
    )
    if not len(eligible):
        raise BadInput(
            f"no user has the {horizon.min_events} events needed to be judged as a newcomer "
            f"({counts.height} users, {events.height} events); give more events"
        )
    shuffled = eligible[rng.permutation(len(eligible))]
    n_test, n_validation = int(test * len(eligible)), int(validation * len(eligible))
    if most is not None:
        n_test, n_validation = min(n_test, most), min(n_validation, most)
    parts = {"test": shuffled[:n_test], "validation": shuffled[n_test : n_test + n_validation]}
    held_out = pl.Series("user_id", np.concatenate(list(parts.values())), dtype=pl.Utf8)
    is_new = pl.col("user_id").is_in(held_out.implode())
    train = data.with_interactions(events.filter(~is_new))
    catalog = train.interactions.frame.select("item_id").unique()
    shown = events.filter(is_new)
    return NewcomerSplit(
        train=train,
        horizon=horizon,
        **{part: newcomers_of(data, shown, ids, catalog, horizon) for part, ids in parts.items()},
    )


def newcomers_of(
    data: Dataset,
    events: pl.DataFrame,
    user_ids: np.ndarray | pl.Series,
    catalog: pl.DataFrame,
    horizon: Horizon,
) -> list[Newcomer]:
    """These users as newcomers: pool and query from their `events`, query items only from `catalog`
    (a column `item_id`).
    """
    threshold = data.interactions.relevant_from
    users = pl.DataFrame({"user_id": user_ids}, schema={"user_id": pl.Utf8})
    ranked = events.join(users, on="user_id", how="semi").with_columns(
        pl.int_range(pl.len()).over("user_id").alias("position")
    )
    pools = ranked.filter(pl.col("position") < horizon.pool)
    queries = ranked.filter(pl.col("position") >= horizon.pool).join(
        catalog, on="item_id", how="semi", maintain_order="left"
    )
    number = data.interactions.number
    queries = queries.filter((number >= threshold).any().over("user_id"))
    lists = [pl.col("item_id"), number.cast(pl.Float64).alias("value")]
    shown = pools.group_by("user_id", maintain_order=True).agg(*lists)
    asked = queries.group_by("user_id", maintain_order=True).agg(*lists)
    rows = shown.join(asked, on="user_id", suffix="_query").sort(id_order("user_id"))
    profiles = data.users.of_users(rows["user_id"])
    return [
        Newcomer(
            user_id=uid,
            profile=profile,
            pool=list(zip(items, values, strict=True)),
            query=list(zip(q_items, q_values, strict=True)),
            relevant=[i for i, v in zip(q_items, q_values, strict=True) if v >= threshold],
        )
        for (uid, items, values, q_items, q_values), profile in zip(
            rows.iter_rows(), profiles, strict=True
        )
    ]
