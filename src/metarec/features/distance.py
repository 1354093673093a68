"""Distances between locations, and decay functions of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import scipy.sparse as sp

from metarec.data.places import EARTH_KM
from metarec.runtime.scratch import Scratch, column_pieces

Decay: TypeAlias = "tuple[float, float]"
"""Scale in kilometers and exponent, the parameters of `decay`."""
_SCRATCH = Scratch()


def on_sphere(degrees: np.ndarray) -> np.ndarray:
    """Return points [E, 3] float32 on the unit sphere for latitude and longitude [E, 2] in degrees.
    Chords between them approximate short distances well.
    """
    latitude, longitude = np.radians(degrees[:, 0]), np.radians(degrees[:, 1])
    flat = np.cos(latitude)
    return np.stack(
        [flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1
    ).astype(np.float32)


def points_on_sphere(places: np.ndarray) -> np.ndarray:
    """Return points [N, 3] of `places` [N, 2]; for an unknown place (NaN) an arbitrary point."""
    return on_sphere(np.nan_to_num(places))


def km_table(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return distances [E, N] in kilometers between points of the sphere, [E, 3] and [N, 3]."""
    chord = np.zeros((len(rows), len(columns)), np.float32)
    for axis in range(3):
        chord += (rows[:, axis, None] - columns[None, :, axis]) ** 2
    return np.asarray(np.sqrt(chord, out=chord) * np.float32(EARTH_KM))


def km_pairs(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return distances [P] in kilometers between pairs of points of the sphere [P, 3]."""
    return np.asarray(np.sqrt(((rows - columns) ** 2).sum(1)) * np.float32(EARTH_KM))


def decay(km: np.ndarray, scale: float, power: float) -> np.ndarray:
    """Return (1 + km / scale) ** -power, or exp(-km / scale) where the power is 0."""
    decayed = np.asarray(km / np.float32(scale))
    _decay_in_place(decayed, power)
    return decayed


def _decay_in_place(far: np.ndarray, power: float) -> None:
    """Replace `far`, distances over the scale, by their `decay`."""
    if power == 0.0:
        np.negative(far, out=far)
        np.exp(far, out=far)
        return
    far += np.float32(1.0)
    if power == 2.0:  # for 1 and 2, products are several times as fast as a power
        far *= far
    elif power != 1.0:
        np.power(far, np.float32(power), out=far)
    np.reciprocal(far, out=far)


def decayed_sums(
    summing: sp.csr_matrix, rows: np.ndarray, columns: np.ndarray, decays: Sequence[Decay]
) -> np.ndarray:
    """Return [D, B, N] float32: for each decay and user, the sum over events of a weight times the
    decay of the distance between the event and each column.

    Distances, decays and sums are computed for chunks of columns, so that every step but the last
    stays in a core's own cache, which takes a third of the time of whole tables. Distances from
    events at the same point are computed once: a user's location is often that of their last event.

    Args:
        summing: [B, E] weights of the events of each user.
        rows: [E, 3] points of the sphere.
        columns: [3, N] points of the sphere.
        decays: D pairs of scale and exponent.
    """
    sums = np.zeros((len(decays), summing.shape[0], columns.shape[1]), np.float32)
    summing, rows = _at_one_point(summing, rows)
    for piece in column_pieces(len(rows), columns.shape[1]) if len(rows) else ():
        here = columns[:, piece]
        km, step = _SCRATCH.array("far", (2, len(rows), here.shape[1]))
        _chords(rows, here, km, step)
        for place, (scale, power) in enumerate(decays):
            np.multiply(km, np.float32(EARTH_KM / scale), out=step)
            _decay_in_place(step, power)
            sums[place, :, piece] = summing @ step
    return sums


def decayed_rows(rows: np.ndarray, columns: np.ndarray, scale: float, power: float) -> np.ndarray:
    """Return [E, N] float32 decays of the distances between the points of `rows` [E, 3] and those
    of `columns` [3, N], computed for chunks of columns as in `decayed_sums`.
    """
    far = np.empty((len(rows), columns.shape[1]), np.float32)
    for piece in column_pieces(len(rows), columns.shape[1]):
        here, chord = columns[:, piece], far[:, piece]
        _chords(rows, here, chord, _SCRATCH.array("far", chord.shape))
        chord *= np.float32(EARTH_KM / scale)
        _decay_in_place(chord, power)
    return far


def _chords(rows: np.ndarray, columns: np.ndarray, out: np.ndarray, step: np.ndarray) -> None:
    """Write the lengths of the chords between points [E, 3] and [3, N] into `out`; `step` is
    another array of its shape.
    """
    for axis in range(3):
        far = step if axis else out
        np.subtract(rows[:, axis, None], columns[axis], out=far)
        far *= far
        if axis:
            out += step
    np.sqrt(out, out=out)


def _at_one_point(summing: sp.csr_matrix, rows: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """Return weights [B, E'] and points [E', 3] with events at the same point merged."""
    first, place = different_points(rows)
    if len(first) == len(rows):
        return summing, rows
    entries = summing.data, place[summing.indices], summing.indptr
    return sp.csr_matrix(entries, (summing.shape[0], len(first))), rows[first]


def different_points(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the first row of each distinct point of `rows` [E, 3] float32, and the
    number [E] of each row's point.
    """
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, 12))).ravel()
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    return first, place


def mean_kernel(km: np.ndarray, scales: Sequence[float]) -> np.ndarray:
    """Return the mean over the scales of exp(-km / scale)."""
    kernel = np.zeros_like(km)
    for scale in scales:
        kernel += np.exp(-km / np.float32(scale))
    return np.asarray(kernel / np.float32(len(scales)))
