"""Where a short horizon is learned for, but many users have more events, the gate learns what each
model is worth after five and ten as well.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metarec.data.cold_users import LONG, SHORT
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.gate_tasks import candidates
from metarec.recommendation.ensemble.held_out_tasks import (
    GateTasks,
    as_longer,
    known_length,
    longer_support_sizes,
    longer_tasks,
)
from metarec.recommendation.fitting.ensemble_fit import fit_ensemble

ITEMS = 60


def behavior_of(lengths: list[int]) -> Behavior:
    rng = np.random.default_rng(0)
    return Behavior(
        histories=Histories.of_indexes([rng.permutation(ITEMS)[:length] for length in lengths]),
        profiles=np.zeros((len(lengths), 0), np.float32),
        content=np.zeros((ITEMS, 0), np.float32),
        relevant_from=0.0,
        horizon=SHORT,
    )


@pytest.mark.parametrize(
    ("lengths", "support_sizes"),
    [
        ([16] * 300 + [6] * 900, (5, 10)),
        ([16] * 299 + [6] * 500, ()),
        ([16] * 300 + [6] * 1300, ()),
        ([14] * 600, ()),
    ],
)
def test_three_hundred_users_and_a_fifth_must_have_fifteen_events(
    lengths: list[int], support_sizes: tuple[int, ...]
) -> None:
    assert longer_support_sizes(behavior_of(lengths)) == support_sizes


def test_a_long_horizon_has_these_support_sizes_already() -> None:
    behavior = behavior_of([40] * 400)

    assert longer_support_sizes(replace(behavior, horizon=LONG)) == ()


def test_tasks_show_ten_events_and_ask_for_what_came_after() -> None:
    behavior = behavior_of([16] * 300 + [6] * 100)
    seen: list[tuple[int, int]] = []

    def ask(
        longer: Behavior, n_support: int, users: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        seen.extend((n_support, int(longer.pools[user])) for user in users)
        return (
            np.zeros((1, len(users), ITEMS), np.float32),
            np.full(ITEMS, 1 / ITEMS, np.float32),
            np.zeros((ITEMS, 1), np.float32),
        )

    tasks = longer_tasks(behavior, np.array([0, 1, 350]), ask, np.random.default_rng(0))

    assert seen == [(5, 10), (5, 10), (10, 10), (10, 10)]  # who has six events is not asked
    for some in tasks:
        assert isinstance(some, GateTasks)
        assert some.is_relevant.sum(1).tolist() == [6, 6]
        assert some.is_real.sum(1).tolist() == [ITEMS - 10] * 2
    assert as_longer(behavior).targets.users(np.array([0])).items.tolist() == (
        behavior.histories.users(np.array([0])).items[10:].tolist()
    )


def test_of_a_user_who_likes_hundreds_some_are_asked_and_the_rest_are_no_candidates() -> None:
    behavior = behavior_of([40, 16])
    output = (
        np.zeros((1, 2, ITEMS), np.float32),
        np.full(ITEMS, 1 / ITEMS, np.float32),
        np.zeros((ITEMS, 1), np.float32),
    )
    after = behavior.targets.lengths

    few = candidates(
        behavior, np.arange(2), output, np.random.default_rng(0), config=GateConfig(relevant=20)
    )

    assert few.is_relevant.sum(1).tolist() == [20, after[1]]
    assert few.is_real.sum(1).tolist() == [ITEMS - 40 + 20, ITEMS - 16 + after[1]]


def test_the_gate_has_them_between_the_pool_and_users_known_for_long() -> None:
    """Also where users count differently, and not all are asked at each size."""
    weights = np.random.default_rng(1).random(360) + 0.5
    behavior = replace(behavior_of([16] * 300 + [6] * 60), weights=weights / weights.mean())

    gate = fit_ensemble(behavior, ("item_knn", "markov"), 0).gate

    assert gate.points.tolist() == [0, 1, 2, 3, 5, 10, known_length(behavior)]


def test_users_known_for_long_come_after_the_longest() -> None:
    behavior = behavior_of([16] * 300 + [8] * 900)  # the middle of what is known is 7

    assert known_length(behavior) == 11
