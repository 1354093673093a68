"""Whom to audit a fitted model on: people it never learned from, with the events they are judged on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from metarec.data.newcomers import Horizon, choose_horizon, newcomers_of
from metarec.data.schema import BadInput, Dataset, id_order
from metarec.evaluation.measure import Trial

SEEN = ("the model may have learned from these people, which makes it look better than it is for newcomers; "
        "audit on people it never met")


def trial_on(data: Dataset, *, held_out: Sequence[str] = (), most: int = 2000,
             rng: np.random.Generator) -> tuple[Trial, Horizon, list[str]]:
    """Make newcomers of the people of `data` a model was not fitted on.

    Args:
        held_out: ids of people the model did not learn from; all of `data`'s where none of them is known here, with a caution.
        most: at most this many people, drawn by `rng`.

    Returns:
        The trial, the horizon it was cut at, and cautions in plain sentences.

    Raises:
        BadInput: if nobody has enough events to be judged, or nobody liked anything after the first ones.
    """
    events = data.interactions.frame.unique(["user_id", "item_id"], keep="first", maintain_order=True)
    counts = events.group_by("user_id").len()
    horizon = choose_horizon(counts["len"].to_numpy())
    known = pl.Series("user_id", list(held_out), dtype=pl.Utf8)
    unseen = counts.filter(pl.col("user_id").is_in(known.implode()))
    cautions = [] if unseen.height else [SEEN]
    able = (unseen if unseen.height else counts).filter(pl.col("len") >= horizon.min_events).sort(id_order("user_id"))["user_id"].to_numpy()
    if not len(able):
        raise BadInput(f"no person of the data has the {horizon.min_events} events needed to be judged; give more events")
    chosen = able if len(able) <= most else rng.permutation(able)[:most]
    is_judged = pl.col("user_id").is_in(pl.Series("user_id", chosen, dtype=pl.Utf8).implode())
    others = events.filter(~is_judged) if unseen.height else events
    train = data.with_interactions(others)
    people = newcomers_of(data, events.filter(is_judged), chosen, others.select("item_id").unique(), horizon)
    if not people:
        raise BadInput(f"none of the {len(chosen)} people judged liked anything after their first {horizon.pool} events")
    return Trial.of(people, train), horizon, cautions
