"""Merging of user ids that belong to one user: an anonymous user who became a customer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from metarec.data.cells.parsing import id_text
from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.relations import Relations
from metarec.data.tables import Tables

COLUMN = "merged_into"
"""User column with the id that a user was merged into."""


def with_merged_users(tables: Tables) -> Tables:
    """Replace the id of each user with a `merged_into` by that id: in events, users, friends and
    searches.

    Raises:
        BadInput: if users were merged into each other.
    """
    if tables.users is None or COLUMN not in tables.users.columns:
        return tables
    stated = tables.users.select(
        pl.col("user_id").cast(pl.Utf8), id_text(tables.users[COLUMN]).alias(COLUMN)
    ).drop_nulls()
    became = _to_the_end({a: b for a, b in stated.iter_rows() if b.strip() and a != b})
    left = tables.users.drop(COLUMN)
    if not became:
        return replace(tables, users=left)
    events = renamed(tables.interactions, became)
    changed = tables.interactions["user_id"].cast(pl.Utf8).is_in(list(became)).sum()
    why = f"{len(became):,} users became others, as {COLUMN} says; their events are the others' now"
    finding = Finding(rule=COLUMN, rows=int(changed), action="changed", why=why)
    return replace(
        tables,
        interactions=events,
        users=one_row_each(left, became),
        relations=related(tables.relations, became),
        findings=[*tables.findings, finding],
    )


def renamed(
    frame: pl.DataFrame, became: Mapping[str, str], column: str = "user_id"
) -> pl.DataFrame:
    """Replace merged ids in a column by the ids they were merged into (`became`: old -> new)."""
    return frame.with_columns(pl.col(column).cast(pl.Utf8).replace(dict(became)))


def one_row_each(users: pl.DataFrame, became: Mapping[str, str]) -> pl.DataFrame:
    """Return one row per user after merging; attributes of the merged ids fill missing ones."""
    is_old = pl.col("user_id").cast(pl.Utf8).is_in(list(became))
    both = pl.concat([users.filter(~is_old), users.filter(is_old)])
    return (
        renamed(both, became)
        .group_by("user_id", maintain_order=True)
        .agg(pl.all().drop_nulls().first())
    )


def related(relations: Relations, became: Mapping[str, str]) -> Relations:
    """Return friends and searches with merged ids replaced, without friends of oneself."""
    edges = renamed(renamed(relations.friends, became), became, "friend_id")
    return Relations.of(
        edges.filter(pl.col("user_id") != pl.col("friend_id")),
        renamed(relations.searches, became),
    )


def _to_the_end(became: Mapping[str, str]) -> dict[str, str]:
    """Resolve chains of merges: map each merged id to the id at the end of its chain."""
    final = {}
    for user in became:
        seen, now = {user}, became[user]
        while now in became:
            if now in seen:
                raise BadInput(
                    f"users {user!r} and {now!r} became each other by {COLUMN}; leave it empty for "
                    f"the one that stays"
                )
            seen.add(now)
            now = became[now]
        final[user] = now
    return final
