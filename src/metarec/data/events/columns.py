"""Complete the columns of events: a time for each event, values that are ratings or amounts, and
sign and strength of each kind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from metarec.data.cells.dates import as_seconds
from metarec.data.cells.parsing import as_numbers
from metarec.data.errors import BadInput
from metarec.data.frames import id_order
from metarec.data.kinds import Kinds

EARLIEST_MOMENT = 315_532_800
"""1980 in seconds since 1970: a time of an event before it is a position, and a numeric user
attribute whose values are all at least this is taken for a moment in time.
"""
BELOW_MILLISECOND = 4e-4
"""Seconds that do not change a time rounded to milliseconds, by which copies are known."""
MIN_TIMED = 0.1
"""Minimum share of events with a time for times to order the events."""


def kind_table(
    names: Sequence[str], kinds: Kinds, target_kinds: frozenset[str], has_values: bool
) -> pl.DataFrame:
    """Return one row per kind: sign, strength, and whether it is target, undo or rating."""
    kinds_of = [kinds.of(name) for name in names]
    return pl.DataFrame(
        {
            "kind": names,
            "sign": [{"positive": 1, "negative": -1}.get(k.sign, 0) for k in kinds_of],
            "strength": [k.strength for k in kinds_of],
            "is_target": [kinds.key(name) in target_kinds for name in names],
            "is_undo": [k.sign == "undo" for k in kinds_of],
            "is_rating": [has_values and kinds.is_rating(name) for name in names],
        },
        schema={
            "kind": pl.Utf8,
            "sign": pl.Int8,
            "strength": pl.Float32,
            "is_target": pl.Boolean,
            "is_undo": pl.Boolean,
            "is_rating": pl.Boolean,
        },
    )


def targets(names: Iterable[str], kinds: Kinds, has_values: bool) -> frozenset[str]:
    """Return the target kinds among `names`; where there are none, and no ratings, every positive
    kind.
    """
    positive = {kinds.key(n): kinds.of(n) for n in names if kinds.of(n).sign == "positive"}
    targets = frozenset(n for n, kind in positive.items() if kind.target)
    return targets if targets or has_values else frozenset(positive)


def with_clock(table: pl.DataFrame) -> tuple[pl.DataFrame, bool, float | None]:
    """Give every event a `timestamp`: the given one, else the position (`seq_pos`), else a seeded
    random order; and return whether the times are given, and the first of them where some events
    have none. Events without a time, where others have one, come before all others in a random
    order. One time that all share is kept to the millisecond, with random digits below.

    Raises:
        BadInput: if a time is neither a number nor a date.
    """
    shared = None
    for clock in ("timestamp", "seq_pos"):
        if clock not in table.columns or table[clock].null_count() == table.height:
            continue
        column = as_seconds(table[clock]).fill_nan(None)
        if column.null_count() > table[clock].null_count() + _nans(table[clock]):
            odd = table[clock].filter(column.is_null() & table[clock].is_not_null())[0]
            raise BadInput(f"{clock} {odd!r} is neither seconds nor an ISO date")
        stated = column.filter(column.is_finite().fill_null(False))
        if stated.n_unique() > 1 and len(stated) >= MIN_TIMED * len(column):
            timed = _untimed_first(table.with_columns(column.alias("timestamp")), stated)
            # Polars types min() as any literal
            first = float(stated.min())  # type: ignore[arg-type]  # of numbers
            return timed, True, first if len(stated) < table.height else None
        if clock == "timestamp" and stated.n_unique() == 1 and len(stated) == table.height:
            shared = stated[0] if stated[0] >= EARLIEST_MOMENT else None
    table = table.with_columns(pl.col("user_id", "item_id").cast(pl.Utf8)).sort(
        *id_order("user_id"), *id_order("item_id")
    )
    order = np.random.default_rng(0).permutation(table.height).astype(np.float64)
    if shared is not None:
        order = shared + order * (BELOW_MILLISECOND / table.height)
    return table.with_columns(pl.Series("timestamp", order)), False, None


def _nans(column: pl.Series) -> int:
    return int(column.is_nan().sum()) if column.dtype.is_float() else 0


def _untimed_first(table: pl.DataFrame, stated: pl.Series) -> pl.DataFrame:
    """Set missing times to random ones in the second before the first of the `stated` times."""
    if len(stated) == table.height:
        return table
    table = table.with_columns(pl.col("user_id", "item_id").cast(pl.Utf8)).sort(
        *id_order("user_id"), *id_order("item_id"), maintain_order=True
    )
    first = float(stated.min())  # type: ignore[arg-type]  # of numbers, typed as any literal
    drawn = pl.Series(first - np.random.default_rng(0).uniform(0.001, 1.0, table.height))
    is_timed = table["timestamp"].is_finite().fill_null(False)
    return table.with_columns(table["timestamp"].zip_with(is_timed, drawn))


def with_values(table: pl.DataFrame, kinds: Kinds) -> tuple[pl.DataFrame, bool]:
    """Return the events with values as numbers, and whether they are ratings: where events of
    rating kinds have values, not all equal and not just 1 and -1. Missing values stay null.

    Raises:
        BadInput: if a value is not a number.
    """
    if "value" not in table.columns or table["value"].null_count() == table.height:
        return table.with_columns(pl.lit(None, pl.Float32).alias("value")), False
    numbers = as_numbers(table["value"])
    if numbers.null_count() > table["value"].null_count():
        odd = table["value"].filter(numbers.is_null() & table["value"].is_not_null())[0]
        raise BadInput(f"value {odd!r} is not a number; map the right column to `value`")
    table = table.with_columns(numbers.cast(pl.Float32).alias("value"))
    rated = [name for name in table["kind"].unique().to_list() if kinds.is_rating(name)]
    ratings = table.filter(pl.col("kind").is_in(rated))["value"].drop_nulls()
    if len(ratings) and ratings.min() != ratings.max() and not _are_thumbs(ratings):
        return table, True
    return table.with_columns(_amounts()), False


def _are_thumbs(ratings: pl.Series) -> bool:
    """Whether the values are exactly 1 and -1: thumbs up and down, not ratings on a scale."""
    return set(ratings.unique().to_list()) == {-1.0, 1.0}


def _amounts() -> pl.Expr:
    """Amounts of implicit events; null for kinds whose values are all 0 (views in a column of sums
    paid).
    """
    high, low = (f("value").over("kind") for f in (pl.max, pl.min))
    return (
        pl.when(~((high == 0) & (low == 0)).fill_null(False)).then(pl.col("value")).alias("value")
    )
