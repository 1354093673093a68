"""Distances between places, and how evidence decays with them."""

from __future__ import annotations

import numpy as np

from metarec.data.places import EARTH_KM


def on_sphere(degrees: np.ndarray) -> np.ndarray:
    """[E, 3] float32 points of the unit sphere: straight lines between them are distances short
    enough to tell what is near.
    """
    latitude, longitude = np.radians(degrees[:, 0]), np.radians(degrees[:, 1])
    flat = np.cos(latitude)
    return np.stack(
        [flat * np.cos(longitude), flat * np.sin(longitude), np.sin(latitude)], axis=1
    ).astype(np.float32)


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
    if power == 0.0:
        return np.asarray(np.exp(-km / np.float32(scale)))
    far = 1.0 + km / np.float32(scale)
    if power == 1.0:  # neither is worth a power, which costs several times as much
        return np.asarray(1.0 / far)
    if power == 2.0:
        return np.asarray(1.0 / (far * far))
    return np.asarray(far ** np.float32(-power))
