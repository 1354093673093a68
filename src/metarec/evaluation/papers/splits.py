"""Splits of published protocols: which users are new, their support and their query."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUser
from metarec.data.dataset import Dataset
from metarec.data.frames import id_order
from metarec.data.schema import BadInput, Interactions
from metarec.evaluation.papers.melu_states import NEW, rows_of, state_of, warm_data
from metarec.runtime.rng import derive

MELU_EVENTS, MELU_ASKED = (13, 100), 10
TANP_EVENTS, TANP_SHOWN = (30, 200), 20
NEW_SHARE, VALIDATION_SHARE = 0.2, 0.1


@dataclass(frozen=True, kw_only=True)
class Published:
    """A paper's split: training data, and the users to evaluate in each of its scenarios."""

    name: str
    train: Dataset
    validation: list[ColdUser]
    """Users held out to choose settings by; never evaluated."""
    scenarios: dict[str, list[ColdUser]]
    """Scenario -> users; `pool` is the whole support, `query` the query set."""
    cuts: tuple[int, ...]
    """Cutoffs k of the metrics."""
    is_graded: bool
    """True: NDCG with graded gains (MeLU); False: the metrics of `tanp_scores`."""
    asks_shown: bool = False
    """Whether support items are also in the query (HIRE): their given ratings replace the model's
    predictions, and the gain of a rating is the rating itself.
    """


def melu_split(data: Dataset, *, seed: int = 0) -> Published:
    """MeLU's protocol (Lee et al. 2019, arXiv:1908.00413, section 4.1).

    A fifth of the users are new; new items are the latest fifth by their year (without years by
    their first event, without times at random). Users with 13 to 100 events of a scenario take
    part; 10 random events are the query, the rest is support. The paper evaluates three cold-start
    scenarios; its fourth trains on what it evaluates.

    Raises:
        BadInput: if the data have no ratings, or too few users have enough events.
    """
    events, rng = _rated(data, "melu"), derive(seed, "melu")
    users = _users(events, MELU_EVENTS, "melu")
    new_users = users[rng.random(len(users)) < NEW_SHARE]
    new_items = _new_items(data, events, rng)
    is_new_item, is_new_user = (
        pl.col("item_id").is_in(new_items.implode()),
        pl.col("user_id").is_in(pl.Series(new_users, dtype=pl.Utf8).implode()),
    )
    of_known_items = events.filter(~is_new_item)
    aside = _aside(users[~np.isin(users, new_users)], rng)
    is_aside = pl.col("user_id").is_in(aside.implode())
    parts = {
        "new items, known users": events.filter(is_new_item & ~is_new_user & ~is_aside),
        "known items, new users": of_known_items.filter(is_new_user),
        "new items, new users": events.filter(is_new_item & is_new_user),
    }
    return _melu(data, of_known_items.filter(~is_new_user), aside, parts, rng)


def melu_states_split(folder: Path, *, seed: int = 0) -> Published:
    """MeLU's protocol with the users and items that its authors drew. A tenth of the known users is
    held out to choose settings by; all known users are evaluated on new items.

    Raises:
        BadInput: if a file is missing or not the one of its name.
    """
    data, rng = warm_data(folder, "MeLU's MovieLens 1M"), derive(seed, "melu")
    events = _rated(data, "melu")
    parts = {name: rows_of(state_of(folder, state), "value") for name, state in NEW.items()}
    return _melu(data, events, _aside(_users(events, MELU_EVENTS, "melu"), rng), parts, rng)


def _aside(users: np.ndarray, rng: np.random.Generator) -> pl.Series:
    return pl.Series(users[rng.random(len(users)) < VALIDATION_SHARE], dtype=pl.Utf8)


def _melu(
    data: Dataset,
    events: pl.DataFrame,
    aside: pl.Series,
    parts: dict[str, pl.DataFrame],
    rng: np.random.Generator,
) -> Published:
    """Return the protocol: training on `events` events except those of the users `aside`, and one
    scenario for each of the `parts`.
    """

    def tasks(part: pl.DataFrame) -> list[ColdUser]:
        counts = part.group_by("user_id").len().filter(pl.col("len").is_between(*MELU_EVENTS))
        return _tasks(
            data, part.join(counts, on="user_id", how="semi"), lambda count: count - MELU_ASKED, rng
        )

    is_aside = pl.col("user_id").is_in(aside.implode())
    scenarios = {name: tasks(part) for name, part in parts.items()}
    return Published(
        name="melu",
        train=_without_order(data, events.filter(~is_aside), rng),
        validation=liking_of(tasks(events.filter(is_aside))),
        scenarios={name: evaluated for name, evaluated in scenarios.items() if evaluated},
        cuts=(1, 3),
        is_graded=True,
    )


def tanp_split(data: Dataset, *, seed: int = 0) -> Published:
    """TaNP's protocol (Lin et al. 2021, arXiv:2103.06137, section 5.1): users split 7 : 1 : 2, 20
    random events as support, the rest as query.

    Users with 30 to 200 events take part; for validation and test users, events on items outside
    the training data are left out. The query's items are ranked among themselves and scored by
    `tanp_scores`.

    Raises:
        BadInput: if the data have no ratings, or too few users have enough events.
    """
    events, rng = _rated(data, "tanp"), derive(seed, "tanp")
    users = rng.permutation(_users(events, TANP_EVENTS, "tanp"))
    first, second = int(0.7 * len(users)), int(0.8 * len(users))

    def of(chosen: np.ndarray) -> pl.DataFrame:
        return events.filter(pl.col("user_id").is_in(pl.Series(chosen, dtype=pl.Utf8).implode()))

    trained = of(users[:first])
    is_known_item = pl.col("item_id").is_in(trained["item_id"].unique().implode())
    validation, evaluated = (
        _tasks(data, _enough(of(part).filter(is_known_item)), lambda _: TANP_SHOWN, rng)
        for part in (users[first:second], users[second:])
    )
    return Published(
        name="tanp",
        train=_without_order(data, trained, rng),
        validation=liking_of(validation),
        scenarios={"new users": evaluated},
        cuts=(5, 7, 10),
        is_graded=False,
    )


def _enough(events: pl.DataFrame) -> pl.DataFrame:
    """Return the events of users with enough of them for TaNP."""
    counts = events.group_by("user_id").len().filter(pl.col("len").is_between(*TANP_EVENTS))
    return events.join(counts, on="user_id", how="semi", maintain_order="left")


def _rated(data: Dataset, protocol: str) -> pl.DataFrame:
    if not data.interactions.has_values:
        raise BadInput(
            f"the protocol {protocol!r} is about ratings, and {data.name} holds events without "
            f"values"
        )
    events = data.interactions
    rated = events.frame.filter(events.acts()["rating"].is_not_null())
    return rated.unique(["user_id", "item_id"], keep="first", maintain_order=True)


def _users(events: pl.DataFrame, between: tuple[int, int], protocol: str) -> np.ndarray:
    users = (
        events.group_by("user_id")
        .len()
        .filter(pl.col("len").is_between(*between))
        .sort(id_order("user_id"))["user_id"]
        .to_numpy()
    )
    if len(users) < 10:
        raise BadInput(
            f"the protocol {protocol!r} takes users with {between[0]} to {between[1]} events; "
            f"there are {len(users)}"
        )
    return users


def _new_items(data: Dataset, events: pl.DataFrame, rng: np.random.Generator) -> pl.Series:
    """Return the latest fifth of the items."""
    items = (
        events.group_by("item_id")
        .agg(pl.col("timestamp").min().alias("came"))
        .sort(id_order("item_id"))
    )
    if "year" in data.items.frame.columns:
        years = data.items.frame.select(
            "item_id", pl.col("year").cast(pl.Float64, strict=False).alias("year")
        )
        items = items.join(years, on="item_id", how="left", maintain_order="left").with_columns(
            pl.coalesce("year", pl.lit(0.0)).alias("came")
        )
    elif not data.interactions.has_time:
        items = items.with_columns(pl.Series("came", rng.random(items.height)))
    return items.sort("came", maintain_order=True).tail(int(NEW_SHARE * items.height))["item_id"]


def _tasks(
    data: Dataset, events: pl.DataFrame, shown_of: Callable[[int], int], rng: np.random.Generator
) -> list[ColdUser]:
    """Return each user's events in a random order: the first `shown_of(count)` as support, the rest
    as query.
    """
    events = events.with_columns(pl.Series("draw", rng.random(events.height))).sort(
        *id_order("user_id"), "draw"
    )
    rows = events.group_by("user_id", maintain_order=True).agg(
        pl.col("item_id"), pl.col("value").cast(pl.Float64)
    )
    threshold, tasks = data.interactions.relevant_from, []
    for (user_id, items, values), profile in zip(
        rows.iter_rows(), data.users.of_users(rows["user_id"]), strict=True
    ):
        pairs: list[tuple[str, float]] = list(zip(items, values, strict=True))
        shown = shown_of(len(pairs))
        tasks.append(
            ColdUser(
                user_id=user_id,
                profile=profile,
                pool=pairs[:shown],
                query=pairs[shown:],
                relevant=[item_id for item_id, value in pairs[shown:] if value >= threshold],
            )
        )
    return tasks


def liking_of(cold_users: list[ColdUser]) -> list[ColdUser]:
    """Return the users who like a query item: others cannot tell a good ranking from a bad one."""
    return [n for n in cold_users if n.relevant]


def _without_order(data: Dataset, events: pl.DataFrame, rng: np.random.Generator) -> Dataset:
    """Return training events in a random order, as both papers draw support sets at random."""
    shuffled = events.with_columns(
        pl.Series("timestamp", rng.permutation(events.height).astype(np.float64))
    )
    interactions = Interactions(
        frame=shuffled.sort(*id_order("user_id"), "timestamp"), has_values=True, has_time=False
    )
    return replace(data, interactions=interactions)
