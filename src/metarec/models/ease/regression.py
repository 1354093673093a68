"""Closed-form regression of items on each other, from their Gram matrix or from the users behind
it. Where items have places, nearby items can share a part of their weights.

Without places, every weight is shrunk towards zero independently. With them, the prior covariance
of the weights out of two items is K = I + share x F F', where F F' approximates a mean of kernels
exp(-km / scale) of the distance between the items (Nystroem approximation by a sample of items, the
landmarks). The weights are B = (S + ridge K^-1)^-1 G, with S the Gram matrix with its scaled
diagonal and G the one with a zero diagonal; by Woodbury's identity this is a correction of the
plain weights.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
import torch

from metarec.data.places import is_placed
from metarec.features.distance import km_table, mean_kernel, points_on_sphere

MIN_EIGENVALUE = 1e-3
"""Guard: eigenvectors of the landmarks' kernel with less than this share of the largest eigenvalue
are dropped, since landmarks in one street are nearly the same.
"""


def among_head(gram: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """[H, H] weights of the regression of each item of the head on all others."""
    inverse = inverse_of(gram, diagonal)
    among = inverse / -np.diag(inverse)[None, :]
    np.fill_diagonal(among, 0.0)
    return np.asarray(among)


def inverse_of(gram: np.ndarray, diagonal: np.ndarray) -> np.ndarray:
    """[H, H] inverse of the Gram matrix with `diagonal` as its diagonal."""
    matrix = torch.from_numpy(gram.copy())
    matrix.diagonal().copy_(torch.from_numpy(diagonal))
    return np.asarray(torch.cholesky_inverse(torch.linalg.cholesky(matrix)).numpy())


def among_few_users(events: sp.csr_matrix, diagonal: np.ndarray) -> np.ndarray:
    """[H, H] the weights of `among_head` for fewer users than items: the Gram matrix is given by
    `events` [B, H], and a B x B matrix is inverted (Woodbury's identity).

    With E the excess of `diagonal` over the Gram matrix's own, and Z = X E^-1/2, the inverse is
    E^-1/2 (I - W'W) E^-1/2, where W = L^-1 Z and LL' = I + ZZ'.
    """
    among, root = _shared(events, diagonal)  # off the diagonal, minus the scaled inverse
    among /= (1.0 - np.diag(among))[None, :] * root[:, None] / root[None, :]
    np.fill_diagonal(among, 0.0)
    return among


def inverse_of_few_users(events: sp.csr_matrix, diagonal: np.ndarray) -> np.ndarray:
    """[H, H] the inverse of `inverse_of` for fewer users than items, see `among_few_users`."""
    inverse, root = _shared(events, diagonal)
    np.negative(inverse, out=inverse)
    inverse[np.diag_indices(len(root))] += 1.0
    inverse /= root[:, None] * root[None, :]
    return inverse


def energy(events: sp.csr_matrix) -> np.ndarray:
    """[N] diagonal of the Gram matrix of `events` [B, N]."""
    return np.asarray(events.power(2).sum(0)).ravel()


def _shared(events: sp.csr_matrix, diagonal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """W'W [H, H] and E^1/2 [H] of `among_few_users`."""
    root = np.sqrt(diagonal - energy(events)).astype(np.float32)
    scaled = torch.from_numpy((events.toarray() / root).astype(np.float32))
    lower = torch.linalg.cholesky(scaled @ scaled.T + torch.eye(len(scaled)))
    shared = torch.linalg.solve_triangular(lower, scaled, upper=False)
    return (shared.T @ shared).numpy(), root


def among_places(
    inverse: np.ndarray, diagonal: np.ndarray, ridge: float, features: np.ndarray, share: float
) -> np.ndarray:
    """[H, H] weights when nearby items share a part of them; overwrites `inverse`.

    Args:
        inverse: [H, H] of the Gram matrix with its scaled `diagonal` [H], the ridge included.
        features: [H, R] features from `place_features`.
        share: prior variance of the shared part, beside 1 of an item's own part.
    """
    near = (np.float32(np.sqrt(share)) * features).astype(np.float32)
    left = np.float32(ridge) * (inverse @ near)
    inner = near.T @ near - near.T @ left
    inner[np.diag_indices(len(inner))] += 1.0
    weights = inverse
    weights *= -diagonal[None, :].astype(np.float32)
    weights[np.diag_indices(len(weights))] += 1.0
    weights += left @ np.linalg.solve(inner, near.T @ weights).astype(np.float32)
    np.fill_diagonal(weights, 0.0)
    return weights


def place_features(
    places: np.ndarray,
    counts: np.ndarray,
    scales: Sequence[float],
    landmarks: int,
    rng: np.random.Generator,
) -> np.ndarray:
    """[N, R] float32 features whose inner products approximate the mean kernel of the distance
    between two items; 0 where an item has no place.

    Args:
        places: [N, 2] degrees, NaN where unknown.
        counts: [N] events of each item; landmarks are drawn in proportion to them.
        scales: kilometers at which an exponential kernel falls to 1/e.
        landmarks: number of landmarks, at most.
    """
    able = np.flatnonzero(is_placed(places) & (counts > 0))
    if len(able) > landmarks:
        able = rng.choice(able, landmarks, replace=False, p=counts[able] / counts[able].sum())
    if not len(able):
        return np.zeros((len(places), 0), np.float32)
    points = points_on_sphere(places)
    kernel = mean_kernel(km_table(points, points[np.sort(able)]), scales)
    value, vector = np.linalg.eigh(kernel[np.sort(able)].astype(np.float64))
    kept = value > MIN_EIGENVALUE * value[-1]
    features = kernel @ (vector[:, kept] / np.sqrt(value[kept])).astype(np.float32)
    features[~is_placed(places)] = 0.0
    return np.asarray(features, np.float32)
