"""Statistics of a data set: sparsity, cold users and items, concentration of popularity, drift.

Counting (`tally`) is separate from summarizing (`facts`), so that data too large for memory can be
counted in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.events.times import MIN_EPOCH
from metarec.data.kinds import Kinds
from metarec.data.names.kind_names import plain_kind

TINY = 1e-4
"""Minimum share of a bin in a population stability index, which an empty bin would make
infinite.
"""


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of one part of the data; no user is in two parts."""

    per_user: np.ndarray
    """[U] events of each user, int64."""
    per_item: pl.DataFrame
    """`item_id, len`."""
    n_pairs: int
    """Distinct (user, item) pairs."""
    kinds: pl.DataFrame
    """`kind, len`, the number of ratings (`rated`) and of negative events (`refused`)."""
    kind_facts: dict[str, dict[str, Any]]
    """By kind: `sign`, `strength`, `target`, `known`, `read_as`."""
    values: tuple[float, float, float]
    """Smallest value, largest value, sum of values."""
    times: tuple[float, float] | None
    """First and last time, seconds since 1970; None without times."""
    pairs: tuple[int, int]
    """Number of pairs of consecutive events of a user, and of those that share a timestamp."""
    profiled: dict[str, int]
    """By attribute: number of users with events for whom it is known."""
    profiles: int
    """Number of users with events who are in the table of users."""
    moments: tuple[str, ...]
    """User attributes that are not used, since they hold moments in time."""
    context: tuple[str, ...]
    """Context columns that any event fills."""
    drift: dict[str, float]


def statistics(data: Dataset, cold_below: int) -> dict[str, Any]:
    """Return statistics of cleaned data, ready for JSON. Shares lie in [0, 1], times are seconds
    since 1970.
    """
    return facts(
        [tally(data)],
        data.items.frame,
        data.interactions.has_values,
        cold_below,
        data.users.frame.height,
    )


def tally(data: Dataset) -> Tally:
    """Return the counts of one part of the data."""
    events = data.interactions.frame
    low, high = data.interactions.value_range
    users = events.select("user_id").unique()
    profiles = data.users.frame.join(users, on="user_id", how="semi")
    times = events.select(
        pl.col("timestamp").min().alias("first"), pl.col("timestamp").max().alias("last")
    ).row(0)
    return Tally(
        per_user=events.group_by("user_id").len()["len"].to_numpy().astype(np.int64),
        per_item=events.group_by("item_id").len(),
        n_pairs=events.select("user_id", "item_id").unique().height,
        kinds=_kinds(data),
        kind_facts=_kind_facts(data),
        values=(low, high, float(data.interactions.filled["value"].sum())),
        times=times if data.interactions.has_time and len(events) else None,
        pairs=_pairs(events),
        profiled={c: profiles.height - profiles[c].null_count() for c in data.users.attributes},
        profiles=profiles.height,
        moments=tuple(data.users.moments),
        context=tuple(
            c for c in data.interactions.context_columns if events[c].null_count() < events.height
        ),
        drift=drift(data),
    )


def facts(
    parts: Sequence[Tally],
    items: pl.DataFrame,
    are_ratings: bool,
    cold_below: int,
    listed_users: int,
) -> dict[str, Any]:
    """Return the statistics of all parts together; `listed_users` are those in the table of users.
    Drift is that of the first part, whose users are a random sample.
    """
    per_user = np.concatenate([p.per_user for p in parts])
    per_item = _summed([p.per_item for p in parts], "item_id")["len"].to_numpy()
    kinds = _summed([p.kinds for p in parts], "kind").sort("len", "kind", descending=[True, False])
    idle = max(listed_users - sum(p.profiles for p in parts), 0)
    total = int(per_user.sum())
    cells = max(len(per_user) * len(per_item), 1)
    return {
        **_counts(per_user, per_item, items.height, idle, cold_below),
        "density": sum(p.n_pairs for p in parts) / cells,
        "kinds": dict(kinds.select("kind", "len").iter_rows()),
        "kind_use": [
            {**row, **next(p.kind_facts[row["kind"]] for p in parts if row["kind"] in p.kind_facts)}
            for row in kinds.rename({"len": "rows"}).to_dicts()
        ],
        "values": {"are_ratings": are_ratings, **_values(parts, total)},
        "time": _time(parts),
        "drift": parts[0].drift,
        "profiles": {
            c: sum(p.profiled.get(c, 0) for p in parts) / max(len(per_user), 1)
            for c in parts[0].profiled
        },
        "moments": sorted({name for p in parts for name in p.moments}),
        "content": {
            c: (items.height - items[c].null_count()) / max(items.height, 1)
            for c in items.columns
            if c != "item_id"
        },
        "context": list(dict.fromkeys(name for p in parts for name in p.context)),
    }


def _values(parts: Sequence[Tally], total: int) -> dict[str, float]:
    return {
        "min": min(p.values[0] for p in parts),
        "max": max(p.values[1] for p in parts),
        "mean": sum(p.values[2] for p in parts) / max(total, 1),
    }


def _counts(
    per_user: np.ndarray, per_item: np.ndarray, listed: int, idle: int, cold_below: int
) -> dict[str, Any]:
    """Return statistics of events per user and item; `listed` is the number of catalog items,
    `idle` that of users without events.
    """
    total, catalog = int(per_user.sum()), max(listed, len(per_item))
    cold = np.sum(per_item < cold_below) + catalog - len(per_item)
    return {
        "events": total,
        "users": len(per_user),
        "users_without_events": idle,
        "items": len(per_item),
        "catalog_items": listed,
        "items_without_events": catalog - len(per_item),
        "events_per_user": quantiles(per_user),
        "events_per_item": quantiles(per_item),
        "cold_below": cold_below,
        "cold_users": float((np.sum(per_user < cold_below) + idle) / max(len(per_user) + idle, 1)),
        "cold_items": float(cold / max(catalog, 1)),
        "popularity_gini": gini(per_item),
        "events_on_top_1_percent": top_share(per_item, 0.01),
        "events_on_top_10_percent": top_share(per_item, 0.1),
    }


def _kinds(data: Dataset) -> pl.DataFrame:
    acts = data.interactions.acts().with_columns(data.interactions.frame["kind", "user_id"])
    return acts.group_by("kind").agg(
        pl.len(),
        pl.col("user_id").n_unique().alias("users"),
        pl.col("rating").count().alias("rated"),
        (pl.col("sign") < 0).sum().alias("refused"),
    )


def _kind_facts(data: Dataset) -> dict[str, dict[str, Any]]:
    events = data.interactions
    return {
        name: {
            "sign": events.kinds.of(name).sign,
            "strength": events.kinds.of(name).strength,
            "target": events.kinds.key(name) in events.target_kinds
            or (events.has_values and events.kinds.is_rating(name)),
            "known": events.kinds.known(name),
            "read_as": _read_as(name, events.kinds),
        }
        for name in events.frame["kind"].unique()
    }


def _read_as(name: str, kinds: Kinds) -> str | None:
    """Return the known kind that a name is derived from; None for its own name or none."""
    key = kinds.key(name)
    return key if kinds.known(name) and key != plain_kind(name) else None


def _summed(frames: Sequence[pl.DataFrame], key: str) -> pl.DataFrame:
    return frames[0] if len(frames) == 1 else pl.concat(frames).group_by(key).agg(pl.all().sum())


def _pairs(events: pl.DataFrame) -> tuple[int, int]:
    same = pl.col("user_id") == pl.col("user_id").shift()
    tie = same & (pl.col("timestamp") == pl.col("timestamp").shift())
    counted = events.select(same.sum().alias("pairs"), tie.sum().alias("ties")).row(0)
    return int(counted[0]), int(counted[1])


def _time(parts: Sequence[Tally]) -> dict[str, Any]:
    """Return first and last time, and the share of pairs of a user's consecutive events that share
    a timestamp.
    """
    spans = [p.times for p in parts if p.times is not None]
    if not spans:
        return {"known": False}
    pairs, ties = (sum(p.pairs[n] for p in parts) for n in (0, 1))
    return {
        "known": True,
        "first": min(s[0] for s in spans),
        "last": max(s[1] for s in spans),
        "collisions": ties / max(pairs, 1),
    }


def quantiles(counts: np.ndarray) -> dict[str, float]:
    """Return minimum, quartiles and maximum; empty without counts."""
    if not len(counts):
        return {}
    return dict(
        zip(
            ("min", "q1", "median", "q3", "max"),
            np.quantile(counts, (0, 0.25, 0.5, 0.75, 1)).tolist(),
            strict=True,
        )
    )


def gini(counts: np.ndarray) -> float:
    """Gini coefficient of popularity in [0, 1]: 0 where all counts are equal, near 1 where one item
    has all events; 0 without events.
    """
    if not len(counts) or not counts.sum():
        return 0.0
    ordered = np.sort(counts).astype(np.float64)
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * (ranks * ordered).sum() / ordered.sum() - len(ordered) - 1) / len(ordered))


def top_share(counts: np.ndarray, part: float) -> float:
    """Share of all events that fall on the most popular `part` of items (at least one item)."""
    if not len(counts):
        return 0.0
    n_top = max(1, round(part * len(counts)))
    return float(np.sort(counts)[-n_top:].sum() / counts.sum())


def drift(data: Dataset) -> dict[str, float]:
    """Population stability index of item popularity, kinds and values between the first and the
    last third of events.

    PSI = sum over bins of (q - p) ln(q / p): below 0.1 steady, above 0.25 a different population
    (usual rule of thumb). Items are binned by popularity in the first third (tenths of its events,
    and one bin for items new since), since single items are too rare. Empty without times, and
    where they are only positions within a user.
    """
    events = data.interactions
    if (
        not events.has_time
        or len(events) < 30
        or float(events.frame["timestamp"].median()) < MIN_EPOCH  # type: ignore[arg-type]
    ):  # polars types median() as any literal
        return {}
    early, late = (events.frame["timestamp"].quantile(q) for q in (1 / 3, 2 / 3))
    first, last = (
        events.frame.filter(pl.col("timestamp") <= early),
        events.frame.filter(pl.col("timestamp") > late),
    )
    if not first.height or not last.height:
        return {}
    drift = {
        "items": _psi(*_popularity_bins(first, last)),
        "kinds": _psi(*_category_bins(first["kind"], last["kind"])),
    }
    if events.has_values:
        drift["values"] = _psi(
            *_category_bins(
                first["value"].drop_nulls().round(1), last["value"].drop_nulls().round(1)
            )
        )
    return drift


def _popularity_bins(first: pl.DataFrame, last: pl.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    popular = first.group_by("item_id").len().sort("len", "item_id", descending=[True, False])
    popular = popular.with_columns(
        (10 * (pl.col("len").cum_sum() - 1) // first.height).clip(0, 9).alias("bin")
    )
    late = last.select("item_id").join(popular, on="item_id", how="left")["bin"].fill_null(10)
    p = np.bincount(popular["bin"].to_numpy(), weights=popular["len"].to_numpy(), minlength=11)
    return p, np.bincount(late.to_numpy(), minlength=11)


def _category_bins(first: pl.Series, last: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    names = pl.DataFrame({"name": pl.concat([first, last]).unique()})
    counts = [
        names.join(
            s.alias("name").value_counts(name="n"), on="name", how="left", maintain_order="left"
        )["n"]
        .fill_null(0)
        .to_numpy()
        for s in (first, last)
    ]
    return counts[0], counts[1]


def _psi(first: np.ndarray, last: np.ndarray) -> float:
    p, q = (np.maximum(c / max(c.sum(), 1), TINY) for c in (first, last))
    return float(((q - p) * np.log(q / p)).sum())
