"""Users who turned out to be one: an anonymous user who became a customer."""

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
"""Column of the users that names whom a user became."""


def with_merged_users(tables: Tables) -> Tables:
    """The tables with everything of users whose row says `merged_into` given to whom they became.

    Raises:
        BadInput: if users became each other.
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
    found = Finding(rule=COLUMN, rows=int(changed), action="changed", why=why)
    return replace(
        tables,
        interactions=events,
        users=one_row_each(left, became),
        relations=related(tables.relations, became),
        findings=[*tables.findings, found],
    )


def renamed(
    frame: pl.DataFrame, became: Mapping[str, str], column: str = "user_id"
) -> pl.DataFrame:
    """Rows under the ids of whom their users became."""
    return frame.with_columns(pl.col(column).cast(pl.Utf8).replace(dict(became)))


def one_row_each(users: pl.DataFrame, became: Mapping[str, str]) -> pl.DataFrame:
    """Attributes of users; those of whom somebody was fill the gaps of whom they are."""
    is_old = pl.col("user_id").cast(pl.Utf8).is_in(list(became))
    both = pl.concat([users.filter(~is_old), users.filter(is_old)])
    return (
        renamed(both, became)
        .group_by("user_id", maintain_order=True)
        .agg(pl.all().drop_nulls().first())
    )


def related(relations: Relations, became: Mapping[str, str]) -> Relations:
    """Friends and searches under the ids of whom their users became."""
    edges = renamed(renamed(relations.friends, became), became, "friend_id")
    return Relations.of(
        edges.filter(pl.col("user_id") != pl.col("friend_id")),
        renamed(relations.searches, became),
    )


def _to_the_end(became: Mapping[str, str]) -> dict[str, str]:
    """Who each user is in the end, where whom they became has become another."""
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
