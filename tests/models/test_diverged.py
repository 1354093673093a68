"""A training that diverges ends in one line: a model of NaN is never saved."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import metarec
from metarec.data.schema import BadInput
from metarec.models.added import fit
from world import World, behavior_of


@pytest.mark.parametrize(
    ("name", "settings", "found"),
    [
        ("maml", {"outer_lr": 1e30}, "a loss of (nan|inf)"),
        ("r2d2", {"outer_lr": 1e30}, "(a loss of (nan|inf)|a matrix is not positive definite)"),
        ("deep_set", {"lr": 1e30}, "a loss of (nan|inf)"),
    ],
)
def test_a_fit_with_steps_far_too_large_ends_in_one_line(
    name: str, settings: dict[str, Any], found: str, rated_world: World
) -> None:
    said = rf"^the training of {name} diverged \({found}\); lower its .*\[models\.{name}\]"
    with pytest.raises(BadInput, match=said) as refused:
        metarec.Recommender.fit(
            rated_world.data, "tiny", encoder="none", models={"item_knn": {}, name: settings}
        )
    assert "\n" not in str(refused.value)


class _Endless:
    """A model as of this package whose evidence has no end, as of a fit that lost all digits."""

    __module__ = "metarec.models.endless"

    @classmethod
    def fit(cls, behavior: Any, rng: Any, config: Any = None) -> Any:
        return cls()

    def evidence(self, users: Any, out: Any = None) -> Any:
        return np.full((len(users), 6), np.inf, np.float32)


def test_evidence_that_is_not_finite_is_refused_after_a_fit() -> None:
    rows = [np.array(row) for row in ([0, 1, 2, 4], [2, 3, 0, 1], [4, 0, 1], [5, 2, 0])]
    made: Any = _Endless
    said = r"the training of endless diverged \(NaN or infinite values as evidence\)"
    with pytest.raises(BadInput, match=said):
        fit(made, behavior_of(rows, 6), np.random.default_rng(0), None, "endless")
