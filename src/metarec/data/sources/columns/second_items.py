"""Events of a second sort of item, which a column of its own names: songs and episodes in one
history.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.findings import Finding
from metarec.data.names.column_names import CANONICAL, ITEM_NOUNS, plain

_ENDS = ("id", "uri", "url", "key", "code", "slug")
MIN_APART = 0.99
"""Minimum share of rows in which exactly one of the two columns is stated."""


def with_second_items(
    frame: pl.DataFrame, place: str, named: Mapping[str, str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Fill missing items from the only column of ids of items that is stated where the first is
    not. Return events and findings.

    Args:
        named: canonical name -> column in the file.
    """
    if "item_id" not in frame.columns or frame.schema["item_id"].is_nested():
        return frame, []
    items = nothing(frame["item_id"].cast(pl.Utf8, strict=False))
    blank = items.is_null()
    if not blank.any() or blank.all():
        return frame, []
    free = [c for c in frame.columns if c not in CANONICAL["interactions"] and _names_items(c)]
    free = [c for c in free if frame.schema[c] == pl.Utf8 or frame.schema[c].is_integer()]
    cells = {c: nothing(frame[c].cast(pl.Utf8)) for c in free}
    apart = {c: int((s.is_not_null() == blank).sum()) for c, s in cells.items()}
    candidates = [c for c in free if apart[c] >= MIN_APART * frame.height]
    if len(candidates) != 1:
        return frame, []
    first = named.get("item_id", "item_id")
    why = (
        f"rows of {place} without {first!r} name an item in {candidates[0]!r}: it is read as "
        f"item_id there"
    )
    rows = int((blank & cells[candidates[0]].is_not_null()).sum())
    note = Finding(rule="columns", rows=rows, action="noted", why=why)
    return frame.with_columns(items.fill_null(cells[candidates[0]]).alias("item_id")), [note]


def _names_items(column: str) -> bool:
    name = plain(column)
    return any(name.endswith(noun + end) for noun in ITEM_NOUNS for end in _ENDS)
