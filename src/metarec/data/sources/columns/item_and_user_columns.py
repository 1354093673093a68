"""Separate columns that describe items or users from a single table of events."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import polars as pl

from metarec.data.events.times import HOURS_FROM_UTC
from metarec.data.findings import Finding
from metarec.data.names.column_matching import AS_GIVEN
from metarec.data.names.column_names import CANONICAL

MIN_OWNERS, MIN_REPEATED = 3, 0.5
"""Minimum number of items (or users) with a stated cell, and minimum share of the events whose item
has several events: with fewer, a column cannot be seen to describe them.
"""
LOOKED_AT = 10_000
"""Number of first events that may show that a column does not describe them."""
_OWN = {*CANONICAL["interactions"], "seq_pos", HOURS_FROM_UTC} - {"latitude", "longitude"}


def belonging_to(events: pl.DataFrame, key: str, other: str) -> list[str]:
    """Return columns that describe items (`key` "item_id", `other` "user_id") or users (the other
    way round): the same at all events of one, but not the same for all. A column with a distinct
    cell per user, such as an address, is left.
    """
    free = free_columns(events)
    return [c for c in free if _is_of(events, key, c) and not _is_of(events, other, c)]


def free_columns(events: pl.DataFrame) -> list[str]:
    """Return the columns that are not those of an event itself."""
    free = [c for c in events.columns if c not in _OWN and not _is_deep(events.schema[c])]
    return [c for c in free if not c.endswith(AS_GIVEN)]


def _is_deep(dtype: pl.DataType) -> bool:
    """Whether cells hold more than a value or a list of text."""
    return dtype.is_nested() and not (isinstance(dtype, pl.List) and dtype.inner == pl.Utf8)


def _is_of(events: pl.DataFrame, key: str, column: str) -> bool:
    """Whether a column describes the items (or users) in `key`."""
    head = events.select(key, column).head(LOOKED_AT).drop_nulls()
    if head.n_unique() > head[key].n_unique():  # which tells most columns of a long table
        return False
    stated = events.select(key, column).drop_nulls()
    if not stated.height or stated[column].n_unique() < 2:
        return False
    owners = stated[key].n_unique()
    if owners < MIN_OWNERS or stated.n_unique() > owners:
        return False
    if key == "user_id" and stated[column].n_unique() == owners:
        return False
    several = stated.group_by(key).len().filter(pl.col("len") > 1)["len"].sum()
    return several >= MIN_REPEATED * stated.height


def is_of_one(events: pl.DataFrame, column: str) -> bool:
    """Whether a column describes users or items rather than events: the same at all events of each
    that has several, but not the same for all.
    """
    for key in ("user_id", "item_id"):
        stated = events.select(key, column).drop_nulls()
        several = stated.filter(pl.len().over(key) > 1)
        owners = several[key].n_unique()
        if several[column].n_unique() > 1 and MIN_OWNERS <= owners == several.n_unique():
            return True
    return False


def moved_to_table(
    events: pl.DataFrame,
    key: str,
    columns: Sequence[str],
    place: str,
    reported: Collection[str] = (),
) -> tuple[pl.DataFrame, pl.DataFrame, list[Finding]]:
    """Move columns of events to a table of items or users. Return events, that table and findings.

    Args:
        reported: columns on which there is another finding.
    """
    first = [pl.col(c).drop_nulls().first() for c in columns]
    side = events.group_by(key, maintain_order=True).agg(first)
    others = [c for c in columns if c not in reported]
    what, listed = "items" if key == "item_id" else "users", ", ".join(map(repr, others))
    why = (
        f"columns of {place} that say the same at every event of an item are read as columns of "
        f"items: {listed}"
        if what == "items"
        else f"columns of {place} that say the same at every event of a user are read as columns "
        f"of users: {listed}"
    )
    note = Finding(rule="columns", rows=0, action="noted", why=why, table=what)
    return events.drop(columns), side, [note] if others else []
