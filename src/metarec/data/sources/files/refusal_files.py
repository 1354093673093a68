"""Join files of refusals to the events that they refuse: refunds of orders, by the key of the
order.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from metarec.data.cells.parsing import as_numbers, id_text
from metarec.data.events.rows import RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_matching import is_amount, key_of
from metarec.data.names.column_names import plain

_KEY = re.compile(r"(id|no|nr|number|code|key|ref|uuid|sku|编号|编码|号码|号)$")
MIN_NAME = 6
"""Minimum number of letters of a key's name by which a longer one is known."""
MIN_FIT = 0.5
"""Minimum share of the rows whose keys the events have."""


def refused_events(
    raw: RawTable, path: Path, events: RawTable, synonyms: Mapping[str, Sequence[str]]
) -> RawTable | None:
    """Join the users of the events to a file of refusals without users, by the item and the keys
    that both have; None where they share none. Partial returns are left out.
    """
    frame, place, findings = raw
    item = key_of(frame.columns, "item_id", synonyms)
    user = key_of(events[0].columns, "user_id", synonyms)
    by_plain = {plain(c): c for c in events[0].columns}
    keys = {c: k for c in frame.columns if (k := _same_key(c, by_plain)) is not None}
    keys = {c: k for c, k in keys.items() if c == item or (_KEY.search(plain(c)) and k != user)}
    if item not in keys or len(keys) < 2 or user is None or user in frame.columns:
        return None
    acts = events[0].select(user, *keys.values(), _amount(events[0]).alias("__bought"))
    acts = acts.with_columns(id_text(acts[k]) for k in keys.values()).unique([*keys.values()])
    rows = frame.with_columns(id_text(frame[c]) for c in keys).with_row_index("__row")
    rows = rows.with_columns(_amount(frame).alias("__back"))
    joined = rows.join(
        acts, left_on=[*keys], right_on=[*keys.values()], how="inner", maintain_order="left"
    )
    if joined.height < MIN_FIT * frame.height:
        return None
    in_full = joined.filter((pl.col("__back") >= pl.col("__bought")).fill_null(True))
    why = (
        f"rows of {path.name} were joined to those of {events[1].name} by "
        f"{' and '.join(map(repr, keys))}"
    )
    if part := joined.height - in_full.height:
        why += f"; {part:,} of them took back a part of what was bought, and say nothing"
    note = Finding(rule="joins", rows=in_full.height, action="noted", why=why)
    at = in_full["__row"] if place.rows is None else place.rows.gather(in_full["__row"])
    kept = in_full.drop("__row", "__back", "__bought")
    return kept, replace(place, rows=at), [*findings, note]


def _same_key(column: str, by_plain: Mapping[str, str]) -> str | None:
    """Return the column of that name, or the only key whose name ends or begins otherwise:
    `amazon-order-id` for `order-id`; None without one.
    """
    name = plain(column)
    if name in by_plain or _KEY.search(name) is None or len(name) < MIN_NAME:
        return by_plain.get(name)
    ends = [k for p, k in by_plain.items() if p.endswith(name) or _ends_so(name, p)]
    return ends[0] if len(ends) == 1 else None


def _ends_so(name: str, other: str) -> bool:
    return len(other) >= MIN_NAME and _KEY.search(other) is not None and name.endswith(other)


def _amount(frame: pl.DataFrame) -> pl.Series:
    """Return the quantities bought or returned; null without a column of quantities."""
    column = next((c for c in frame.columns if is_amount(c)), None)
    if column is None:
        return pl.Series([None] * frame.height, dtype=pl.Float64)
    return as_numbers(frame[column])
