"""Conversion of events, slates and items to rows of the store's tables, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from metarec.feedback.events import (
    Event,
    Impression,
)
from metarec.feedback.store import tables

EVENT_FIELDS = (
    "event_id",
    "user_id",
    "item_id",
    "timestamp",
    "kind",
    "value",
    "slate_id",
    "context",
    "query",
)
SLATE_SCHEMA = {
    "slate_id": pl.Utf8,
    "user_id": pl.Utf8,
    "timestamp": pl.Float64,
    "model_version": pl.Utf8,
    "n_support": pl.Int64,
    "experiment": pl.Utf8,
    "arm": pl.Utf8,
    "shown": pl.Utf8,
}
SLATE_COLUMNS = [tables.slates.c[name] for name in SLATE_SCHEMA]
"""Columns read of a slate; `slates_of_rows` makes a table of slates from them."""


def event_of(row: Any) -> Event:
    """Return the event of a row."""
    return Event(**{**row._mapping, "context": json.loads(row.context) if row.context else {}})


def event_row(event: Event) -> dict[str, Any]:
    """Return the row of an event."""
    return {
        **{name: getattr(event, name) for name in EVENT_FIELDS},
        "context": json.dumps(event.context) if event.context else None,
        "copy_key": event.copy_key,
    }


def key_of(event: Event) -> tuple[str, str]:
    """Return the key of an event: its id is unique for its user only."""
    return event.user_id, event.event_id


def slate_row(slate: Impression) -> dict[str, Any]:
    """Return the row of a slate that was shown."""
    shown = {
        "item_ids": list(slate.item_ids),
        "scores": [float(score) for score in slate.scores],
        "propensity": [float(chance) for chance in slate.propensity],
    }
    return {
        "slate_id": slate.slate_id,
        "user_id": slate.user_id,
        "timestamp": slate.timestamp,
        "model_version": slate.model_version,
        "n_support": slate.n_support,
        "shown": json.dumps(shown),
        "experiment": None if slate.exposure is None else slate.exposure.experiment,
        "arm": None if slate.exposure is None else slate.exposure.arm,
    }


def slates_of_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return rows of `SLATE_SCHEMA` as slates, with `shown` decoded to lists: see
    `Store.slates`.
    """
    lists = pl.Struct(
        {
            "item_ids": pl.List(pl.Utf8),
            "scores": pl.List(pl.Float64),
            "propensity": pl.List(pl.Float64),
        }
    )
    return rows.with_columns(pl.col("shown").str.json_decode(lists)).unnest("shown")


def item_row(
    item_id: str, attributes: Mapping[str, Any], version: int, *, is_deleted: bool
) -> dict[str, Any]:
    """Return the row of an item that was put or deleted."""
    return {
        "item_id": item_id,
        "attributes": json.dumps(dict(attributes)),
        "version": version,
        "is_deleted": int(is_deleted),
    }
