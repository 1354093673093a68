"""Findings on ratings that are no common scale: ratings of several sites in one column, and ranks
of which 1 is the best.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from metarec.data.cells.parsing import as_numbers, nothing
from metarec.data.findings import Finding, noted
from metarec.data.names.column_names import CANONICAL, plain

ENDS = (1.0, 5.0, 10.0, 20.0, 100.0)
"""Best ratings of common scales."""
MAX_GROUPS, MIN_ROWS, MIN_LEVELS = 12, 20, 3
"""Maximum number of groups, and minimum number of ratings and of distinct ratings of each."""
_RANKS = re.compile(
    r"^(my|user)?(rank|ranking|rang|rango|choicerank|preferencerank)$|^排名$|^名次$"
)
"""Pattern of names of columns of ranks, as `plain` returns them."""
MIN_RANKED = 0.95
"""Minimum share of rows whose rank no other row of the user has."""


def scale_findings(frame: pl.DataFrame, place: str, context: Sequence[str] = ()) -> list[Finding]:
    """Return findings on ratings of different scales, and on ranks.

    Args:
        context: names of context columns given by the user.
    """
    reserved = {*CANONICAL["interactions"], *context}
    free = [c for c in frame.columns if c not in reserved and not frame.schema[c].is_nested()]
    ranks = [c for c in free if _RANKS.search(plain(c))] if "value" not in frame.columns else []
    findings = [_of_ranks(c, place) for c in ranks if _are_ranks(frame, c)]
    if "value" not in frame.columns or frame.schema["value"].is_nested():
        return findings
    rated = frame.select("user_id", *free).with_columns(as_numbers(frame["value"]).alias("value"))
    groups = [c for c in free if frame.schema[c] in (pl.Utf8, pl.Categorical)]
    group = next((c for c in groups if _tops(rated, c) is not None), None)
    if group is None:
        return findings
    tops = _tops(rated, group) or []
    (low, first), (high, last) = tops[0], tops[-1]
    why = (
        f"ratings of {place} go up to {low:g} where {group!r} is {first!r} and to {high:g} where "
        f"it is {last!r}, and count as they are: the best of one scale is low on the other; write "
        f"them on one scale"
    )
    return [*findings, Finding(rule="scales", rows=rated.height, action="noted", why=why)]


def _tops(rated: pl.DataFrame, column: str) -> list[tuple[float, str]] | None:
    """Return the best rating of each group of a column, ascending, where they are the ends of
    scales and differ; None otherwise.
    """
    table = rated.select(nothing(rated[column].cast(pl.Utf8)).alias("group"), "value").drop_nulls()
    if not table.height or not 2 <= table["group"].n_unique() <= MAX_GROUPS:
        return None
    groups = table.group_by("group").agg(
        pl.len().alias("rows"), pl.col("value").n_unique().alias("levels"), pl.col("value").max()
    )
    groups = groups.filter(pl.col("rows") >= MIN_ROWS).sort("value", "group")
    tops = [(float(top), str(group)) for top, group in groups.select("value", "group").iter_rows()]
    is_scale = bool((groups["levels"] >= MIN_LEVELS).all()) and {t for t, _ in tops} <= {*ENDS}
    return tops if is_scale and len(tops) > 1 and tops[0][0] * 2 <= tops[-1][0] else None


def _are_ranks(frame: pl.DataFrame, column: str) -> bool:
    """Whether a column holds whole numbers from 1 that seldom repeat within a user."""
    numbers = as_numbers(frame[column])
    stated = numbers.drop_nulls()
    if not len(stated) or stated.min() != 1 or not (stated == stated.round()).all():
        return False
    pairs = pl.DataFrame({"user": frame["user_id"], "rank": numbers}).drop_nulls()
    is_several = pairs["user"].n_unique() < pairs.height / 2
    return is_several and pairs.n_unique() >= MIN_RANKED * pairs.height


def _of_ranks(column: str, place: str) -> Finding:
    why = (
        f"column {column!r} of {place} holds ranks of each user, 1 the best, and is kept as "
        f"context: the last counts as much as the first; to read them as ratings, write numbers "
        f"of which higher are better in a column rating"
    )
    return noted("columns", why)
