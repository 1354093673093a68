"""Types and shapes of models and recommendation are checked while tests run, and only then."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from jaxtyping import Float, TypeCheckError

from metarec.models.ease.model import Ease
from metarec.models.trend import Trend
from metarec.recommendation.ensemble.gate import Gate
from shape_checks import at_each_new_shape, sign


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
        Trend.score_component(object.__new__(Trend), np.zeros((2, 2)))


def test_each_new_shape_of_arguments_and_of_results_is_checked():
    answers = iter([np.ones(3), np.ones(2), np.ones(2), np.ones(5)])

    @at_each_new_shape
    def answer(given: Float[np.ndarray, "users"]) -> Float[np.ndarray, "users"]:
        return next(answers)

    answer(np.ones(3))
    answer(np.ones(2))
    with pytest.raises(TypeCheckError, match="parameters"):
        answer(np.ones((2, 1)))
    answer(np.ones(2))
    with pytest.raises(TypeCheckError, match="return value"):
        answer(np.ones(2))


def test_types_within_are_told_apart():
    assert sign([1, "a"]) != sign([1, 2]) == sign([5, 7])
    assert sign({"a": np.ones(2)}) != sign({"a": np.ones(3)}) != sign({"b": np.ones(3)})
    assert sign((np.ones(2), None)) != sign((np.ones(2, np.float32), None))
    assert sign(int) != sign(str)


def test_production_checks_nothing():
    told = "import metarec.models.ease.model, sys; print('beartype' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
