"""Turn lists of impressions, with a column that states which items were clicked or bought, into
events.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import replace

import polars as pl

from metarec.data.cells.parsing import id_text
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.kinds import IMPRESSION, Kinds

MIN_WITHIN = 0.95
"""Minimum share of cells with an item of their own list for a column to state which item was
taken.
"""
OF_SHOWN = re.compile(r"\S+-[01]( \S+-[01])*")
"""Pattern of a cell of impressions, each with whether it was clicked: `N1-1 N2-0`."""
LOOKED_AT = 1000
"""Number of first cells that decide whether a column may hold such cells."""
_ONE_OF = frozenset("click tap select open".split())
"""Kinds of events on one item of a list; a yes to them does not identify the item."""
_NOUN = re.compile(r"([_\W]?(items?|products?|ids?|skus?|articles?))+$", re.IGNORECASE)


def of_impressions(frame: pl.DataFrame, user: str | None, place: Place) -> RawTable:
    """Return one row per item in a column of impressions, a click or an impression, and one without
    a time per item that `history` lists as clicked before; their places and findings.
    """
    column = next((c for c in frame.columns if _are_shown(frame[c])), None)
    if column is None or user is None:
        return frame, place, []
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    frame = frame.with_columns(rows.alias("__row"))
    each = frame.with_columns(pl.col(column).str.split(" ")).explode(column).drop_nulls(column)
    is_clicked = pl.col(column).str.ends_with("-1")
    kind = pl.when(is_clicked).then(pl.lit("click")).otherwise(pl.lit(IMPRESSION)).alias("kind")
    item = pl.col(column).str.replace(r"-[01]$", "").alias("item_id")
    each = each.with_columns(kind, item).drop({column, "history"} - {"item_id"}, strict=False)
    why = f"{column} of {place.name} holds what was shown and whether it was clicked: each is a row"
    findings = [Finding(rule="lists", rows=frame.height, action="changed", why=why)]
    if "history" in frame.columns and frame["history"].dtype == pl.Utf8:
        past = frame.select(user, "__row", pl.col("history").str.split(" ").alias("item_id"))
        past = past.explode("item_id").drop_nulls().unique([user, "item_id"], maintain_order=True)
        each = pl.concat([past.with_columns(kind=pl.lit("click")), each], how="diagonal")
        why = (
            f"history of {place.name} holds what users clicked before, without times: each is a row"
        )
        findings.append(Finding(rule="lists", rows=past.height, action="changed", why=why))
    return each.drop("__row"), replace(place, rows=each["__row"]), findings


def _are_shown(column: pl.Series) -> bool:
    """Whether all cells are impressions, of which some were clicked and some were not."""
    if column.dtype != pl.Utf8:
        return False
    cells = column.drop_nulls()
    pattern = f"^{OF_SHOWN.pattern}$"
    if not len(cells) or not cells.head(LOOKED_AT).str.contains(pattern).all():
        return False  # which tells most columns of a long table
    if not cells.str.contains(pattern).all():
        return False
    return all(bool(cells.str.contains(f"-{mark}( |$)").any()) for mark in "01")


def of_shown(
    frame: pl.DataFrame,
    column: str,
    item: str,
    place: Place,
    kinds: Kinds,
    of_lists: Collection[str],
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kinds of rows from a list of items. Items that another column names as clicked
    (bought, ...) are of that kind, the others are impressions. Return events and findings.

    Args:
        column: the former column of lists.
        item: the column of items.
        place: row in the file of each row.
        of_lists: columns that say something of the whole list rather than of each item.
    """
    if place.rows is None or "kind" in frame.columns:
        return frame, []
    acts = {c: name for c in frame.columns if c != item and (name := _act(c, kinds)) is not None}
    chosen = {c: name for c, name in acts.items() if _is_within(frame, c, item, place.rows)}
    if chosen:
        return _by_chosen(frame, column, item, chosen, place)
    vague = [c for c, name in acts.items() if name in _ONE_OF and frame[c].dtype == pl.Boolean]
    vague = [c for c in vague if c in of_lists]
    lengths = frame.group_by(place.rows.alias("row")).len()["len"]
    if len(vague) != 1 or lengths.max() == 1:
        return frame, []
    why = (
        f"{vague[0]!r} of {place.name} does not say which item of {column} was meant: all of them "
        f"are of kind {IMPRESSION!r}; write the item's id there"
    )
    note = Finding(rule="kinds", rows=frame.height, action="noted", why=why)
    return frame.drop(vague).with_columns(pl.lit(IMPRESSION).alias("kind")), [note]


def _act(column: str, kinds: Kinds) -> str | None:
    """Return the positive kind that a column is named like: `clicked_item`; None for others."""
    name = _NOUN.sub("", column)
    is_act = name != "" and kinds.known(name) and kinds.of(name).sign == "positive"
    return kinds.key(name) if is_act else None


def _is_within(frame: pl.DataFrame, column: str, item: str, rows: pl.Series) -> bool:
    """Whether nearly all stated cells name an item of the list in their row."""
    taken = _taken(frame, column, item)
    if taken is None or taken.null_count() == len(taken):
        return False
    by_row = pl.DataFrame({"row": rows, "taken": taken}).group_by("row").agg(pl.col("taken").any())
    stated = pl.DataFrame({"row": rows, "said": taken.is_not_null()}).group_by("row").first()
    both = by_row.join(stated, on="row").filter("said")
    return float(both["taken"].mean() or 0) >= MIN_WITHIN  # type: ignore[arg-type]  # a number


def _taken(frame: pl.DataFrame, column: str, item: str) -> pl.Series | None:
    """Return whether the item of each row is the one, or among those, that a column names; null
    where it names none.
    """
    cells, ids = frame[column], id_text(frame[item])
    if isinstance(cells.dtype, pl.List):
        if cells.dtype.inner not in (pl.Utf8, pl.Int64):
            return None
        both = pl.DataFrame({"ids": ids, "cells": cells.cast(pl.List(pl.Utf8))})
        within = both.select(pl.col("cells").list.contains(pl.col("ids"))).to_series()
        return pl.select(pl.when(cells.list.len() > 0).then(within)).to_series()
    if cells.dtype not in (pl.Utf8, pl.Int64):
        return None
    return id_text(cells) == ids


def _by_chosen(
    frame: pl.DataFrame, column: str, item: str, chosen: dict[str, str], place: Place
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of the items that the columns name, and `impression` for the others."""
    kind = pl.Series("kind", [IMPRESSION] * frame.height)
    for name, act in chosen.items():
        taken = _taken(frame, name, item)
        assert taken is not None
        kind = pl.Series("kind", [act]).zip_with(taken.fill_null(False), kind)
    listed: Sequence[str] = [repr(name) for name in chosen]
    why = (
        f"{column} of {place.name} holds what was shown, and {', '.join(listed)} what was taken of "
        f"it: the rest is of kind {IMPRESSION!r}"
    )
    note = Finding(rule="kinds", rows=int((kind == IMPRESSION).sum()), action="noted", why=why)
    return frame.drop(chosen).with_columns(kind), [note]
