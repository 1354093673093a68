import numpy as np
import pytest

from metarec.runtime.interpolation import Interpolation


@pytest.mark.parametrize("events", [0, 1, 2, 5, 6, 19, 20, 500])
def test_between_points_values_follow_the_logarithm_of_events_and_beyond_them_they_stay(events):
    points, values = np.array([1, 5, 20]), np.array([[1.0, -2.0], [3.0, 0.0], [4.0, 7.0]])
    expected = [np.interp(np.log1p(events), np.log1p(points), column) for column in values.T]
    np.testing.assert_allclose(
        Interpolation.between(points, values).after(np.array([events, events])),
        [expected, expected],
        rtol=1e-12,
    )


def test_a_single_point_speaks_for_every_number_of_events():
    np.testing.assert_array_equal(
        Interpolation.between([0], np.array([[2.0]])).after(np.array([0, 3])), [[2.0], [2.0]]
    )
