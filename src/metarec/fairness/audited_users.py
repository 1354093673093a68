"""Users to audit a fitted model on: users it was not fitted on, with their support and query
events.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from metarec.data.cold_users import Horizon, choose_horizon, cold_users_of, items_of_users
from metarec.data.dataset import Dataset
from metarec.data.frames import id_order
from metarec.data.schema import BadInput
from metarec.evaluation.measure import EvaluationSet

SEEN = (
    "the model may have learned from these users, which makes it look better than it is for "
    "new users; "
    "audit on users it never met"
)


def unseen_users(data: Dataset, trained_on: pl.DataFrame) -> list[str]:
    """Return the ids of the users of `data` who are not in the events `trained_on`."""
    return (
        data.interactions.frame.select("user_id")
        .unique()
        .join(trained_on.select("user_id").unique(), on="user_id", how="anti")
        .sort(id_order("user_id"))["user_id"]
        .to_list()
    )


def evaluation_set_of_users(
    data: Dataset,
    users: Sequence[str] | None = None,
    *,
    max_users: int = 2000,
    rng: np.random.Generator,
) -> tuple[EvaluationSet, Horizon, list[str]]:
    """Turn users of `data` into new users to evaluate.

    Args:
        users: ids of users that the model did not learn from; None takes all users, with a warning.
        max_users: maximum number of users, sampled by `rng`.

    Returns:
        The evaluation set, the horizon of its support and query, and warnings as sentences.

    Raises:
        BadInput: if none of them has enough events to be evaluated, or none liked anything after
            the first ones.
    """
    events, counts = data.interactions.frame, items_of_users(data.interactions)
    horizon = choose_horizon(counts["len"].to_numpy())
    selected = counts if users is None else counts.filter(_is_one_of(users))
    able = (
        selected.filter(pl.col("len") >= horizon.min_events)
        .sort(id_order("user_id"))["user_id"]
        .to_numpy()
    )
    if not len(able):
        raise BadInput(
            f"none of the {selected.height} users asked about has the {horizon.min_events} events "
            f"needed to be evaluated; "
            "give more events of theirs"
        )
    chosen = able if len(able) <= max_users else rng.permutation(able)[:max_users]
    others = events if users is None else events.filter(~_is_one_of(users))
    if not others.height:  # data without other users: these events alone tell the catalog
        others = events
    cold_users = cold_users_of(
        data,
        chosen,
        others.select("item_id").unique(),
        horizon,
    )
    if not cold_users:
        raise BadInput(
            f"none of the {len(chosen)} users evaluated liked anything after their first "
            f"{horizon.pool} events"
        )
    cautions = [SEEN] if users is None else []
    return EvaluationSet.of(cold_users, data.with_interactions(others)), horizon, cautions


def _is_one_of(users: Sequence[str]) -> pl.Expr:
    return pl.col("user_id").is_in(pl.Series("user_id", list(users), dtype=pl.Utf8).implode())
