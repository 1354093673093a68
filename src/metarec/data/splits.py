"""Further splits without leakage, beside `split_cold_users`: by time, and folds over users."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from metarec.data.cold_users import (
    ColdUser,
    ColdUserSplit,
    Horizon,
    choose_horizon,
    cold_users_of,
    items_of_users,
)
from metarec.data.dataset import Dataset
from metarec.data.events.times import MIN_EPOCH
from metarec.data.frames import id_order
from metarec.data.schema import BadInput


@dataclass(frozen=True, kw_only=True)
class TimeSplit:
    """A split at one moment: the training data have no event at or after `cut`."""

    train: Dataset
    """Every event before the cut."""
    later: Dataset
    """Every event at the cut or after, of known and new users, on known and new items."""
    cut: float
    """Moment of the cut, in seconds, as the timestamps."""
    cold_users: list[ColdUser]
    """Users first seen at the cut or after, with enough events to be evaluated."""
    horizon: Horizon
    left_out: int = 0
    """Users first seen then, with enough events, who like no item that could be asked about."""


def split_by_time(
    data: Dataset, *, at: float | None = None, share: float = 0.8, horizon: Horizon | None = None
) -> TimeSplit:
    """Split all events at one moment, at which a service could have been trained.

    Args:
        at: the moment, in seconds; None takes the earliest that leaves at least `share` of the
            events before it, so that events of one moment are never on both sides.
        share: share of the events before the cut, in (0, 1); used where `at` is None.
        horizon: how the new users are evaluated; None chooses it from all users' numbers of events.

    Raises:
        BadInput: if events have no common clock, or one side of the cut would be empty.
    """
    events = data.interactions.frame
    times: Any = events["timestamp"]  # Polars types median(), min() and max() as any literal
    if not data.interactions.has_time or float(times.median()) < MIN_EPOCH:
        raise BadInput(
            f"{data.name} has no clock common to all users, so it cannot be cut at a moment; "
            f"split by new users instead"
        )
    cut = _moment(times, share) if at is None else at
    before = pl.col("timestamp") < cut
    train, later = events.filter(before), events.filter(~before)
    if not train.height or not later.height:
        raise BadInput(
            f"a cut at {cut:.0f} leaves {train.height:,} events before and {later.height:,} after "
            f"it; the times run from {times.min():.0f} to {times.max():.0f}"
        )
    counts = items_of_users(data.interactions)
    horizon = horizon or choose_horizon(counts["len"].to_numpy())
    training_users = train.select("user_id").unique()
    enough = (
        counts.join(training_users, on="user_id", how="anti")
        .filter(pl.col("len") >= horizon.min_events)
        .sort(id_order("user_id"))["user_id"]
    )
    users = cold_users_of(data, enough, train.select("item_id").unique(), horizon)
    return TimeSplit(
        train=data.with_interactions(train),
        later=data.with_interactions(later),
        cut=cut,
        horizon=horizon,
        cold_users=users,
        left_out=len(enough) - len(users),
    )


def _moment(times: pl.Series, share: float) -> float:
    if not 0 < share < 1:
        raise BadInput(f"share must lie in (0, 1), got {share}")
    ordered = times.sort()
    cut = float(ordered[min(int(share * len(ordered)), len(ordered) - 1)])
    if cut == ordered[0]:  # nothing lies before the first moment: take the next one
        later = ordered.filter(ordered > cut)
        cut = float(later[0]) if len(later) else cut
    return cut


def split_folds(
    data: Dataset,
    *,
    folds: int = 5,
    rng: np.random.Generator,
    validation: float = 0.1,
    horizon: Horizon | None = None,
) -> list[ColdUserSplit]:
    """Cross-validation over users: each user with enough events is a test user in exactly one
    fold.

    Args:
        validation: validation users of each fold, as a share of the eligible users.
        rng: draws the folds.

    Raises:
        BadInput: if there are fewer eligible users than folds, or `folds` is less than 2.
    """
    if folds < 2:
        raise BadInput(f"folds must be 2 or more, got {folds}")
    events, counts = data.interactions.frame, items_of_users(data.interactions)
    horizon = horizon or choose_horizon(counts["len"].to_numpy())
    eligible = (
        counts.filter(pl.col("len") >= horizon.min_events)
        .sort(id_order("user_id"))["user_id"]
        .to_numpy()
    )
    if len(eligible) < folds:
        raise BadInput(
            f"{len(eligible)} users of {data.name} have the {horizon.min_events} events needed to "
            f"be evaluated, "
            f"fewer than {folds} folds"
        )
    parts = np.array_split(eligible[rng.permutation(len(eligible))], folds)
    n_validation = int(validation * len(eligible))
    return [
        _fold(
            data,
            events,
            test,
            np.concatenate([*parts[n + 1 :], *parts[:n]])[:n_validation],
            horizon,
        )
        for n, test in enumerate(parts)
    ]


def _fold(
    data: Dataset, events: pl.DataFrame, test: np.ndarray, validation: np.ndarray, horizon: Horizon
) -> ColdUserSplit:
    held_out = pl.Series("user_id", np.concatenate([test, validation]), dtype=pl.Utf8)
    is_new = pl.col("user_id").is_in(held_out.implode())
    train = events.filter(~is_new)
    catalog = train.select("item_id").unique()
    parts = {"test": test, "validation": validation}
    users_of = {part: cold_users_of(data, ids, catalog, horizon) for part, ids in parts.items()}
    return ColdUserSplit(
        train=data.with_interactions(train),
        horizon=horizon,
        left_out=len(held_out) - sum(map(len, users_of.values())),
        left_out_of_test=len(test) - len(users_of["test"]),
        **users_of,
    )
