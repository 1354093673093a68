"""Detection of bots: users whose events are too fast, too evenly spaced or without a pause for
sleep. The default limits lie far beyond the behavior of humans in public data sets.

The fastest hour of a user is 596 events in ml-100k, 566 in ml-latest-small and 161 in the
Complete Journey groceries; the most even user's gaps between events vary by 46% of their mean
there.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from metarec.data.cleaning.rules import Coded, RuleResult
from metarec.data.cleaning_config import CleaningConfig

EVEN = 0.1
"""Coefficient of variation of the gaps between events below which a user is a bot."""


def bots(events: Coded, config: CleaningConfig) -> Iterator[RuleResult]:
    """Yield all events of users whose times cannot be a human's, one result for each criterion."""
    if events.grain > 3600:
        return
    slim = events.frame.select("user", "time")
    if config.bot_events_per_hour:
        yield _by_users(
            events,
            _fast(slim, config.bot_events_per_hour),
            f"a user with more than {config.bot_events_per_hour:,} events in one hour",
        )
    if config.clockwork_events and events.grain == 1:
        yield _by_users(
            events,
            _even(slim, config.clockwork_events),
            f"a user whose {config.clockwork_events:,} or more events are evenly spaced",
        )
    if config.sleepless_hours:
        yield _by_users(
            events,
            _sleepless(slim, config.sleepless_hours),
            f"a user active in {config.sleepless_hours} hours on end",
        )


def _by_users(events: Coded, users: pl.Series, what: str) -> RuleResult:
    return RuleResult(events.rows(events.frame["user"].is_in(users.implode())), f"{what} is a bot")


def _fast(events: pl.DataFrame, max_events: int) -> pl.Series:
    """Return users with more than `max_events` events in some window of 3,600 seconds: the event
    so many places after event n follows it within the hour.
    """
    window = pl.col("time") - pl.col("time").shift(max_events)
    same = pl.col("user") == pl.col("user").shift(max_events)
    return events.filter((same & (window < 3600)).fill_null(False))["user"].unique()


def _even(events: pl.DataFrame, least: int) -> pl.Series:
    gaps = events.select(
        "user",
        (pl.col("time") - pl.col("time").shift()).alias("gap"),
        (pl.col("user") == pl.col("user").shift()).alias("same"),
    ).filter(pl.col("same") & (pl.col("gap") > 0))
    even = gaps.group_by("user").agg(
        pl.len().alias("n"), (pl.col("gap").std() / pl.col("gap").mean()).alias("spread")
    )
    return even.filter((pl.col("n") >= least) & (pl.col("spread") < EVEN))["user"]


def _sleepless(events: pl.DataFrame, hours: int) -> pl.Series:
    """Return users with events in `hours` consecutive hours: among their distinct hours, number
    n + hours - 1 is exactly hours - 1 later than number n.
    """
    distinct = events.select("user", (pl.col("time") // 3600).alias("hour")).filter(
        (
            (pl.col("user") != pl.col("user").shift()) | (pl.col("hour") != pl.col("hour").shift())
        ).fill_null(True)
    )
    span = hours - 1
    run = (pl.col("user") == pl.col("user").shift(span)) & (
        pl.col("hour") - pl.col("hour").shift(span) == span
    )
    return distinct.filter(run.fill_null(False))["user"].unique()
