"""Circumstances, friends and searches of the store as training data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from metarec.data.relations import Relations
from metarec.data.schema import EVENT_COLUMNS
from metarec.feedback.forgotten_rows import edges_without_forgotten, without_forgotten
from metarec.feedback.store.event_store import Store

TRUTHS = {"true": True, "1": True, "false": False, "0": False}
"""Text of a value, in lower case -> what it is in a column of truth values."""
MAX_COLUMNS = 50
"""Largest number of context columns that the old data do not have; the most frequent ones are
kept.
"""


def known_relations(store: Store, old: Relations) -> Relations:
    """Return the friends and searches of the old data and of the store, without those of forgotten
    users.

    A user's friends in the store replace those in the old data.
    """
    stored = store.friends()
    before = edges_without_forgotten(store, old.friends)
    said = stored["user_id"].unique().to_list()
    kept = before.filter(~pl.col("user_id").is_in(said) & ~pl.col("friend_id").is_in(said))
    return Relations(friends=kept, searches=without_forgotten(store, old.searches)).then(
        Relations.of(friends=stored if stored.height else None, searches=store.searches())
    )


def with_circumstances(
    events: pl.DataFrame, contexts: pl.DataFrame, before: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """Return stored events with a column for each circumstance. Its type is that of the old data; a
    new column is numeric where all values are numbers, else text. Lists and objects are left out,
    and a value that the type cannot represent becomes null.

    Args:
        events: events as `Store.as_frame()` returns them.
        contexts: `sequence` of an event and its `context` (JSON).
        before: columns of the old events and their types.
    """
    rows = events.select("sequence", *EVENT_COLUMNS)
    told: dict[int, dict[str, Any]] = {
        sequence: json.loads(text) for sequence, text in contexts.iter_rows()
    }
    counts: dict[str, int] = {}
    for context in told.values():
        for name, value in context.items():
            if name not in (*EVENT_COLUMNS, "sequence") and _is_plain(value):
                counts[name] = counts.get(name, 0) + 1
    fresh = sorted((n for n in counts if n not in before), key=lambda n: (-counts[n], n))
    names = [*(n for n in counts if n in before), *fresh[:MAX_COLUMNS]]
    order = rows["sequence"].to_list()
    columns = [
        _column(name, [told.get(sequence, {}).get(name) for sequence in order], before.get(name))
        for name in names
    ]
    return rows.with_columns(columns).drop("sequence")


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str)


def _column(name: str, values: list[Any], dtype: pl.DataType | None) -> pl.Series:
    plain = [value if _is_plain(value) else None for value in values]
    if dtype is None:
        dtype = (
            pl.Float64()
            if all(
                v is None or (isinstance(v, int | float) and not isinstance(v, bool)) for v in plain
            )
            else pl.Utf8()
        )
    if dtype.is_numeric():
        return pl.Series(name, [_number(value) for value in plain], pl.Float64).cast(
            dtype, strict=False
        )
    return _from_texts(pl.Series(name, [_text(value) for value in plain], pl.Utf8), dtype)


def _from_texts(texts: pl.Series, dtype: pl.DataType) -> pl.Series:
    """Read texts as a type that is not numeric; null where a text does not read as that type."""
    if dtype == pl.Boolean():
        return texts.str.to_lowercase().replace_strict(TRUTHS, default=None, return_dtype=dtype)
    if isinstance(dtype, pl.Date | pl.Datetime | pl.Time):
        return texts.str.strptime(dtype, strict=False)
    if dtype.is_nested() or dtype == pl.Duration:
        return pl.Series(texts.name, [None] * len(texts), dtype)
    return texts.cast(dtype, strict=False)


def _number(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except ValueError:
        return None


def _text(value: Any) -> str | None:
    if value is None:
        return None
    return ("true" if value else "false") if isinstance(value, bool) else str(value)
