"""Types and shapes of models and recommendation are checked while tests run, and only then."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from metarec.models.ease import Ease
from metarec.models.trend import Trend
from metarec.recommendation.ensemble.gate import Gate


def test_a_wrong_shape_fails():
    gate = Gate(
        names=("a",),
        points=np.array([0, 5]),
        popularity_weight=np.ones(2),
        statistics_weight=np.zeros((2, 1)),
        weight=np.ones((2, 1)),
        smoothing=np.ones((2, 1)),
    )
    with pytest.raises(TypeCheckError, match="lengths"):
        gate.at(np.zeros((3, 2), np.int64))
    with pytest.raises(TypeCheckError, match="popularity_weight"):
        Gate(**{**gate.__dict__, "popularity_weight": np.ones((2, 2))})


def test_a_wrong_type_fails():
    with pytest.raises(TypeCheckError):
        Ease.from_arrays([1.0])


def test_every_function_that_says_a_shape_is_checked():
    """Also in a module that is not checked wholly."""
    with pytest.raises(TypeCheckError, match="'at'"):
        Trend.part(object.__new__(Trend), np.zeros((2, 2)))


def test_production_checks_nothing():
    told = "import metarec.models.ease, sys; print('beartype' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
