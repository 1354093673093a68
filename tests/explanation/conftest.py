from __future__ import annotations

import numpy as np
import pytest

from explanation.closed_form import ClosedForm
from metarec.data.cold_users import ColdUser
from metarec.evaluation.measure import EvaluationSet
from metarec.explanation.decomposition import ablate


@pytest.fixture(scope="session")
def model(rated_world):
    return ClosedForm.fit(rated_world.data)


@pytest.fixture(scope="package")
def evaluation_set(rated_world):
    users = []
    for n in range(12):
        taste, other = ("space", "garden") if n % 2 else ("garden", "space")
        items = [rated_world.items_of_taste[taste][(n + j) % 12] for j in range(12)]
        users.append(
            ColdUser(
                user_id=f"n{n}",
                profile={},
                pool=[(i, 5.0) for i in items[:4]],
                query=[(i, 5.0) for i in items[4:]],
                relevant=items[4:],
            )
        )
    return EvaluationSet.of(users, rated_world.data)


@pytest.fixture(scope="package")
def ablation(model, evaluation_set):
    return ablate(model, evaluation_set, support_sizes=(0, 3), rng=np.random.default_rng(0))
