"""Data of users beside their events on items: friends, and search queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from metarec.data.cells.dates import as_seconds
from metarec.data.cells.parsing import as_numbers
from metarec.data.errors import BadInput

FRIEND_SCHEMA = {"user_id": pl.Utf8, "friend_id": pl.Utf8, "weight": pl.Float32}
SEARCH_SCHEMA = {"user_id": pl.Utf8, "query": pl.Utf8, "timestamp": pl.Float64}
MAX_SEARCHES, SPENT_AFTER = 5, 5
"""Largest number of a user's newest searches that a request holds, and largest number of later
events after which a search is dropped; the same for training users and stored ones.
"""


@dataclass(frozen=True, kw_only=True)
class Relations:
    """Friends and searches of users; either may be empty."""

    friends: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FRIEND_SCHEMA))
    """`user_id, friend_id, weight` (1 where none is stated): every edge in both directions."""
    searches: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=SEARCH_SCHEMA))
    """`user_id, query, timestamp` (seconds; null where unknown), by user and time."""

    @classmethod
    def of(
        cls, friends: pl.DataFrame | None = None, searches: pl.DataFrame | None = None
    ) -> Relations:
        """Check and complete the tables.

        Raises:
            BadInput: if a column is missing or cannot be read.
        """
        return cls(
            friends=_edges(pl.DataFrame(schema=FRIEND_SCHEMA) if friends is None else friends),
            searches=_queries(pl.DataFrame(schema=SEARCH_SCHEMA) if searches is None else searches),
        )

    def then(self, other: Relations) -> Relations:
        """Return the friends and searches of both."""
        return Relations.of(
            pl.concat([self.friends, other.friends]), pl.concat([self.searches, other.searches])
        )


def active_searches(
    searches: Sequence[tuple[str, float]], acts: Sequence[float] | np.ndarray, last: int
) -> list[str]:
    """Return the newest of a user's searches that fewer than `last` acts followed, oldest first.

    Args:
        searches: queries and their times (NaN where unknown: nothing followed), oldest first.
        acts: times of the positive events, ascending, NaN last; a user looks on by acting, not by
            being shown something.
        last: number of later acts after which a search is left out (1 or more).
    """
    if not searches:
        return []
    times = np.asarray(acts, np.float64)
    followed = len(times) - np.searchsorted(times, np.array([at for _, at in searches]))
    kept = [query for (query, _), n in zip(searches, followed, strict=True) if n < last]
    return kept[-MAX_SEARCHES:]


def _edges(frame: pl.DataFrame) -> pl.DataFrame:
    """Return each edge in both directions, with the largest weight stated for it; edges of a user
    to themselves and those of weight 0 are dropped.
    """
    _need(frame, ("user_id", "friend_id"), "friends")
    stated = as_numbers(frame["weight"]) if "weight" in frame.columns else None
    table = frame.select(pl.col("user_id", "friend_id").cast(pl.Utf8)).with_columns(
        pl.lit(1.0, pl.Float32).alias("weight")
        if stated is None
        else stated.cast(pl.Float32).fill_null(1.0).alias("weight")
    )
    odd = table.filter(~(pl.col("weight") >= 0) | pl.col("weight").is_infinite())
    if odd.height:
        raise BadInput(
            f"friends: the weight of an edge must be a number from 0, got {odd['weight'][0]} for "
            f"{odd['user_id'][0]!r} and {odd['friend_id'][0]!r}; leave such edges out"
        )
    back = table.select(
        pl.col("friend_id").alias("user_id"), pl.col("user_id").alias("friend_id"), "weight"
    )
    both = pl.concat([table, back]).drop_nulls().filter(pl.col("user_id") != pl.col("friend_id"))
    return (
        both.filter(pl.col("weight") > 0)
        .group_by("user_id", "friend_id")
        .agg(pl.col("weight").max())
        .sort("user_id", "friend_id")
    )


def _queries(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the queries that are not empty, sorted by user, time and query."""
    _need(frame, ("user_id", "query"), "searches")
    time = (
        as_seconds(frame["timestamp"])
        if "timestamp" in frame.columns
        else pl.Series("timestamp", [None] * frame.height, dtype=pl.Float64)
    )
    table = frame.select(
        pl.col("user_id").cast(pl.Utf8), pl.col("query").cast(pl.Utf8).str.strip_chars()
    ).with_columns(time.cast(pl.Float64).alias("timestamp"))
    kept = table.drop_nulls(["user_id", "query"]).filter(pl.col("query") != "")
    return kept.sort("user_id", "timestamp", "query", nulls_last=False)


def _need(frame: pl.DataFrame, columns: tuple[str, ...], what: str) -> None:
    for column in columns:
        if column not in frame.columns:
            raise BadInput(
                f"{what} have no column {column!r} (columns: {', '.join(frame.columns)}); rename "
                "one or map it in a TOML file"
            )
