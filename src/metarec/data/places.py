"""Coordinates of items and users: parsing, checks, and findings on values that are no degrees."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from metarec.data.errors import BadInput
from metarec.data.findings import Finding

LATITUDE, LONGITUDE = "latitude", "longitude"
EARTH_KM = 6371.0
SWAPPED_SHARE = 0.5
"""Above this share of rows with a latitude beyond 90, the two columns count as swapped."""


def location_of(place: Any) -> tuple[float, float]:
    """Return latitude and longitude of a request's location; NaN for both where it is None.

    Raises:
        BadInput: if it is not a pair of degrees, or out of range.
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
    """[rows, 2] float64 latitude and longitude; NaN in both where either is missing or out of
    range.
    """
    if LATITUDE not in frame.columns or LONGITUDE not in frame.columns:
        return np.broadcast_to(np.nan, (frame.height, 2))
    columns = [
        frame[name].cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        for name in (LATITUDE, LONGITUDE)
    ]
    return _possible(np.stack(columns, axis=1))


def is_placed(places: np.ndarray) -> np.ndarray:
    """[rows] whether each of `places` [rows, 2] has coordinates."""
    return np.asarray(~np.isnan(places[:, 0]))


def _possible(places: np.ndarray) -> np.ndarray:
    """Places [rows, 2] with NaN in both degrees where either is out of range."""
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
    """[B, 2] float64 coordinates in users' attributes; NaN where they state none."""
    rows = [(_number(p.get(LATITUDE)), _number(p.get(LONGITUDE))) for p in profiles]
    return _possible(np.array(rows, np.float64).reshape(-1, 2))


POINT = r"(?i)^(?:SRID=\d+;)?\s*POINT(?: ?Z)?\s*\(\s*([+-]?[\d.]+)\s+([+-]?[\d.]+)[^)]*\)$"
"""A point in the WKT form of spatial databases, longitude first."""


PAIR = r"^[\[(]?\s*([+-]?\d{1,3}\.\d+)\s*[,;|\s]\s*([+-]?\d{1,3}\.\d+)\s*[\])]?$"
"""Two degrees in one cell: `52.5, 13.4`."""
_OF_PAIRS = re.compile(
    r"loc|coord|lat|lng|lon|geo|gps|point|posit|place|map|地|位置|坐标|经纬", re.I
)
"""Column names under which pairs of degrees are accepted."""
_LONGITUDE_FIRST = re.compile(r"(lng|lon|long|longitude)_?(lat)|经纬|geometry|geojson", re.I)
"""Column names of pairs with the longitude first."""


def with_points(frame: pl.DataFrame, table: str, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Add `latitude` and `longitude` to a table that has neither: from two columns of degrees times
    10,000,000, else from its only column of points (`POINT(13.4 52.5)`) or pairs (`52.5,13.4`).
    """
    if LATITUDE in frame.columns or LONGITUDE in frame.columns:
        return frame, []
    if (sevens := _in_e7(frame)) is not None:
        frame, names = sevens
        why = f"{names[0]!r} and {names[1]!r} of {place} were read as degrees times 10,000,000"
        return frame, [_degrees_finding("changed", frame.height, why, table)]
    degrees_of = {c: degrees for c in frame.columns if (degrees := _points(frame[c])) is not None}
    if len(degrees_of) != 1:
        return frame, []
    ((name, degrees),) = degrees_of.items()
    first, second = degrees.columns
    why = f"points of column {name!r} of {place} were read as {first} and {second}"
    note = _degrees_finding("changed", frame.height - frame[name].null_count(), why, table)
    return frame.drop(name).hstack(degrees), [note]


_E7 = {
    LATITUDE: re.compile(r"lat(itude)?_?e7$", re.I),
    LONGITUDE: re.compile(r"(lng|lon|longitude)_?e7$", re.I),
}


def _in_e7(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[str]] | None:
    """Return the table with degrees from its two columns of degrees times 10,000,000, and the names
    of these columns; None where it has no such pair.
    """
    named = {n: [c for c in frame.columns if form.search(c)] for n, form in _E7.items()}
    if any(len(columns) != 1 for columns in named.values()):
        return None
    names = [columns[0] for columns in named.values()]
    numbers = {n: frame[c[0]].cast(pl.Float64, strict=False) / 1e7 for n, c in named.items()}
    return frame.drop(names).with_columns(**numbers), names


_SIDES = r"^\s*([^NSEWO]+[NS])[,;\s]+([^NSEWO]+[EWO])\s*$"
"""A place as `52°30'36"N 13°24'36"E`."""
_GEOHASH = "0123456789bcdefghjkmnpqrstuvwxyz"


def _of_words(column: pl.Series) -> pl.DataFrame | None:
    """Parse a column of geohashes, or of coordinates with compass letters; None where some cell is
    neither.
    """
    stated = column.drop_nulls()
    if not len(stated):
        return None
    if "geohash" in column.name.lower() and stated.str.contains(rf"^[{_GEOHASH}]{{3,12}}$").all():
        cells = [(None, None) if c is None else _center(c) for c in column]
        return pl.DataFrame(
            cells, schema={LATITUDE: pl.Float64, LONGITUDE: pl.Float64}, orient="row"
        )
    if not stated.str.contains(_SIDES).all():
        return None
    parts = [_in_degrees(column.str.extract(_SIDES, n)) for n in (1, 2)]
    return pl.DataFrame(dict(zip((LATITUDE, LONGITUDE), parts, strict=True)))


def _center(geohash: str) -> tuple[float, float]:
    """Return latitude and longitude of the center of a geohash's box."""
    ends = [[-180.0, 180.0], [-90.0, 90.0]]
    bits = [_GEOHASH.index(c) >> at & 1 for c in geohash for at in (4, 3, 2, 1, 0)]
    for n, bit in enumerate(bits):
        ends[n % 2][1 - bit] = sum(ends[n % 2]) / 2
    return sum(ends[1]) / 2, sum(ends[0]) / 2


def _points(column: pl.Series) -> pl.DataFrame | None:
    """Parse a column of points or pairs as two columns of degrees, in the order of the cells; None
    where some cell cannot be parsed or is out of range.
    """
    order = (LONGITUDE, LATITUDE)
    if isinstance(column.dtype, pl.List) and column.dtype.inner == pl.Float64:  # of GeoJSON
        if "coord" not in column.name.lower() or not (column.list.len() == 2).all():
            return None
        parts = [column.list.get(n) for n in (0, 1)]
    elif column.dtype == pl.Utf8 and (worded := _of_words(column)) is not None:
        return (
            None
            if any(worded[c].null_count() > column.null_count() for c in worded.columns)
            else worded
        )
    elif column.dtype == pl.Utf8:
        stated = column.drop_nulls()
        is_pair = _OF_PAIRS.search(column.name) is not None
        forms = (POINT, PAIR) if is_pair else (POINT,)
        first = stated.head(100)
        form = next((f for f in forms if len(first) and first.str.contains(f).all()), None)
        if form is None:
            return None
        parts = [column.str.extract(form, n).cast(pl.Float64, strict=False) for n in (1, 2)]
        if form == PAIR and not _LONGITUDE_FIRST.search(column.name):
            order = (LONGITUDE, LATITUDE) if (parts[0].abs() > 90).any() else (LATITUDE, LONGITUDE)
    else:
        return None
    degrees = pl.DataFrame(dict(zip(order, parts, strict=True)))
    is_all = all(part.null_count() == column.null_count() for part in parts)
    is_all = is_all and bool((degrees[LONGITUDE].abs() <= 180).all())
    return degrees if is_all and bool((degrees[LATITUDE].abs() <= 90).all()) else None


_DEGREES = (
    r"^([+-]?\d{1,3}(?:[.,]\d+)?)\s*°?\s*"
    r"(?:(\d{1,2}(?:[.,]\d+)?)\s*['’′]\s*)?(?:(\d{1,2}(?:[.,]\d+)?)\s*(?:[\"”″]|'')\s*)?$"
)
"""Degrees with minutes and seconds, without the compass letter."""


def _in_degrees(column: pl.Series) -> pl.Series:
    """Parse degrees as numbers, also `52°30'36"N` and `13.4 W`; null where a cell is no number."""
    numbers = column.cast(pl.Float64, strict=False)
    if column.dtype != pl.Utf8 or numbers.null_count() == column.null_count():
        return numbers
    text = column.str.strip_chars().str.to_uppercase()
    side = text.str.extract(r"^([NSEWO])|([NSEWO])$", 0)
    bare = text.str.replace(r"^[NSEWO]\s*|\s*[NSEWO]$", "")
    parts = [bare.str.extract(_DEGREES, n).str.replace(",", ".") for n in (1, 2, 3)]
    degrees, minutes, seconds = (part.cast(pl.Float64, strict=False) for part in parts)
    size = degrees.abs() + minutes.fill_null(0.0) / 60 + seconds.fill_null(0.0) / 3600
    is_below = side.is_in(["S", "W"]).fill_null(False) | parts[0].str.starts_with("-")
    signs = pl.Series([-1.0]).zip_with(is_below.fill_null(False), pl.Series([1.0]))
    return numbers.fill_null(size * signs)


def checked_degrees(
    frame: pl.DataFrame, table: str, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Check the degrees of a table: swapped columns are exchanged, values out of range and `0,0`
    become null, each with a finding.
    """
    if LATITUDE not in frame.columns or LONGITUDE not in frame.columns:
        return frame, []
    numbers = pl.DataFrame([_in_degrees(frame[name]) for name in (LATITUDE, LONGITUDE)])
    lat, lon = numbers[LATITUDE].to_numpy(), numbers[LONGITUDE].to_numpy()
    given = ~np.isnan(lat) & ~np.isnan(lon)
    beyond = given & (np.abs(lat) > 90.0)
    could_be = bool((np.abs(lon[given]) <= 90.0).all() and (np.abs(lat[given]) <= 180.0).all())
    if beyond.sum() > SWAPPED_SHARE * max(given.sum(), 1) and could_be:
        turned = frame.with_columns(
            numbers[LONGITUDE].alias(LATITUDE), numbers[LATITUDE].alias(LONGITUDE)
        )
        why = f"latitude and longitude in {place} are swapped (latitudes beyond 90); put right"
        return turned, [_degrees_finding("changed", int(given.sum()), why, table)]
    wrong = given & ((np.abs(lat) > 90.0) | (np.abs(lon) > 180.0))
    findings = []
    nowhere = given & (lat == 0.0) & (lon == 0.0)
    if nowhere.any() and not nowhere.all():
        why = f"degrees in {place} of 0,0 stand for none; left out"
        findings.append(_degrees_finding("changed", int(nowhere.sum()), why, table))
        given = given & ~nowhere
    if wrong.any():
        example = f"{lat[wrong][0]:g},{lon[wrong][0]:g}"
        why = f"degrees in {place} out of range, such as {example}; left out"
        findings.append(_degrees_finding("changed", int(wrong.sum()), why, table))
    missing = int((~given).sum())
    if missing:
        why = f"rows of {place} without a latitude and longitude: distance says nothing of them"
        findings.append(_degrees_finding("noted", missing, why, table))
    kept = pl.Series(given & ~wrong)
    return frame.with_columns(
        pl.when(kept).then(numbers[name]).alias(name) for name in (LATITUDE, LONGITUDE)
    ), findings


def _degrees_finding(action: Any, rows: int, why: str, table: str) -> Finding:
    return Finding(rule="degrees", rows=rows, action=action, why=why, table=table)


def _number(value: Any) -> float:
    try:
        return np.nan if value is None else float(value)
    except (TypeError, ValueError):
        return np.nan
