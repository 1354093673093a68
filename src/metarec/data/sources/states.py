"""Columns of yes and no that say a state which ends: `enrolled` is 1 in May and 0 in June."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from metarec.data.dates import as_seconds
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds

MIN_HELD, MIN_BEGUN = 0.5, 0.9
"""Share of rows after a yes of the same user and item that say yes too, and of such pairs of
several rows that begin with a yes: from there on a column says a state, not what was done in a
moment.
"""


def with_ends(
    frame: pl.DataFrame, kind: pl.Series, flags: Mapping[str, pl.Series], kinds: Kinds, place: str
) -> tuple[pl.Series, list[Finding]]:
    """The kind of each row, where a no after a yes of the same user and item ends what that began
    (`unsubscribe`), and what to say.
    """
    found = list[Finding]()
    times = _times(frame)
    if times is None:
        return kind, found
    keys = frame.select("user_id", "item_id").with_columns(times.alias("time")).with_row_index()
    for name, truth in flags.items():
        end = f"un{name}"
        if not kinds.known(end) or kinds.of(end).sign not in ("negative", "undo"):
            continue
        rows = keys.with_columns(truth.alias("said")).drop_nulls().sort("time", "index")
        rows = rows.with_columns(was=pl.col("said").shift(1).over("user_id", "item_id"))
        pairs = rows.group_by("user_id", "item_id").agg(pl.col("said").first(), pl.len())
        begun = pairs.filter(pl.col("len") > 1)["said"].to_list()
        after = rows.filter("was")
        ended = after.filter(~pl.col("said"))["index"]
        is_state = sum(begun) >= MIN_BEGUN * len(begun)
        if not len(ended) or not is_state or len(ended) > (1 - MIN_HELD) * after.height:
            continue
        is_end = pl.Series(range(frame.height)).is_in(ended.implode())
        kind = pl.Series("kind", [end]).zip_with(is_end, kind)
        why = (
            f"{truth.name!r} of {place} is a state: a no after a yes of the same user and item was "
            f"read as {end!r}"
        )
        found.append(Finding(rule="kinds", rows=len(ended), action="noted", why=why))
    return kind, found


def _times(frame: pl.DataFrame) -> pl.Series | None:
    if "timestamp" not in frame.columns:
        return None
    times = as_seconds(frame["timestamp"])
    return None if times.null_count() > frame["timestamp"].null_count() else times
