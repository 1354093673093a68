"""Recent impressions of each item, and how often they were taken."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from metarec.feedback.outcomes import ValueScale, join_outcomes
from metarec.feedback.store.event_store import Store

DAY = 86_400.0
DAYS = 14.0
"""Days back for which slates are counted."""
MAX_SLATES, MAX_EVENTS = 10_000, 20_000
"""Maximum numbers of the latest slates and events that are counted."""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Impressions by item."""

    slates: int = 0
    """Slates counted."""
    since: float | None = None
    """Time of the oldest slate counted, seconds since 1970; None without slates."""
    by_item: pl.DataFrame
    """`item_id`, `shown` (places in these slates), `taken` (those of them taken by a target
    kind).
    """


def measure_exposure(store: Store, scale: ValueScale, now: float) -> Exposure:
    """Count the impressions of the latest slates by item.

    Raises:
        StoreUnavailable: if the store does not answer.
    """
    slates, answers = slates_with_answers(
        store, now - DAYS * DAY, max_slates=MAX_SLATES, max_events=MAX_EVENTS
    )
    if not slates.height:
        return Exposure(by_item=_by_item(None))
    oldest = float(slates["timestamp"][0])
    shown = join_outcomes(slates, answers, scale)
    return Exposure(slates=slates.height, since=oldest, by_item=_by_item(shown))


def slates_with_answers(
    store: Store, since: float, *, max_slates: int, max_events: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the latest slates since a time (seconds since 1970) and the events that answer them.

    Where there are more answers than `max_events`, slates older than the oldest answer read are
    left out: they would count as not taken.
    """
    slates = store.slates(since=since, latest=max_slates)
    if not slates.height:
        return slates, store.as_frame(since=since, latest=1).head(0)
    oldest = float(slates["timestamp"][0])
    answers = store.as_frame(since=oldest, latest=max_events, only_answers=True)
    if answers.height == max_events:
        # Polars types min() as any literal
        from_here = float(answers["timestamp"].min())  # type: ignore[arg-type]
        kept = slates.filter(pl.col("timestamp") >= from_here)
        slates = kept if kept.height else slates.tail(1)
    return slates, answers


def _by_item(shown: pl.DataFrame | None) -> pl.DataFrame:
    if shown is None:
        return pl.DataFrame(schema={"item_id": pl.Utf8, "shown": pl.Int64, "conversions": pl.Int64})
    return shown.group_by("item_id").agg(
        pl.len().cast(pl.Int64).alias("shown"),
        pl.col("outcome").sum().cast(pl.Int64).alias("conversions"),
    )
