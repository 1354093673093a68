"""Tables with a row for each user and a column of lists for each kind of act: `likes`, `hides`."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding, quoted
from metarec.data.kinds import Kinds
from metarec.data.names.column_names import ITEM_NOUNS, SYNONYMS, plain
from metarec.data.sources.rows.id_lists import with_written_lists

_TAKEN = {plain(n) for n in ("kind", "item_id", *SYNONYMS["kind"])}


def of_act_lists(frame: pl.DataFrame, user: str | None, place: Place, kinds: Kinds) -> RawTable:
    """Return one row per item of lists in columns that are named like kinds, which are the kinds of
    their events; their places and findings. A table without two such columns stays unchanged.

    Args:
        user: column of users; None where there is none.
    """
    if user is None or _TAKEN & {plain(c) for c in frame.columns}:
        return frame, place, []
    named = [c for c in frame.columns if kinds.known(c) and plain(c) not in ITEM_NOUNS]
    table = with_written_lists(frame, named)
    lists = [c for c in named if _is_list(table.schema[c])]
    if len(lists) < 2 or any(_is_list(t) for c, t in table.schema.items() if c not in lists):
        return frame, place, []
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    beside = table.drop(lists).with_columns(rows.alias("__row"))
    parts = [
        beside.with_columns(
            table[c].cast(pl.List(pl.Utf8)).alias("item_id"), pl.lit(c).alias("kind")
        )
        for c in lists
    ]
    spread = pl.concat(parts).explode("item_id").drop_nulls("item_id")
    spread = spread.sort("__row", maintain_order=True)
    if not spread.height:
        return frame, place, []
    why = (
        f"columns of {place.name} that are called like acts ({quoted(lists)}) hold lists: each of "
        f"their items is a row of its own, of that kind"
    )
    note = Finding(rule="lists", rows=spread.height, action="changed", why=why)
    return spread.drop("__row"), replace(place, rows=spread["__row"]), [note]


def _is_list(dtype: pl.DataType) -> bool:
    """Whether cells are lists of ids; an empty list in all rows has no type."""
    return isinstance(dtype, pl.List) and not dtype.inner.is_nested()
