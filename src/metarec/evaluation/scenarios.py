"""Cold-start scenarios: new users, new items, both, neither, and users first seen after a moment.

| scenario | users | items listed | what it tells |
|---|---|---|---|
| user-cold | new users | those of the training events | the learning curve |
| item-cold | known | hidden ones, among themselves or among all | can content rank an item without
events? |
| both-cold | new users | hidden ones, among themselves or among all | the hardest case |
| warm | known, their last events held out | those of the training events | the cost, if any, of
being good at cold start |
| time | first seen after a moment | those of the events before it | what a service trained at that
moment would have done |
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import polars as pl

from metarec.data.arguments import shown
from metarec.data.cold_users import (
    ColdUser,
    ColdUserSplit,
    Horizon,
    accepted_items,
    as_cold_users,
    check_horizon,
    choose_horizon,
    cold_users_of,
    items_of_users,
    preference_events,
    split_cold_users,
)
from metarec.data.dataset import Dataset
from metarec.data.frames import id_order
from metarec.data.schema import BadInput
from metarec.data.splits import split_by_time
from metarec.evaluation.measure import EvaluationSet
from metarec.runtime.old_names import takes_former_keywords
from metarec.runtime.rng import derive

Scenario = Literal["user-cold", "item-cold", "both-cold", "warm", "time"]
SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
HIDDEN_SHARE = 0.1
"""Share of the items hidden from training in the scenarios with cold items."""
HELD_OUT_SHARE = 0.2
"""Share of a known user's events, the last ones, that the warm scenario evaluates on."""
MAX_WARM = 2000
"""Known users evaluated, at most."""
MIN_UNMET = 10
"""Number of users unseen by a fitted model that its evaluation needs."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Data to fit on, and one or two evaluation sets."""

    scenario: Scenario
    split: ColdUserSplit
    """`train` to fit on, `validation` users to choose settings by, `test` users to evaluate,
    `horizon` with the numbers of events.
    """
    evaluation_sets: dict[str, EvaluationSet]
    """By candidates: `all`, and `cold` where items are hidden."""


@takes_former_keywords
def prepare(
    data: Dataset,
    scenario: Scenario,
    *,
    seed: int = 0,
    horizon: Horizon | None = None,
    max_users: int | None = None,
) -> Setting:
    """Split `data` by a scenario.

    Args:
        data: everything known.
        scenario: one of `SCENARIOS`.
        seed: seed of the draws of new users and hidden items.
        horizon: numbers of events of new users; chosen from the data where None.
        max_users: users evaluated, at most.

    Raises:
        BadInput: for an unknown scenario, or data without enough users to evaluate in it.
    """
    check_horizon(horizon)
    if not isinstance(scenario, str) or scenario not in SCENARIOS:
        raise BadInput(f"there is no scenario {shown(scenario)}; there are {', '.join(SCENARIOS)}")
    rng = derive(seed, "scenario")
    if scenario == "user-cold":
        split = split_cold_users(
            data, rng=np.random.default_rng(seed), horizon=horizon, max_users=max_users
        )
        return Setting(
            scenario=scenario,
            split=split,
            evaluation_sets={"all": EvaluationSet.of(split.test, split.train)},
        )
    if scenario == "both-cold":
        return _both_cold(data, rng, seed, horizon, max_users)
    if scenario == "item-cold":
        return _item_cold(data, rng, seed, horizon, max_users)
    if scenario == "time":
        return _time(data, rng, horizon, max_users)
    return _warm(data, rng, seed, horizon, max_users)


def prepare_unseen(
    data: Dataset, train: Dataset, *, seed: int = 0, max_users: int | None = None
) -> Setting:
    """Return a setting for a model that is already fitted, with users it has not seen: a third of
    them choose the baselines' settings, the rest are test users.

    Args:
        data: everything known.
        train: data that the model was fitted on; baselines are fitted on it too.
        seed: seed of the draw of the test users.
        max_users: users evaluated, at most.

    Raises:
        BadInput: if too few users of `data` are not in `train`.
    """
    training_users = train.interactions.frame.select("user_id").unique()
    counts = items_of_users(data.interactions)
    horizon = choose_horizon(counts["len"].to_numpy())
    new = (
        counts.join(training_users, on="user_id", how="anti")
        .filter(pl.col("len") >= horizon.min_events)
        .sort(id_order("user_id"))["user_id"]
    )
    if len(new) < MIN_UNMET:
        raise BadInput(
            f"only {len(new)} users of {data.name} whom the model has not met have the "
            f"{horizon.min_events} events needed to "
            f"be evaluated, {MIN_UNMET} are needed; keep some out with `metarec fit --hold-out "
            f"0.2`, or evaluate without a model"
        )
    shuffled = new.gather(derive(seed, "unmet").permutation(len(new)))
    cut = len(new) // 3
    catalog = train.interactions.frame.select("item_id").unique()
    held_out = shuffled[:cut], shuffled[cut:][:max_users]
    validation, test = (cold_users_of(data, users, catalog, horizon) for users in held_out)
    split = ColdUserSplit(
        train=train,
        validation=validation,
        test=test,
        horizon=horizon,
        left_out=sum(map(len, held_out)) - len(validation) - len(test),
    )
    return Setting(
        scenario="user-cold", split=split, evaluation_sets={"all": EvaluationSet.of(test, train)}
    )


def hide_items(data: Dataset, rng: np.random.Generator, share: float = HIDDEN_SHARE) -> list[str]:
    """Return a random `share` of the items that occur in events, to be hidden from training."""
    items = (
        data.interactions.frame.select("item_id")
        .unique()
        .sort(id_order("item_id"))["item_id"]
        .to_numpy()
    )
    hidden = max(1, round(share * len(items)))
    if len(items) - hidden < 2:
        raise BadInput(
            f"{data.name} has {len(items)} items with events: too few to hide a share of {share}"
        )
    return sorted(rng.choice(items, hidden, replace=False).tolist())


def _without(data: Dataset, cold: list[str]) -> Dataset:
    return data.with_interactions(data.interactions.frame.filter(~pl.col("item_id").is_in(cold)))


def _ask_cold(users: list[ColdUser], cold: set[str]) -> list[ColdUser]:
    """Return the users with cold items alone in the query set; users who like none of them are left
    out. Cold items in the pool, and liked items that are not cold, are neither shown nor asked
    about, and so not ranked.
    """
    with_cold_queries = [
        replace(
            p,
            pool=[e for e in p.pool if e[0] not in cold],
            query=[e for e in p.query if e[0] in cold],
            relevant=[i for i in p.relevant if i in cold],
            unlisted=[
                *dict.fromkeys(e[0] for e in p.pool if e[0] in cold),
                *(i for i in p.relevant if i not in cold),
            ],
        )
        for p in users
    ]
    return [p for p in with_cold_queries if p.relevant]


def _cold_item_sets(
    users: list[ColdUser], train: Dataset, cold: list[str], scenario: str
) -> dict[str, EvaluationSet]:
    """Return the evaluation sets with cold items alone as candidates, and with all items."""
    if not users:
        raise BadInput(
            f"nobody likes a hidden item, so {scenario} cannot be evaluated; give more events"
        )
    training_items = (
        train.interactions.frame.select("item_id")
        .unique()
        .sort(id_order("item_id"))["item_id"]
        .to_list()
    )
    return {
        "cold": EvaluationSet.of(users, train, candidates=cold),
        "all": EvaluationSet.of(users, train, candidates=[*training_items, *cold]),
    }


def _both_cold(
    data: Dataset,
    rng: np.random.Generator,
    seed: int,
    horizon: Horizon | None,
    max_users: int | None,
) -> Setting:
    """New users as in user-cold; the hidden items are in no training event and in no support
    set.
    """
    split = split_cold_users(
        data, rng=np.random.default_rng(seed), horizon=horizon, max_users=max_users
    )
    cold = hide_items(split.train, rng)
    train = _without(split.train, cold)
    test = pl.Series("user_id", [user.user_id for user in split.test], dtype=pl.Utf8)
    catalog = split.train.interactions.frame.select("item_id").unique()
    users = _ask_cold(cold_users_of(data, test, catalog, split.horizon, cold), set(cold))
    both = replace(_asked_warm(split, set(cold)), train=train, test=users)
    both = replace(both, left_out=both.left_out + len(split.test) - len(users))
    return Setting(
        scenario="both-cold",
        split=both,
        evaluation_sets=_cold_item_sets(users, train, cold, "both-cold"),
    )


def _asked_warm(split: ColdUserSplit, cold: set[str]) -> ColdUserSplit:
    """Return the split with validation users asked about the items that are not cold."""
    users = [p for p in (_ask_warm(p, cold) for p in split.validation) if p.relevant]
    left_out = split.left_out + len(split.validation) - len(users)
    return replace(split, validation=users, left_out=left_out)


def _ask_warm(user: ColdUser, cold: set[str]) -> ColdUser:
    return replace(
        user,
        pool=[e for e in user.pool if e[0] not in cold],
        query=[e for e in user.query if e[0] not in cold],
        relevant=[i for i in user.relevant if i not in cold],
    )


def _item_cold(
    data: Dataset,
    rng: np.random.Generator,
    seed: int,
    horizon: Horizon | None,
    max_users: int | None,
) -> Setting:
    """Known users with their whole visible history as support; validation users as in user-cold."""
    split = split_cold_users(
        data, rng=np.random.default_rng(seed), horizon=horizon, max_users=max_users, test=0.0
    )
    cold = hide_items(split.train, rng)
    train = _without(split.train, cold)
    events = split.train.interactions.frame
    users = _known_users(data, events, pl.col("item_id").is_in(cold), set(cold), rng, max_users)
    longest = max((p.n_items for p in users), default=1)
    split = replace(
        _asked_warm(split, set(cold)),
        train=train,
        test=users,
        horizon=replace(split.horizon, support_sizes=(longest,)),
    )
    return Setting(
        scenario="item-cold",
        split=split,
        evaluation_sets=_cold_item_sets(users, train, cold, "item-cold"),
    )


def _warm(
    data: Dataset,
    rng: np.random.Generator,
    seed: int,
    horizon: Horizon | None,
    max_users: int | None,
) -> Setting:
    """Known users; the last fifth of their events is taken out of training and becomes the query
    set.
    """
    split = split_cold_users(
        data, rng=np.random.default_rng(seed), horizon=horizon, max_users=max_users, test=0.0
    )
    events = split.train.interactions.frame
    from_end = pl.len().over("user_id") - pl.int_range(pl.len()).over("user_id")
    is_held = (from_end <= (HELD_OUT_SHARE * pl.len().over("user_id")).ceil()) & (
        pl.len().over("user_id") >= split.horizon.min_events
    )
    marked = events.with_columns(is_held.alias("held"))
    train = data.with_interactions(marked.filter(~pl.col("held")).drop("held"))
    catalog = set(train.interactions.frame["item_id"].unique())
    users = _known_users(data, marked, pl.col("held"), catalog, rng, max_users)
    if not users:
        raise BadInput(
            f"no known user of {data.name} has the {split.horizon.min_events} events and a "
            f"liked one among the last of them "
            "that warm needs"
        )
    longest = max(p.n_items for p in users)
    split = replace(
        split, train=train, test=users, horizon=replace(split.horizon, support_sizes=(longest,))
    )
    return Setting(
        scenario="warm", split=split, evaluation_sets={"all": EvaluationSet.of(users, train)}
    )


def _known_users(
    data: Dataset,
    events: pl.DataFrame,
    is_asked: pl.Expr,
    catalog: set[str],
    rng: np.random.Generator,
    max_users: int | None,
) -> list[ColdUser]:
    """Return at most `max_users` users with query events (`is_asked`) in `catalog`; their other
    events are the support.
    """
    of = data.interactions.keep(events)
    marked = events.select(is_asked.alias("asked"), "user_id")
    acts = preference_events(replace(of, frame=events.with_columns(marked["asked"])))
    pools, later = acts.filter(~pl.col("asked")), acts.filter("asked")
    later = later.filter(pl.col("item_id").is_in(list(catalog)))
    pair = ["user_id", "item_id"]
    later = later.join(pools, on=pair, how="anti", maintain_order="left")
    relevant = accepted_items(later, of.relevant_from).filter("is_relevant")
    able = relevant.join(pools, on="user_id", how="semi").select("user_id").unique()
    ids = able.sort(id_order("user_id"))["user_id"].to_numpy()
    limit = min(max_users or MAX_WARM, MAX_WARM)
    if len(ids) > limit:
        ids = np.sort(rng.choice(ids, limit, replace=False))
    chosen = pl.col("user_id").is_in(list(ids))
    return as_cold_users(data, pools.filter(chosen), later.filter(chosen))


def _time(
    data: Dataset, rng: np.random.Generator, horizon: Horizon | None, max_users: int | None
) -> Setting:
    """Users first seen after a cut in time, for models that see nothing later than the cut; a third
    of them choose the baselines' settings.
    """
    cut = split_by_time(data, horizon=horizon)
    if len(cut.cold_users) < MIN_UNMET:
        raise BadInput(
            f"only {len(cut.cold_users)} users first seen after the cut in time have the "
            f"{cut.horizon.min_events} events needed to be evaluated and a liked item among the "
            f"later ones, {MIN_UNMET} are needed; use "
            "--scenario user-cold, or ask for fewer events with --support"
        )
    order = rng.permutation(len(cut.cold_users))
    users = [cut.cold_users[place] for place in order]
    third = len(users) // 3
    test = users[third:][:max_users]
    split = ColdUserSplit(
        train=cut.train,
        validation=users[:third],
        test=test,
        horizon=cut.horizon,
        left_out=cut.left_out,
    )
    return Setting(
        scenario="time", split=split, evaluation_sets={"all": EvaluationSet.of(test, cut.train)}
    )
