"""Who is a new user, what is shown of them, what is asked: the split by new users.

The same rules as the neutral new-user protocol: a new user's first events are the support pool,
everything after is the query, and relevance is the upper quarter of the value scale. Every training
user is a task of the same shape, which is what the meta-learners train on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from metarec.data.arguments import check_type
from metarec.data.dataset import Dataset
from metarec.data.frames import id_order
from metarec.data.schema import BadInput, Interactions


@dataclass(frozen=True, kw_only=True)
class Horizon:
    """How many events a new user is evaluated at."""

    shots: tuple[int, ...]
    """Support sizes at which quality is measured."""
    pool: int
    """Events of a new user that may become support; the query is what comes after."""
    min_events: int
    """A new user evaluated must have at least this many events."""


LONG = Horizon(shots=(0, 1, 3, 5, 10, 20), pool=20, min_events=30)
SHORT = Horizon(shots=(0, 1, 2, 3), pool=3, min_events=5)
MEDIUM = Horizon(shots=(5, 10), pool=10, min_events=15)
"""What the gate learns of beside SHORT where enough users have that many events."""


def choose_horizon(events_per_user: np.ndarray) -> Horizon:
    """LONG where at least 2,000 users, or a fifth of them, have 30 events or more; else SHORT."""
    rich = int((events_per_user >= LONG.min_events).sum())
    return LONG if rich >= 2000 or (rich and rich >= 0.2 * len(events_per_user)) else SHORT


def check_horizon(horizon: Horizon | None) -> None:
    """Refuse what is no horizon.

    Raises:
        BadInput: naming what was given.
    """
    wanted = "a Horizon (metarec.data.cold_users.SHORT, LONG or one of your own)"
    check_type("horizon", horizon, Horizon | None, wanted)


@dataclass(frozen=True, kw_only=True)
class ColdUser:
    """One user never seen in training: what may be shown of them and what they are evaluated on."""

    user_id: str
    profile: dict[str, Any]
    pool: Sequence[tuple[Any, ...]]
    """Events as `Request.history` has them, oldest first: `(item id, value, kind, seconds)`, or the
    first two of these.
    """
    query: Sequence[tuple[str, float | None]]
    """(item id, value) of what was accepted after the pool and lies in the training catalog; where
    values are ratings, None for what was not rated.
    """
    relevant: list[str]
    """Query items that were liked and are what recommendations are for."""
    strengths: Mapping[str, float] = field(default_factory=dict)
    """Strength of the strongest target act on each of `relevant`."""

    @property
    def rated(self) -> list[tuple[str, float]]:
        """The query items that have a value."""
        return [(item_id, value) for item_id, value in self.query if value is not None]

    @property
    def n_items(self) -> int:
        """Items of the pool."""
        return len({item_id for item_id, *_ in self.pool})

    def first(self, n_support: int) -> Sequence[tuple[Any, ...]]:
        """The beginning of the pool: every event until one names a further item than the first
        `n_support`.
        """
        known: set[Any] = set()
        for place, (item_id, *_) in enumerate(self.pool):
            if item_id not in known and len(known) == n_support:
                return self.pool[:place]
            known.add(item_id)
        return self.pool


@dataclass(frozen=True, kw_only=True)
class ColdUserSplit:
    """Training data without any new user, and the new users to choose settings by and to evaluate
    by.
    """

    train: Dataset
    validation: list[ColdUser]
    test: list[ColdUser]
    horizon: Horizon


def split_cold_users(
    data: Dataset,
    *,
    rng: np.random.Generator,
    test: float = 0.2,
    validation: float = 0.1,
    horizon: Horizon | None = None,
    most: int | None = None,
) -> ColdUserSplit:
    """Hold whole users out: `test` and `validation` are shares of the users with enough events to
    be evaluated.

    Events count by item: repeated acts on one are one. Users without any relevant query item are
    dropped.

    Args:
        rng: draws who is a new user.
        most: at most this many new users in each part.

    Raises:
        BadInput: if no user has enough events to be evaluated.
    """
    events = data.interactions.frame
    counts = items_of_users(data.interactions)
    horizon = horizon or choose_horizon(counts["len"].to_numpy())
    eligible = (
        counts.filter(pl.col("len") >= horizon.min_events)
        .sort(id_order("user_id"))["user_id"]
        .to_numpy()
    )
    if not len(eligible):
        raise BadInput(
            f"no user has the {horizon.min_events} events needed to be evaluated as a new user "
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
    return ColdUserSplit(
        train=train,
        horizon=horizon,
        **{part: cold_users_of(data, ids, catalog, horizon) for part, ids in parts.items()},
    )


def items_of_users(events: Interactions) -> pl.DataFrame:
    """`user_id` and `len`: how many items each user acted on in a way that says something."""
    said = events.frame.select("user_id", "item_id").filter(events.acts()["sign"] != 0)
    return said.unique().group_by("user_id").len()


def cold_users_of(
    data: Dataset,
    user_ids: np.ndarray | pl.Series,
    catalog: pl.DataFrame,
    horizon: Horizon,
) -> list[ColdUser]:
    """These users as new users: pool and query from their events, query items only from `catalog`
    (a column `item_id`) and never from the pool.
    """
    users = pl.DataFrame({"user_id": user_ids}, schema={"user_id": pl.Utf8})
    acts = telling_acts(data.interactions).join(
        users, on="user_id", how="semi", maintain_order="left"
    )
    is_new = pl.struct("user_id", "item_id").is_first_distinct()
    met = acts.select(is_new.cum_sum().over("user_id")).to_series()
    pools = acts.filter(met <= horizon.pool)
    later = acts.filter(met > horizon.pool).join(
        catalog, on="item_id", how="semi", maintain_order="left"
    )
    later = later.join(pools, on=["user_id", "item_id"], how="anti", maintain_order="left")
    return as_cold_users(data, pools, later)


def telling_acts(events: Interactions) -> pl.DataFrame:
    """Events that say something, with what they say (`Interactions.acts`) and `number`."""
    acts = events.frame.with_columns(
        events.acts(),
        number=pl.lit(None, pl.Float64)
        if events.has_values
        else pl.col("value").cast(pl.Float64).fill_null(1.0),
    )
    return acts.filter((pl.col("sign") != 0) | pl.col("is_undo"))


def as_cold_users(
    data: Dataset, pools: pl.DataFrame, later: pl.DataFrame, relevant_from: float | None = None
) -> list[ColdUser]:
    """Users shown by the acts in `pools` and asked about those in `later`; who wants nothing later
    is left out.

    Args:
        pools: rows of `telling_acts`.
        later: the same, on items that may be asked about.
        relevant_from: the rating from which an item counts as liked; None: as in `data`.
    """
    events = data.interactions
    queries = accepted_items(
        later, events.relevant_from if relevant_from is None else relevant_from
    )
    queries = queries.filter(pl.col("is_relevant").any().over("user_id"))
    time = pl.col("timestamp") if events.has_time else pl.lit(None, pl.Float64)
    event = pl.struct("item_id", pl.col("value").cast(pl.Float64), "kind", time.alias("timestamp"))
    shown = pools.group_by("user_id", maintain_order=True).agg(event.alias("pool"))
    asked = queries.group_by("user_id", maintain_order=True).agg(
        "item_id", "number", "is_relevant", "strength"
    )
    rows = shown.join(asked, on="user_id").sort(id_order("user_id"))
    profiles = data.users.of_users(rows["user_id"])
    return [
        ColdUser(
            user_id=user_id,
            profile=profile,
            pool=[tuple(event.values()) for event in pool],
            query=list(zip(items, numbers, strict=True)),
            relevant=[item for item, wanted in zip(items, relevant, strict=True) if wanted],
            strengths={
                item: strength
                for item, strength, wanted in zip(items, strengths, relevant, strict=True)
                if wanted
            },
        )
        for (user_id, pool, items, numbers, relevant, strengths), profile in zip(
            rows.iter_rows(), profiles, strict=True
        )
    ]


def accepted_items(acts: pl.DataFrame, relevant_from: float) -> pl.DataFrame:
    """What users accepted, each item once, in the order of the first act: `user_id, item_id,
    number, is_relevant, strength` (of the strongest target act).

    Of the acts since the last undo the strongest decides, of equally strong ones the latest, as in
    `features.events`.

    Args:
        acts: `user_id, item_id, number` and the columns of `Interactions.acts`, oldest first.
        relevant_from: the rating from which an item counts as liked.
    """
    pair = ["user_id", "item_id"]
    remaining = acts.filter(~pl.col("is_undo").reverse().cum_max().reverse().over(pair))
    strongest = pl.col("sign").sort_by("strength", maintain_order=True).last()
    joined = remaining.group_by(pair, maintain_order=True).agg(
        strongest.alias("sign"),
        pl.col("rating").drop_nulls().last().alias("rating"),
        pl.col("number").last().cast(pl.Float64),
        pl.col("is_target").any(),
        pl.col("strength").filter(pl.col("is_target")).max().fill_null(0.0),
    )
    is_liked = pl.col("rating").fill_null(float("inf")) >= relevant_from
    return joined.filter(pl.col("sign") > 0).select(
        *pair,
        pl.coalesce(pl.col("rating").cast(pl.Float64), "number").alias("number"),
        (is_liked & pl.col("is_target")).alias("is_relevant"),
        "strength",
    )
