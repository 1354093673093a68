from __future__ import annotations

import pytest

from explanation.closed_form import ClosedForm


@pytest.fixture(scope="session")
def model(rated_world):
    return ClosedForm.fit(rated_world.data)
