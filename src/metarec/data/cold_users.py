"""The split by new users: whole users are held out, their first events are the support set, their
later ones the query set.

The rules are those of the neutral new-user protocol; items are relevant whose rating is in the
upper quarter of the value scale. Training users give tasks of the same shape, on which the
meta-learners train.
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
from metarec.runtime.old_names import FormerNames, init_takes_former_keywords, takes_former_keywords


@init_takes_former_keywords
@dataclass(frozen=True, kw_only=True)
class Horizon(FormerNames):
    """Support sizes at which new users are evaluated, and how many events they need. Each item of
    a user counts as one event.
    """

    support_sizes: tuple[int, ...]
    """Support sizes at which quality is measured."""
    pool: int
    """Largest support set, in items; the query set is what comes after."""
    min_events: int
    """Fewest items a user must have acted on to be evaluated as a new user."""


LONG = Horizon(support_sizes=(0, 1, 3, 5, 10, 20), pool=20, min_events=30)
SHORT = Horizon(support_sizes=(0, 1, 2, 3), pool=3, min_events=5)
MEDIUM = Horizon(support_sizes=(5, 10), pool=10, min_events=15)
"""Further support sizes that the gate is fitted on, beside SHORT, where enough users have that many
events.
"""


def choose_horizon(events_per_user: np.ndarray) -> Horizon:
    """Return LONG where at least 2,000 users, or a fifth of them, have 30 events or more; else
    SHORT.
    """
    rich = int((events_per_user >= LONG.min_events).sum())
    return LONG if rich >= 2000 or (rich and rich >= 0.2 * len(events_per_user)) else SHORT


def check_horizon(horizon: Horizon | None) -> None:
    """Refuse an argument that is neither a `Horizon` nor None.

    Raises:
        BadInput: naming what was given.
    """
    expected = "a Horizon (metarec.data.cold_users.SHORT, LONG or one of your own)"
    check_type("horizon", horizon, Horizon | None, expected)


@dataclass(frozen=True, kw_only=True)
class ColdUser:
    """One user without events in the training data: their support pool and their query set."""

    user_id: str
    profile: dict[str, Any]
    pool: Sequence[tuple[Any, ...]]
    """Events from which the support set is taken, oldest first, in the form of `Request.history`:
    `(item id, value, kind, seconds)`, or the first two of these.
    """
    query: Sequence[tuple[str, float | None]]
    """(item id, value) of the items accepted after the pool that are in the training catalog; where
    values are ratings, None for an item without one.
    """
    relevant: list[str]
    """Ids of the query items with a target event that were liked."""
    strengths: Mapping[str, float] = field(default_factory=dict)
    """Item id -> strength of the strongest target event, for each item of `relevant`."""
    unlisted: Sequence[str] = ()
    """Ids of items that are ranked for this user no more than those of the pool: the user is known
    to have acted on them or liked them, and they are neither support nor asked about.
    """

    @property
    def rated(self) -> list[tuple[str, float]]:
        """The query items that have a value."""
        return [(item_id, value) for item_id, value in self.query if value is not None]

    @property
    def n_items(self) -> int:
        """Number of distinct items in the pool."""
        return len({item_id for item_id, *_ in self.pool})

    def first(self, n_support: int) -> Sequence[tuple[Any, ...]]:
        """Return the support set of `n_support` items: the events of the pool before the first
        event on a further item.
        """
        item_ids: set[Any] = set()
        for place, (item_id, *_) in enumerate(self.pool):
            if item_id not in item_ids and len(item_ids) == n_support:
                return self.pool[:place]
            item_ids.add(item_id)
        return self.pool


@dataclass(frozen=True, kw_only=True)
class ColdUserSplit:
    """Training data without the new users, and the new users of validation and of test."""

    train: Dataset
    validation: list[ColdUser]
    test: list[ColdUser]
    horizon: Horizon
    left_out: int = 0
    """Users held out who are in neither list: they like no item that could be asked about."""
    left_out_of_test: int = 0
    """Those of them that were held out for the test; set in folds."""


@takes_former_keywords
def split_cold_users(
    data: Dataset,
    *,
    rng: np.random.Generator,
    test: float = 0.2,
    validation: float = 0.1,
    horizon: Horizon | None = None,
    max_users: int | None = None,
) -> ColdUserSplit:
    """Hold out whole users: `test` and `validation` are shares of the users with enough events to
    be evaluated.

    Repeated events on one item count as one. Held-out users without any relevant query item are
    dropped.

    Args:
        rng: draws the held-out users.
        max_users: largest number of new users in each part; None sets no limit.

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
    if max_users is not None:
        n_test, n_validation = min(n_test, max_users), min(n_validation, max_users)
    parts = {"test": shuffled[:n_test], "validation": shuffled[n_test : n_test + n_validation]}
    held_out = pl.Series("user_id", np.concatenate(list(parts.values())), dtype=pl.Utf8)
    is_new = pl.col("user_id").is_in(held_out.implode())
    train = data.with_interactions(events.filter(~is_new))
    catalog = train.interactions.frame.select("item_id").unique()
    users_of = {part: cold_users_of(data, ids, catalog, horizon) for part, ids in parts.items()}
    left_out = len(held_out) - sum(map(len, users_of.values()))
    return ColdUserSplit(
        train=train,
        validation=users_of["validation"],
        test=users_of["test"],
        horizon=horizon,
        left_out=left_out,
    )


def items_of_users(events: Interactions) -> pl.DataFrame:
    """`user_id` and `len`: how many items each user has a positive or negative event on."""
    rated = events.frame.select("user_id", "item_id").filter(events.acts()["sign"] != 0)
    return rated.unique().group_by("user_id").len()


def cold_users_of(
    data: Dataset,
    user_ids: np.ndarray | pl.Series,
    catalog: pl.DataFrame,
    horizon: Horizon,
    hidden: Sequence[str] = (),
) -> list[ColdUser]:
    """Return the users `user_ids` as new users: their first `horizon.pool` items give the pool, the
    later events the query set, whose items are in `catalog` (a column `item_id`) and not in the
    pool. Items that will be `hidden` do not count: the pool goes on until it has that many others.
    """
    users = pl.DataFrame({"user_id": user_ids}, schema={"user_id": pl.Utf8})
    acts = preference_events(data.interactions).join(
        users, on="user_id", how="semi", maintain_order="left"
    )
    is_new = pl.struct("user_id", "item_id").is_first_distinct()
    is_new &= ~pl.col("item_id").is_in(list(hidden))
    n_met = acts.select(is_new.cum_sum().over("user_id")).to_series()
    pools = acts.filter(n_met <= horizon.pool)
    later = acts.filter(n_met > horizon.pool).join(
        catalog, on="item_id", how="semi", maintain_order="left"
    )
    later = later.join(pools, on=["user_id", "item_id"], how="anti", maintain_order="left")
    return as_cold_users(data, pools, later)


def preference_events(events: Interactions) -> pl.DataFrame:
    """Positive, negative and undo events, with the columns of `Interactions.acts` and `number`
    (the value of an implicit event, 1 where it has none; null where values are ratings).
    """
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
    """Return new users with the events of `pools` as their pool and the accepted items of `later`
    as their query set; users without a relevant query item are left out.

    Args:
        pools: rows of `preference_events`.
        later: rows of `preference_events` on items that may be in a query set.
        relevant_from: the rating from which an item counts as liked; None takes that of `data`.
    """
    events = data.interactions
    queries = accepted_items(
        later, events.relevant_from if relevant_from is None else relevant_from
    )
    queries = queries.filter(pl.col("is_relevant").any().over("user_id"))
    time = pl.col("timestamp") if events.has_time else pl.lit(None, pl.Float64)
    event = pl.struct("item_id", pl.col("value").cast(pl.Float64), "kind", time.alias("timestamp"))
    shown = pools.group_by("user_id", maintain_order=True).agg(event.alias("pool"))
    query_of = queries.group_by("user_id", maintain_order=True).agg(
        "item_id", "number", "is_relevant", "strength"
    )
    rows = shown.join(query_of, on="user_id").sort(id_order("user_id"))
    profiles = data.users.of_users(rows["user_id"])
    return [
        ColdUser(
            user_id=user_id,
            profile=profile,
            pool=[tuple(event.values()) for event in pool],
            query=list(zip(items, numbers, strict=True)),
            relevant=[
                item for item, is_relevant in zip(items, relevant, strict=True) if is_relevant
            ],
            strengths={
                item: strength
                for item, strength, is_relevant in zip(items, strengths, relevant, strict=True)
                if is_relevant
            },
        )
        for (user_id, pool, items, numbers, relevant, strengths), profile in zip(
            rows.iter_rows(), profiles, strict=True
        )
    ]


def accepted_items(acts: pl.DataFrame, relevant_from: float) -> pl.DataFrame:
    """Items that users accepted, each once per user, in the order of the first event: `user_id,
    item_id, number, is_relevant, strength` (of the strongest target event; 0 without one).

    The sign is that of the strongest event since the last undo, the latest of equally strong ones,
    as in `features.events`.

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
