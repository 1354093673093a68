"""Outcomes of the users of an experiment, counted in small batches by whichever process comes
first.

The writer marks users with a new slate or answer (`exposures.py`), and only these are counted again
here. A user is counted until their window closes, by the times of slates and events, then never
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import sqlalchemy as sa

from metarec.feedback.experiments.experiment import Experiment
from metarec.feedback.outcomes import ValueScale, answered_slates, join_outcomes
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store
from metarec.feedback.store.rows import SLATE_COLUMNS, SLATE_SCHEMA, slates_of_rows

AT_ONCE = 300
"""Users counted in one transaction; bounds how long writes of events wait."""
_EVENT_SCHEMA = {
    "user_id": pl.Utf8,
    "item_id": pl.Utf8,
    "timestamp": pl.Float64,
    "kind": pl.Utf8,
    "value": pl.Float64,
    "slate_id": pl.Utf8,
}
_COUNTER_LOCK = 7271333
"""Number of PostgreSQL's advisory lock for counting."""


def count_users(store: Store, experiment: Experiment, scale: ValueScale, now: float) -> int:
    """Count the outcomes of some users, as of `now` (seconds since 1970), and return their number;
    call again until it is 0.

    Raises:
        StoreUnavailable: if the store cannot write now.
    """
    rows = tables.exposures.c
    waits = (rows.experiment == experiment.name) & (rows.is_closed == 0)
    waits &= (rows.to_count == 1) | (rows.closes_at <= now)
    with store.reading() as connection:  # skip the writer's queue if no user is to be counted
        if connection.execute(sa.select(rows.user_id).where(waits).limit(1)).first() is None:
            return 0

    def count(connection: sa.Connection) -> int:
        if not _is_mine(connection):
            return 0
        chosen = sa.select(rows.user_id, rows.closes_at).where(waits).order_by(rows.user_id)
        rows_to_close = connection.execute(chosen.limit(AT_ONCE).with_for_update(skip_locked=True))
        closes = {user: float(at) for user, at in rows_to_close}
        done = _counted(connection, experiment.name, closes, scale)
        changes = [
            {"user": user, "closed": int(at <= now), **_NOTHING, **done.get(user, {})}
            for user, at in closes.items()
        ]
        if changes:
            connection.execute(_COUNTED, [{**one, "name": experiment.name} for one in changes])
        return len(changes)

    counted: int = store.call(count).result()
    return counted


_NOTHING = {"slates": 0, "clicks": 0, "conversions": 0, "reward": 0.0, "refusals": 0}
_COUNTED = sa.text(
    "UPDATE exposures SET slates = :slates, clicks = :clicks, conversions = :conversions, "
    "reward = :reward, refusals = :refusals, to_count = 0, is_closed = :closed "
    "WHERE user_id = :user AND experiment = :name"
)


def _is_mine(connection: sa.Connection) -> bool:
    """Return whether this process may count: no other one holds the lock. SQLite has one writer at
    a time anyway.
    """
    if connection.dialect.name != "postgresql":
        return True
    query = sa.text("SELECT pg_try_advisory_xact_lock(:number)")
    return bool(connection.execute(query, {"number": _COUNTER_LOCK}).scalar())


def _counted(
    connection: sa.Connection, name: str, closes: Mapping[str, float], scale: ValueScale
) -> dict[str, dict[str, Any]]:
    """Return user -> outcomes of the user's slates of the experiment before the window closed."""
    slates, events = tables.slates.c, tables.events.c
    users = list(closes)
    of_users = sa.select(*SLATE_COLUMNS).where(slates.user_id.in_(users), slates.experiment == name)
    answers = (
        sa.select(*(events[column] for column in _EVENT_SCHEMA))
        .where(events.user_id.in_(users), events.slate_id.is_not(None))
        .order_by(events.sequence)
    )
    until = pl.DataFrame(
        {"user_id": users, "closes_at": list(closes.values())},
        schema={"user_id": pl.Utf8, "closes_at": pl.Float64},
    )
    is_in_time = pl.col("timestamp") <= pl.col("closes_at")
    its_slates, its_events = (
        _frame(connection, query, schema).join(until, on="user_id").filter(is_in_time)
        for query, schema in ((of_users, SLATE_SCHEMA), (answers, _EVENT_SCHEMA))
    )
    return _by_user(slates_of_rows(its_slates.drop("closes_at")), its_events, scale)


def _frame(
    connection: sa.Connection, query: sa.Select[Any], schema: Mapping[str, Any]
) -> pl.DataFrame:
    rows = [tuple(row) for row in connection.execute(query)]
    return pl.DataFrame(rows, schema=dict(schema), orient="row")


def _by_user(
    slates: pl.DataFrame, events: pl.DataFrame, scale: ValueScale
) -> dict[str, dict[str, Any]]:
    """Return user -> number of slates, slates with a positive answer (clicks), with an item taken
    by a target kind (conversions) and with a negative answer (refusals), and items taken (reward).
    An event on an item that the slate did not show, or by another user, is no answer.
    """
    events = events.drop("closes_at").join(
        slates.select("slate_id", "user_id"), on=["slate_id", "user_id"], how="semi"
    )
    outcomes = join_outcomes(slates, events, scale)
    taken = outcomes.group_by("slate_id").agg(pl.col("outcome").sum().alias("taken"))
    on_shown = events.join(outcomes, on=["slate_id", "item_id"], how="semi")
    answered = answered_slates(on_shown, scale)
    joined = slates.select("slate_id", "user_id").join(taken, on="slate_id", how="left")
    by_user = (
        joined.join(answered, on="slate_id", how="left")
        .group_by("user_id")
        .agg(
            pl.len().alias("slates"),
            pl.col("clicked").sum().alias("clicks"),
            (pl.col("taken") > 0).sum().alias("conversions"),
            pl.col("taken").sum().alias("reward"),
            pl.col("refused").sum().alias("refusals"),
        )
    )
    return {row.pop("user_id"): row for row in by_user.iter_rows(named=True)}
