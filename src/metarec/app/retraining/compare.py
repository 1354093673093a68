"""Comparison of champion and challenger on the same users, unseen by both; a promotion is decided
by it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from metarec.data.cold_users import ColdUser, Horizon, as_cold_users, preference_events
from metarec.data.dataset import Dataset
from metarec.evaluation.measure import EvaluationSet, measure
from metarec.evaluation.significance import interval, resample
from metarec.feedback.promotion import Comparison
from metarec.recommendation.slate import Request
from metarec.recommender import Recommender
from metarec.runtime.rng import derive

MAX_SHOWN = 20
"""Largest number of items in a user's support set."""
MAX_VALUES = 12
"""Attributes with more different values are not used as groups."""
MIN_IN_GROUP = 20
PerUser = Mapping[str, Sequence[Mapping[str, np.ndarray]]]
"""Champion or challenger -> for each support size: metric -> [users]."""


@dataclass(frozen=True, kw_only=True)
class HoldoutUsers:
    """Users whom neither model was trained on."""

    cold_users: list[ColdUser]
    horizon: Horizon


def as_holdout_users(
    data: Dataset,
    profiles: Mapping[str, Mapping[str, object]],
    item_ids: Sequence[str],
    relevant_from: float,
) -> HoldoutUsers:
    """Turn users into cold-start users: the first half of their items, at most `MAX_SHOWN`, is the
    support set, the rest the query set.

    Args:
        data: events of the users.
        profiles: attributes of each user.
        item_ids: items that both models know; others are left out.
        relevant_from: rating from which an item counts as liked.
    """
    acts = preference_events(data.interactions).filter(pl.col("item_id").is_in(list(item_ids)))
    is_new = pl.struct("user_id", "item_id").is_first_distinct()
    acts = acts.with_columns(met=is_new.cum_sum().over("user_id"))
    half = (pl.col("met").max().over("user_id") // 2).clip(upper_bound=MAX_SHOWN)
    pools, later = acts.filter(pl.col("met") <= half), acts.filter(pl.col("met") > half)
    later = later.join(pools, on=["user_id", "item_id"], how="anti", maintain_order="left")
    cold_users = [
        replace(user, profile=dict(profiles.get(user.user_id, {})))
        for user in as_cold_users(data, pools, later, relevant_from)
    ]
    support_sizes = (0, 1, 3, 5, 10)
    longest = int(np.median([n.n_items for n in cold_users])) if cold_users else 0
    return HoldoutUsers(
        cold_users=cold_users,
        horizon=Horizon(
            support_sizes=tuple(s for s in support_sizes if s <= longest),
            pool=longest,
            min_events=2 * longest,
        ),
    )


def compare(
    champion: Recommender,
    challenger: Recommender,
    test_users: HoldoutUsers,
    train: Dataset,
    seed: int = 0,
) -> list[Comparison]:
    """Compare NDCG@10 overall, at support sizes up to 3 and for each group; MAE where there are
    ratings; and latency. Without holdout users only the latency is compared.
    """
    if not test_users.cold_users or not test_users.horizon.support_sizes:
        return [_latency(champion, challenger)]
    items = sorted(set(champion.vocabulary.ids) & set(challenger.vocabulary.ids))
    evaluation_set = EvaluationSet.of(test_users.cold_users, train, candidates=items)
    measured = {
        name: [
            measure(model, evaluation_set, n_support, derive(seed, "ties", n_support)).per_user
            for n_support in test_users.horizon.support_sizes
        ]
        for name, model in (("champion", champion), ("challenger", challenger))
    }
    return [
        *_by_rank(measured, test_users, seed),
        *_by_rating(measured, test_users, seed),
        _latency(champion, challenger),
    ]


def _by_rank(measured: PerUser, test_users: HoldoutUsers, seed: int) -> list[Comparison]:
    """Compare NDCG@10 overall, at support sizes up to 3, and of each group."""
    quality = {
        name: np.stack([at["ndcg@10"] for at in per_shots]) for name, per_shots in measured.items()
    }  # [n_support, users]
    overall = {name: np.nanmean(values, axis=0) for name, values in quality.items()}
    weights = resample(len(test_users.cold_users), derive(seed, "bootstrap"))
    at_few = [
        _paired(
            f"NDCG@10 at {n_support} known items",
            quality["champion"][row],
            quality["challenger"][row],
            weights,
        )
        for row, n_support in enumerate(test_users.horizon.support_sizes)
        if n_support <= 3
    ]
    of_groups = [
        _paired(
            f"NDCG@10 of {name}",
            overall["champion"][members],
            overall["challenger"][members],
            resample(int(members.sum()), derive(seed, "bootstrap", name)),
            clear=True,
        )
        for name, members in groups_of(test_users.cold_users).items()
    ]
    of_all = _paired("NDCG@10", overall["champion"], overall["challenger"], weights)
    return [of_all, *at_few, *of_groups]


def _by_rating(measured: PerUser, test_users: HoldoutUsers, seed: int) -> list[Comparison]:
    """Compare minus the mean absolute error of predicted ratings, where both models predict
    some.
    """
    if not all("mae" in per_shots[0] for per_shots in measured.values()):
        return []
    rated = np.array([bool(user.rated) for user in test_users.cold_users])
    errors = {
        name: -np.nanmean(np.stack([at["mae"][rated] for at in per_shots]), axis=0)
        for name, per_shots in measured.items()
    }
    drawn = resample(int(rated.sum()), derive(seed, "bootstrap", "rated"))
    return [_paired("minus MAE", errors["champion"], errors["challenger"], drawn, clear=True)]


def groups_of(cold_users: Sequence[ColdUser]) -> dict[str, np.ndarray]:
    """Return the groups by attribute that have enough users: name -> bool [users]."""
    names = sorted(
        {
            name
            for n in cold_users
            for name, value in n.profile.items()
            if isinstance(value, str | bool)
        }
    )
    groups: dict[str, np.ndarray] = {}
    for name in names:
        values = np.array([str(n.profile.get(name, "")) for n in cold_users])
        values_stated = sorted(set(values) - {""})
        if len(values_stated) <= MAX_VALUES:
            groups |= {
                f"{name}={value}": values == value
                for value in values_stated
                if (values == value).sum() >= MIN_IN_GROUP
            }
    return groups


def _paired(
    name: str,
    champion: np.ndarray,
    challenger: np.ndarray,
    weights: np.ndarray,
    *,
    clear: bool = False,
) -> Comparison:
    low, high = interval(challenger - champion, weights)
    return Comparison(
        name=name,
        champion=float(np.nanmean(champion)),
        challenger=float(np.nanmean(challenger)),
        low=float(low),
        high=float(high),
        users=int((~np.isnan(champion)).sum()),
        reading="clear" if clear else "mean",
    )


def _latency(champion: Recommender, challenger: Recommender) -> Comparison:
    times: dict[str, list[float]] = {"champion": [], "challenger": []}
    for _ in range(15):  # in turn, so that other load of the machine affects both
        for name, model in (("champion", champion), ("challenger", challenger)):
            request = Request(
                history=[(item_id, model.value_range[1]) for item_id in model.vocabulary.ids[:5]]
            )
            start = time.perf_counter()
            model.recommend([request], k=10)
            times[name].append(time.perf_counter() - start)
    # The fastest runs are the least disturbed; times below half a millisecond are mostly noise.
    fast = {
        name: max(statistics.mean(sorted(seconds)[:5]), 5e-4) * 1e3
        for name, seconds in times.items()
    }
    return Comparison(
        name="ms for one new user",
        champion=fast["champion"],
        challenger=fast["challenger"],
        reading="ratio",
    )
