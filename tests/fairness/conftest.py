from __future__ import annotations

import numpy as np
import pytest

from explanation.closed_form import ClosedForm
from fairness.biased_world import biased_cold_users, biased_data
from metarec.evaluation.measure import Trial
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
def trial(data):
    return Trial.of(biased_cold_users(), data)


@pytest.fixture(scope="session")
def blind(data):
    return Blind.fit(data)


@pytest.fixture(scope="session")
def outcomes(blind, trial):
    return evaluate(blind, trial, (0, 3))


@pytest.fixture(scope="session")
def by_group(trial):
    return group_users(trial.cold_users, "group")
