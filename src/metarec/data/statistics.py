"""What data look like to a recommender: how sparse, how cold, how concentrated, how much they drift."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from metarec.data.schema import Dataset
from metarec.data.validity import LEAST_EPOCH

TINY = 1e-4
"""Least share in a population stability index, so that an empty bin does not make it infinite."""


def statistics(data: Dataset, cold_below: int) -> dict[str, Any]:
    """Numbers about cleaned data, ready for JSON. Shares lie in [0, 1], times are seconds since 1970."""
    events = data.interactions.frame
    per_user = events.group_by("user_id").len()["len"].to_numpy()
    per_item = events.group_by("item_id").len()["len"].to_numpy()
    catalog = max(len(data.items), len(per_item))
    return {
        "events": len(events), "users": len(per_user), "items": len(per_item), "catalog_items": len(data.items),
        "items_without_events": catalog - len(per_item),
        "density": len(events) / (len(per_user) * len(per_item)) if len(events) else 0.0,
        "events_per_user": quantiles(per_user), "events_per_item": quantiles(per_item), "cold_below": cold_below,
        "cold_users": share(per_user < cold_below),
        "cold_items": float((np.sum(per_item < cold_below) + catalog - len(per_item)) / max(catalog, 1)),
        "popularity_gini": gini(per_item), "events_on_top_1_percent": top_share(per_item, 0.01),
        "events_on_top_10_percent": top_share(per_item, 0.1),
        "kinds": dict(events.group_by("kind").len().sort("len", "kind", descending=[True, False]).iter_rows()),
        "values": _values(data), "time": _time(data), "drift": drift(data),
        "profiles": _filled(data.users.frame.join(events.select("user_id").unique(), on="user_id", how="semi"), "user_id", len(per_user)),
        "content": _filled(data.items.frame, "item_id", len(data.items)), "context": data.interactions.context_columns}


def quantiles(counts: np.ndarray) -> dict[str, float]:
    """Smallest, quartiles and largest."""
    if not len(counts):
        return {}
    return dict(zip(("min", "q1", "median", "q3", "max"), np.quantile(counts, (0, 0.25, 0.5, 0.75, 1)).tolist(), strict=True))


def share(mask: np.ndarray) -> float:
    """Share of true entries; 0 for none."""
    return float(mask.mean()) if len(mask) else 0.0


def gini(counts: np.ndarray) -> float:
    """Gini coefficient of popularity: 0 where every item has the same count, towards 1 where one has all."""
    if not len(counts) or not counts.sum():
        return 0.0
    ordered = np.sort(counts).astype(np.float64)
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * (ranks * ordered).sum() / ordered.sum() - len(ordered) - 1) / len(ordered))


def top_share(counts: np.ndarray, part: float) -> float:
    """Share of all events that fall on the most popular `part` of items (at least one item)."""
    if not len(counts):
        return 0.0
    most = max(1, round(part * len(counts)))
    return float(np.sort(counts)[-most:].sum() / counts.sum())


def _values(data: Dataset) -> dict[str, Any]:
    low, high = data.interactions.value_range
    mean = data.interactions.frame["value"].mean()
    return {"are_ratings": data.interactions.has_values, "min": low, "max": high, "mean": 0.0 if mean is None else mean}


def _time(data: Dataset) -> dict[str, Any]:
    """First and last time, and the share of a user's consecutive events whose order the clock does not tell."""
    if not data.interactions.has_time:
        return {"known": False}
    pair = data.interactions.frame.select((pl.col("user_id") == pl.col("user_id").shift()).alias("same"),
                                          (pl.col("timestamp") == pl.col("timestamp").shift()).alias("tie")).filter(pl.col("same"))
    times = data.interactions.frame["timestamp"]
    return {"known": True, "first": times.min(), "last": times.max(), "collisions": float(pair["tie"].mean() or 0.0)}  # type: ignore[arg-type]  # polars types mean() as any literal


def drift(data: Dataset) -> dict[str, float]:
    """Population stability index of item popularity, kinds and values between the first and the last third of events.

    PSI = sum over bins of (q - p) ln(q / p): below 0.1 steady, above 0.25 a different population (usual rule of thumb). Items are
    binned by popularity in the first third (tenths of its events, and one bin for items new since), since single items are too rare.
    Empty without times, and where they are only positions within a user.
    """
    events = data.interactions
    if not events.has_time or len(events) < 30 or float(events.frame["timestamp"].median()) < LEAST_EPOCH:  # type: ignore[arg-type]  # polars types median() as any literal
        return {}
    early, late = (events.frame["timestamp"].quantile(q) for q in (1 / 3, 2 / 3))
    first, last = events.frame.filter(pl.col("timestamp") <= early), events.frame.filter(pl.col("timestamp") > late)
    if not first.height or not last.height:
        return {}
    found = {"items": _psi(*_popularity_bins(first, last)), "kinds": _psi(*_category_bins(first["kind"], last["kind"]))}
    if events.has_values:
        found["values"] = _psi(*_category_bins(first["value"].round(1), last["value"].round(1)))
    return found


def _popularity_bins(first: pl.DataFrame, last: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    popular = first.group_by("item_id").len().sort("len", "item_id", descending=[True, False])
    popular = popular.with_columns((10 * (pl.col("len").cum_sum() - 1) // first.height).clip(0, 9).alias("bin"))
    late = last.select("item_id").join(popular, on="item_id", how="left")["bin"].fill_null(10)
    p = np.bincount(popular["bin"].to_numpy(), weights=popular["len"].to_numpy(), minlength=11)
    return p, np.bincount(late.to_numpy(), minlength=11)


def _category_bins(first: pl.Series, last: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    names = pl.DataFrame({"name": pl.concat([first, last]).unique()})
    counts = [names.join(s.alias("name").value_counts(name="n"), on="name", how="left", maintain_order="left")["n"].fill_null(0).to_numpy()
              for s in (first, last)]
    return counts[0], counts[1]


def _psi(first: np.ndarray, last: np.ndarray) -> float:
    p, q = (np.maximum(c / max(c.sum(), 1), TINY) for c in (first, last))
    return float(((q - p) * np.log(q / p)).sum())


def _filled(frame: pl.DataFrame, key: str, rows: int) -> dict[str, float]:
    """Share of rows in which each column says something."""
    return {c: (frame.height - frame[c].null_count()) / rows if rows else 0.0 for c in frame.columns if c != key}
