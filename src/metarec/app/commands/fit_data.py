"""The data that `metarec fit` fits on: without the users held out, and with a mitigation of
bias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from metarec.data.dataset import Dataset


def with_mitigation(
    data: Dataset, name: str | None, by: str | None, seed: int
) -> tuple[Dataset, Any, str | None]:
    """Return the data to fit on, weights of users, and a sentence on what was done.

    Raises:
        BadInput: if the mitigation cannot be done.
    """
    from metarec.fairness.mitigation.training import mitigated
    from metarec.runtime.rng import derive

    if name is None:
        return data, None, None
    mitigation = mitigated(data, name, by, derive(seed, "mend"))
    return mitigation.data, mitigation.weights, mitigation.summary


def held_out_left_out(data: Dataset, share: float, seed: int) -> Dataset:
    """Return the data without a random share of its users, on whom the model can be audited."""
    import polars as pl

    from metarec.data.frames import id_order
    from metarec.runtime.rng import derive

    if not share:
        return data
    events = data.interactions.frame
    users = events.select("user_id").unique().sort(id_order("user_id"))["user_id"]
    kept_out = users.gather(
        derive(seed, "hold out").permutation(len(users))[: int(share * len(users))]
    )
    return data.with_interactions(events.filter(~pl.col("user_id").is_in(kept_out.implode())))
