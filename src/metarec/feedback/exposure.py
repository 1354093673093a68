"""How often each item was shown lately, and how often it was taken then."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from metarec.feedback.outcomes import ValueScale, join_outcomes
from metarec.feedback.store.event_store import Store

DAY = 86_400.0
DAYS = 14.0
"""How far back slates are counted."""
MAX_SLATES, MAX_EVENTS = 10_000, 20_000
"""The latest of each are counted, however many there were."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """What slates showed."""

    slates: int = 0
    """Slates counted."""
    since: float | None = None
    """Time of the oldest of them, seconds since 1970; None where there is none."""
    by_item: pl.DataFrame
    """`item_id`, `shown` (places held in these slates), `taken` (of these, taken as recommendations
    are meant to be).
    """


def measure_exposure(store: Store, scale: ValueScale, now: float) -> Exposure:
    """Count the places of the latest slates by item.

    Raises:
        StoreUnavailable: if the store does not answer.
    """
    slates = store.slates(since=now - DAYS * DAY, latest=MAX_SLATES)
    if not slates.height:
        return Exposure(by_item=_by_item(None))
    oldest = float(slates["timestamp"][0])
    events = store.as_frame(since=oldest, latest=MAX_EVENTS)
    shown = join_outcomes(slates, events, scale)
    return Exposure(slates=slates.height, since=oldest, by_item=_by_item(shown))


def _by_item(shown: pl.DataFrame | None) -> pl.DataFrame:
    if shown is None:
        return pl.DataFrame(schema={"item_id": pl.Utf8, "shown": pl.Int64, "taken": pl.Int64})
    return shown.group_by("item_id").agg(
        pl.len().cast(pl.Int64).alias("shown"),
        pl.col("outcome").sum().cast(pl.Int64).alias("taken"),
    )
