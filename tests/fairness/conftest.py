from __future__ import annotations

import numpy as np
import pytest

from explanation.closed_form import ClosedForm
from fairness.biased_world import biased_cold_users, biased_data
from metarec.evaluation.measure import EvaluationSet
from metarec.fairness.groups import group_users
from metarec.fairness.outcomes import evaluate


class Blind(ClosedForm):
    """The closed form without its profile part: it cannot know a new user's group, so it serves the
    taste of the many.
    """

    def score_components(self, requests):
        parts = super().score_components(requests)
        return parts | {"profile": np.zeros_like(parts["profile"])}


@pytest.fixture(scope="session")
def data():
    return biased_data()


@pytest.fixture(scope="session")
def evaluation_set(data):
    return EvaluationSet.of(biased_cold_users(), data)


@pytest.fixture(scope="session")
def blind(data):
    return Blind.fit(data)


@pytest.fixture(scope="session")
def outcomes(blind, evaluation_set):
    return evaluate(blind, evaluation_set, (0, 3))


@pytest.fixture(scope="session")
def by_group(evaluation_set):
    return group_users(evaluation_set.cold_users, "group")
