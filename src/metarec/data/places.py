"""Coordinates of items and users: read, checked, and named where they cannot be degrees."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from metarec.data.errors import BadInput
from metarec.data.findings import Finding

LATITUDE, LONGITUDE = "latitude", "longitude"
EARTH_KM = 6371.0
SWAPPED_SHARE = 0.5
"""From this share of rows with a latitude beyond 90 the two columns are taken for swapped."""


def location_of(place: Any) -> tuple[float, float]:
    """Latitude and longitude of a request, NaN for both where it names none.

    Raises:
        BadInput: if it is no pair of degrees.
    """
    if place is None:
        return np.nan, np.nan
    try:
        latitude, longitude = (float(degree) for degree in place)
    except (TypeError, ValueError) as error:
        raise BadInput(
            f"a location is latitude and longitude in degrees, such as 52.5,13.4; got {place!r}"
        ) from error
    if np.isnan(latitude) or np.isnan(longitude):
        raise BadInput(f"a location needs both degrees as numbers, got {latitude:g},{longitude:g}")
    if not (-180.0 <= longitude <= 180.0 and -90.0 <= latitude <= 90.0):
        swapped = -90.0 <= longitude <= 90.0 and -180.0 <= latitude <= 180.0
        hint = f"; for swapped degrees write {longitude:g},{latitude:g}" if swapped else ""
        raise BadInput(
            f"location {latitude:g},{longitude:g} is out of range: latitude goes from -90 to 90, "
            f"longitude from -180 to 180{hint}"
        )
    return latitude, longitude


def degrees_of(frame: pl.DataFrame) -> np.ndarray:
    """[rows, 2] float64 latitude and longitude; NaN in both where either is not known."""
    if LATITUDE not in frame.columns or LONGITUDE not in frame.columns:
        return np.broadcast_to(np.nan, (frame.height, 2))
    columns = [
        frame[name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        for name in (LATITUDE, LONGITUDE)
    ]
    return _possible(np.stack(columns, axis=1))


def is_placed(places: np.ndarray) -> np.ndarray:
    """[rows] whether it is known where each of `places` [rows, 2] is."""
    return np.asarray(~np.isnan(places[:, 0]))


def _possible(places: np.ndarray) -> np.ndarray:
    """Places [rows, 2], NaN in both degrees where either cannot be."""
    good = (np.abs(places[:, 0]) <= 90.0) & (np.abs(places[:, 1]) <= 180.0)
    return np.where(good[:, None], places, np.nan)


def km_between(here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """[rows] kilometers between places [rows, 2] in degrees, row by row; NaN where either is
    unknown.
    """
    lat, lon = np.radians(here[:, 0]), np.radians(here[:, 1])
    lat2, lon2 = np.radians(there[:, 0]), np.radians(there[:, 1])
    half = np.sin((lat2 - lat) / 2) ** 2
    half = half + np.cos(lat) * np.cos(lat2) * np.sin((lon2 - lon) / 2) ** 2
    return np.asarray(2 * EARTH_KM * np.arcsin(np.sqrt(np.clip(half, 0.0, 1.0))))


def home_of(profiles: Sequence[Any]) -> np.ndarray:
    """[B, 2] float64 coordinates among users' attributes; NaN where they state none."""
    rows = [(_number(p.get(LATITUDE)), _number(p.get(LONGITUDE))) for p in profiles]
    return _possible(np.array(rows, np.float64).reshape(-1, 2))


POINT = r"(?i)^(?:SRID=\d+;)?\s*POINT(?: ?Z)?\s*\(\s*([+-]?[\d.]+)\s+([+-]?[\d.]+)[^)]*\)$"
"""A point as databases of maps write it, longitude first."""


def with_points(frame: pl.DataFrame, table: str, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """A table whose one column of points, `POINT(13.4 52.5)`, is degrees, where it has none."""
    if LATITUDE in frame.columns or LONGITUDE in frame.columns:
        return frame, []
    texts = [name for name, dtype in frame.schema.items() if dtype == pl.Utf8]
    found = {name: degrees for name in texts if (degrees := _points(frame[name])) is not None}
    if len(found) != 1:
        return frame, []
    ((name, degrees),) = found.items()
    why = f"points of column {name!r} of {place} were read as longitude and latitude"
    note = _found("changed", frame.height - frame[name].null_count(), why, table)
    return frame.drop(name).hstack(degrees), [note]


def _points(column: pl.Series) -> pl.DataFrame | None:
    """Degrees of a column of points; None where some cell is none, or they are no degrees."""
    stated = column.drop_nulls()
    if not len(stated) or not stated.head(100).str.contains(POINT).all():
        return None
    parts = [column.str.extract(POINT, n).cast(pl.Float64, strict=False) for n in (1, 2)]
    lon, lat = parts
    is_all = lon.null_count() == lat.null_count() == column.null_count()
    is_all = is_all and bool((lon.abs() <= 180).all()) and bool((lat.abs() <= 90).all())
    return pl.DataFrame({LONGITUDE: lon, LATITUDE: lat}) if is_all else None


def checked_degrees(
    frame: pl.DataFrame, table: str, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """A table with degrees that can be such: swapped columns put right, other impossible values
    taken out, each told in one line.
    """
    if LATITUDE not in frame.columns or LONGITUDE not in frame.columns:
        return frame, []
    numbers = frame.select(pl.col(LATITUDE, LONGITUDE).cast(pl.Float64, strict=False))
    lat, lon = numbers[LATITUDE].to_numpy(), numbers[LONGITUDE].to_numpy()
    given = ~np.isnan(lat) & ~np.isnan(lon)
    beyond = given & (np.abs(lat) > 90.0)
    could_be = bool((np.abs(lon[given]) <= 90.0).all() and (np.abs(lat[given]) <= 180.0).all())
    if beyond.sum() > SWAPPED_SHARE * max(given.sum(), 1) and could_be:
        turned = frame.with_columns(
            numbers[LONGITUDE].alias(LATITUDE), numbers[LATITUDE].alias(LONGITUDE)
        )
        why = f"latitude and longitude in {place} are swapped (latitudes beyond 90); put right"
        return turned, [_found("changed", int(given.sum()), why, table)]
    wrong = given & ((np.abs(lat) > 90.0) | (np.abs(lon) > 180.0))
    findings = []
    if wrong.any():
        example = f"{lat[wrong][0]:g},{lon[wrong][0]:g}"
        why = f"degrees in {place} out of range, such as {example}; left out"
        findings.append(_found("changed", int(wrong.sum()), why, table))
    missing = int((~given).sum())
    if missing:
        why = f"rows of {place} without a latitude and longitude: distance says nothing of them"
        findings.append(_found("noted", missing, why, table))
    kept = pl.Series(given & ~wrong)
    return frame.with_columns(
        pl.when(kept).then(numbers[name]).alias(name) for name in (LATITUDE, LONGITUDE)
    ), findings


def _found(action: Any, rows: int, why: str, table: str) -> Finding:
    return Finding(rule="degrees", rows=rows, action=action, why=why, table=table)


def _number(value: Any) -> float:
    try:
        return np.nan if value is None else float(value)
    except (TypeError, ValueError):
        return np.nan
