"""Sums of decays, found piece by piece, are those of whole tables."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from metarec.features.distance import decay, decayed_sums, km_table, on_sphere
from metarec.features.histories import Histories
from metarec.runtime.scratch import PIECE, column_pieces


@pytest.mark.parametrize("power", [0.0, 1.0, 2.0, 1.5])
def test_sums_by_pieces_are_those_of_the_table(power: float) -> None:
    rng = np.random.default_rng(0)
    owned = Histories.of_indexes([np.arange(n) for n in (70, 0, 60)])
    degrees = rng.uniform((40, 5), (42, 8), (3_000, 2))
    rows, columns = on_sphere(degrees[:130]), on_sphere(degrees)
    weights = rng.random(130).astype(np.float32)
    assert len(column_pieces(130, 3_000)) > 1 and PIECE < 130 * 3_000

    summing = sp.csr_matrix((weights, np.arange(130), owned.offsets), (3, 130))
    decays = [(2.0, power), (9.0, 1.0)]
    found = decayed_sums(summing, rows, columns.T, decays)

    for sums, some in zip(found, decays, strict=True):
        table = decay(km_table(rows, columns), *some) * weights[:, None]
        np.testing.assert_allclose(sums, owned.sums(table), rtol=1e-5, atol=1e-7)
        assert not sums[1].any()


def test_what_was_done_twice_at_one_point_counts_twice() -> None:
    points = on_sphere(np.array([[40.0, 5.0], [41.0, 5.0]]))
    weights, events = np.array([1.0, 2.0, 4.0, 8.0], np.float32), np.array([1, 0, 1, 1])
    summing = sp.csr_matrix((weights, np.arange(4), [0, 3, 4]), (2, 4))

    found = decayed_sums(summing, points[events], points.T, [(1e-9, 2.0)])[0]

    np.testing.assert_allclose(found, [[2.0, 5.0], [0.0, 8.0]], atol=1e-6)


def test_decay_leaves_the_distances_as_they_are() -> None:
    km = np.array([0.0, 2.0, 6.0], np.float32)

    np.testing.assert_allclose(decay(km, 2.0, 1.0), [1.0, 0.5, 0.25])
    np.testing.assert_allclose(decay(km, 2.0, 2.0), [1.0, 0.25, 0.0625])
    np.testing.assert_allclose(decay(km, 2.0, 0.0), np.exp([0.0, -1.0, -3.0]), rtol=1e-6)
    np.testing.assert_array_equal(km, [0.0, 2.0, 6.0])
