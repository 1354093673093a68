"""Removal of copies: events of several sources with the same user, item, kind, and time rounded to
milliseconds count once.
"""

from __future__ import annotations

import polars as pl

from metarec.data.names.kind_names import plain_kind

_KEY = ("user_id", "item_id", "_kind", "_milliseconds")


def without_copies(events: pl.DataFrame) -> pl.DataFrame:
    """Return the events with the first of each set of copies."""
    keyed = _keyed(events).unique(_KEY, keep="first", maintain_order=True)
    return keyed.select(events.columns)


def without_known(events: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return the events of which `known` holds no copy."""
    theirs = _keyed(known.select("user_id", "item_id", "kind", "timestamp")).select(_KEY)
    fresh = _keyed(events).join(theirs, on=_KEY, how="anti", maintain_order="left")
    return fresh.select(events.columns)


def _keyed(events: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of the key to events: kind in its plain form, and whole milliseconds."""
    names = events["kind"].cast(pl.Utf8).unique().drop_nulls().to_list()
    plain = pl.DataFrame({"kind": names, "_kind": [plain_kind(name) for name in names]})
    rounded = (pl.col("timestamp").cast(pl.Float64) * 1e3 + 0.5).floor().cast(pl.Int64)
    return events.with_columns(
        pl.col("kind")
        .cast(pl.Utf8)
        .replace_strict(plain["kind"], plain["_kind"], default=None, return_dtype=pl.Utf8)
        .alias("_kind"),
        rounded.alias("_milliseconds"),
    )
