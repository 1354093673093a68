"""Circumstances, friends and searches of the store as training data."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from metarec.data.findings import Finding
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
    user_ids = stored["user_id"].unique().to_list()
    kept = before.filter(~pl.col("user_id").is_in(user_ids) & ~pl.col("friend_id").is_in(user_ids))
    return Relations(friends=kept, searches=without_forgotten(store, old.searches)).then(
        Relations.of(friends=stored if stored.height else None, searches=store.searches())
    )


def with_circumstances(
    events: pl.DataFrame, contexts: pl.DataFrame, before: Mapping[str, pl.DataType]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Return stored events with a column for each circumstance. Its type is that of the old data; a
    new column is numeric where all values are numbers, else text. Lists and objects, and values
    that the type cannot represent, become null, with a finding for each column; columns beyond
    `MAX_COLUMNS` are left out.

    Args:
        events: events as `Store.as_frame()` returns them.
        contexts: `sequence` of an event and its `context` (JSON).
        before: columns of the old events and their types.
    """
    rows = events.select("sequence", *EVENT_COLUMNS)
    circumstances: dict[int, dict[str, Any]] = {
        sequence: json.loads(text) for sequence, text in contexts.iter_rows()
    }
    counts: dict[str, int] = {}
    nested: dict[str, int] = {}
    for context in circumstances.values():
        for name, value in context.items():
            if name not in (*EVENT_COLUMNS, "sequence") and value is not None:
                some = counts if _is_plain(value) else nested
                some[name] = some.get(name, 0) + 1
    fresh = sorted((n for n in counts if n not in before), key=lambda n: (-counts[n], n))
    names = [*(n for n in counts if n in before), *fresh[:MAX_COLUMNS]]
    order = rows["sequence"].to_list()
    columns, findings = [], _left_out(nested, fresh[MAX_COLUMNS:], counts, before)
    for name in names:
        values = [circumstances.get(sequence, {}).get(name) for sequence in order]
        columns.append(_column(name, values, before.get(name)))
        findings += _unread(values, columns[-1])
    return rows.with_columns(columns).drop("sequence"), findings


def _left_out(
    nested: Mapping[str, int],
    beyond: Sequence[str],
    counts: Mapping[str, int],
    before: Collection[str],
) -> list[Finding]:
    """Return findings on circumstances without a column: those told by lists alone, and the least
    frequent of too many.
    """
    lists = [name for name in nested if name not in before and name not in counts]
    counted = [
        (nested[name], f"{name!r} of new events is a list, so it is not read") for name in lists
    ]
    if beyond:
        rows = sum(counts[name] for name in beyond)
        why = (
            f"new events have more than {MAX_COLUMNS} circumstances that the old data have not; "
            f"{len(beyond)} of them are not read"
        )
        counted.append((rows, why))
    return [Finding(rule="context", rows=n, action="changed", why=why) for n, why in counted]


def _unread(values: Sequence[Any], column: pl.Series) -> list[Finding]:
    """Return a finding where values that were sent are missing in the column."""
    pairs = zip(values, column.is_null(), strict=True)
    if not (lost := sum(is_missing and value is not None for value, is_missing in pairs)):
        return []
    # No example: the report is kept, and a value may be personal
    what = "numbers" if column.dtype.is_numeric() else f"of the type {column.dtype}"
    why = f"values of {column.name!r} in new events that are not {what} count as missing"
    return [Finding(rule="context", rows=lost, action="changed", why=why)]


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
        numbers = pl.Series(name, [_number(value) for value in plain], pl.Float64)
        typed = numbers.cast(dtype, strict=False)
        # 20.5 in a column of whole numbers would be 20, and 300 in one of bytes missing
        is_held = not dtype.is_integer() or typed.cast(pl.Float64).equals(numbers)
        return typed if is_held else numbers
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
