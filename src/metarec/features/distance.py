"""Distances between places, and how evidence decays with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from metarec.data.places import EARTH_KM
from metarec.features.histories import Histories
from metarec.runtime.scratch import Scratch, column_pieces

_SCRATCH = Scratch()


def on_sphere(degrees: np.ndarray) -> np.ndarray:
    """[E, 3] float32 points of the unit sphere: straight lines between them are distances short
    enough to tell what is near.
    """
    latitude, longitude = np.radians(degrees[:, 0]), np.radians(degrees[:, 1])
    flat = np.cos(latitude)
    return np.stack(
        [flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1
    ).astype(np.float32)


def points_on_sphere(places: np.ndarray) -> np.ndarray:
    """[N, 3] of `places` [N, 2]; of what stands nowhere some point, not to be read."""
    return on_sphere(np.nan_to_num(places))


def km_table(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """[E, N] kilometers between points of the sphere, [E, 3] and [N, 3]."""
    chord = np.zeros((len(rows), len(columns)), np.float32)
    for axis in range(3):
        chord += (rows[:, axis, None] - columns[None, :, axis]) ** 2
    return np.asarray(np.sqrt(chord, out=chord) * np.float32(EARTH_KM))


def km_pairs(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """[P] kilometers between points of the sphere [P, 3], pair by pair."""
    return np.asarray(np.sqrt(((rows - columns) ** 2).sum(1)) * np.float32(EARTH_KM))


def decay(km: np.ndarray, scale: float, power: float) -> np.ndarray:
    """(1 + km / scale) ** -power; exp(-km / scale) where the power is 0."""
    found = np.asarray(km / np.float32(scale))
    _decay_in_place(found, power)
    return found


def _decay_in_place(far: np.ndarray, power: float) -> None:
    """`decay` of distances over the scale, written over them."""
    if power == 0.0:
        np.negative(far, out=far)
        np.exp(far, out=far)
        return
    far += np.float32(1.0)
    if power == 2.0:  # neither 1 nor 2 is worth a power, which costs several times as much
        far *= far
    elif power != 1.0:
        np.power(far, np.float32(power), out=far)
    np.reciprocal(far, out=far)


def decayed_sums(
    owned: Histories,
    weights: np.ndarray,
    rows: np.ndarray,
    columns: np.ndarray,
    scale: float,
    power: float,
) -> np.ndarray:
    """[B, N] float32: for each user the sum over their events of a weight times the decay of the
    distance between the event and each column.

    Distance, decay and sum are found piece by piece of the columns, so that every step but the last
    stays within a core's own cache: a third of the time of whole tables.

    Args:
        owned: [E] whose event each row is.
        weights: [E] float32.
        rows: [E, 3] points of the sphere; `columns` [3, N] too.
    """
    found = np.zeros((len(owned), columns.shape[1]), np.float32)
    summing = sp.csr_matrix((weights, np.arange(len(rows)), owned.offsets), (len(owned), len(rows)))
    for piece in column_pieces(len(rows), columns.shape[1]) if len(rows) else ():
        here = columns[:, piece]
        far, step = _SCRATCH.array("far", (2, len(rows), here.shape[1]))
        far[...] = 0.0
        for axis in range(3):
            np.subtract(rows[:, axis, None], here[axis], out=step)
            step *= step
            far += step
        np.sqrt(far, out=far)
        far *= np.float32(EARTH_KM / scale)
        _decay_in_place(far, power)
        found[:, piece] = summing @ far
    return found


def mean_kernel(km: np.ndarray, scales: Sequence[float]) -> np.ndarray:
    """exp(-km / scale), the mean over the scales."""
    found = np.zeros_like(km)
    for scale in scales:
        found += np.exp(-km / np.float32(scale))
    return np.asarray(found / np.float32(len(scales)))
