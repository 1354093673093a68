"""Coordinates of users who state only a city or region: the median of the coordinates of items and
users in that region.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from metarec.data.places import LATITUDE, LONGITUDE, degrees_of, home_of, is_placed, km_between

MIN_SHARED = 0.5
"""Least share of a user column's values that an item column must contain to count as the same
regions.
"""
MAX_SPREAD = 0.25
"""Largest ratio of the mean distance to a region's median to the mean distance to the median of
all rows.
"""
MAX_VALUES = 5_000
Middles = dict[str, tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Regions:
    """User columns that name a region, the column with the smallest spread first."""

    middles: Mapping[str, Middles]
    """Column of users -> value, in lower case -> latitude and longitude."""

    @classmethod
    def fit(cls, users: pl.DataFrame, items: pl.DataFrame) -> Regions:
        """Find the user columns whose values each lie close together on the map."""
        regions = []
        for name in _texts(users):
            rows = _placed_rows(users, name, items)
            middles, spread = _middles(rows)
            if len(middles) >= 2 and spread <= MAX_SPREAD:
                regions.append((spread, name, middles))
        return cls(middles={name: middles for _, name, middles in sorted(regions)})

    def homes(self, profiles: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """[B, 2] coordinates in degrees that users state, else the median of their region; NaN
        where unknown.
        """
        homes = home_of(profiles)
        if not self.middles:
            return homes
        for row in np.flatnonzero(~is_placed(homes)):
            homes[row] = self._middle_of(profiles[int(row)])
        return homes

    def _middle_of(self, profile: Mapping[str, Any]) -> tuple[float, float]:
        for name, middles in self.middles.items():
            if (value := _plain(profile.get(name))) in middles:
                return middles[value]
        return np.nan, np.nan


def _texts(frame: pl.DataFrame) -> list[str]:
    return [
        name
        for name in frame.columns
        if name != "user_id"
        and frame[name].dtype == pl.Utf8
        and 2 <= frame[name].n_unique() <= MAX_VALUES
    ]


def _placed_rows(users: pl.DataFrame, name: str, items: pl.DataFrame) -> pl.DataFrame:
    """`value, latitude, longitude` of users with a region in `name` and coordinates, and of items,
    by the item column that shares most of these regions.
    """
    values = set(_lowered(users[name]).drop_nulls())
    parts = [_rows(users, name)]
    shared = {
        column: len(values & set(_lowered(items[column]).drop_nulls()))
        for column in items.columns
        if column != "item_id" and items[column].dtype == pl.Utf8
    }
    best = max(shared, key=lambda column: shared[column], default=None)
    if best is not None and shared[best] >= max(2, MIN_SHARED * len(values)):
        parts.append(_rows(items, best))
    return pl.concat(parts)


def _rows(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    degrees = degrees_of(frame)
    return pl.DataFrame(
        {
            "value": _lowered(frame[column]),
            LATITUDE: degrees[:, 0],
            LONGITUDE: degrees[:, 1],
        }
    ).filter(pl.col("value").is_not_null() & pl.col(LATITUDE).is_not_nan())


def _middles(rows: pl.DataFrame) -> tuple[Middles, float]:
    """Median coordinates of each value, and the spread (see `MAX_SPREAD`)."""
    if rows.height < 2:
        return {}, np.inf
    middles = rows.group_by("value").agg(pl.col(LATITUDE, LONGITUDE).median()).sort("value")
    with_middles = rows.join(middles, on="value", how="left", maintain_order="left")
    places = rows.select(LATITUDE, LONGITUDE).to_numpy()
    near = km_between(
        places, with_middles.select(f"{LATITUDE}_right", f"{LONGITUDE}_right").to_numpy()
    )
    far = km_between(places, np.median(places, axis=0)[None])
    spread = float(near.mean() / max(far.mean(), 1e-9))
    return {value: (lat, lon) for value, lat, lon in middles.iter_rows()}, spread


def _lowered(column: pl.Series) -> pl.Series:
    return column.str.strip_chars().str.to_lowercase()


def _plain(value: Any) -> str:
    return value.strip().lower() if isinstance(value, str) else ""
