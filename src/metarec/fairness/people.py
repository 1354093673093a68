"""Whom to audit a fitted model on: people it never learned from, with the events they are judged
on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from metarec.data.newcomers import Horizon, choose_horizon, items_of_users, newcomers_of
from metarec.data.schema import BadInput, Dataset, id_order
from metarec.evaluation.measure import Trial

SEEN = (
    "the model may have learned from these people, which makes it look better than it is for "
    "newcomers; "
    "audit on people it never met"
)


def unseen_people(data: Dataset, trained_on: pl.DataFrame) -> list[str]:
    """Ids of the people of `data` who are not in the events `trained_on`."""
    return (
        data.interactions.frame.select("user_id")
        .unique()
        .join(trained_on.select("user_id").unique(), on="user_id", how="anti")
        .sort(id_order("user_id"))["user_id"]
        .to_list()
    )


def trial_on(
    data: Dataset,
    people: Sequence[str] | None = None,
    *,
    most: int = 2000,
    rng: np.random.Generator,
) -> tuple[Trial, Horizon, list[str]]:
    """Make newcomers of people of `data`.

    Args:
        people: ids of those whom the model did not learn from; None takes everyone, with a caution.
        most: at most this many people, drawn by `rng`.

    Returns:
        The trial, the horizon it was cut at, and cautions in plain sentences.

    Raises:
        BadInput: if none of them has enough events to be judged, or none liked anything after the
            first ones.
    """
    events, counts = data.interactions.frame, items_of_users(data.interactions)
    horizon = choose_horizon(counts["len"].to_numpy())
    asked = counts if people is None else counts.filter(_is_one_of(people))
    able = (
        asked.filter(pl.col("len") >= horizon.min_events)
        .sort(id_order("user_id"))["user_id"]
        .to_numpy()
    )
    if not len(able):
        raise BadInput(
            f"none of the {asked.height} people asked about has the {horizon.min_events} events "
            f"needed to be judged; "
            "give more events of theirs"
        )
    chosen = able if len(able) <= most else rng.permutation(able)[:most]
    others = events if people is None else events.filter(~_is_one_of(people))
    if (
        not others.height
    ):  # data that hold nobody else: what they did is all that is known of the catalog
        others = events
    found = newcomers_of(
        data,
        chosen,
        others.select("item_id").unique(),
        horizon,
    )
    if not found:
        raise BadInput(
            f"none of the {len(chosen)} people judged liked anything after their first "
            f"{horizon.pool} events"
        )
    return (
        Trial.of(found, data.with_interactions(others)),
        horizon,
        [SEEN] if people is None else [],
    )


def _is_one_of(people: Sequence[str]) -> pl.Expr:
    return pl.col("user_id").is_in(pl.Series("user_id", list(people), dtype=pl.Utf8).implode())
