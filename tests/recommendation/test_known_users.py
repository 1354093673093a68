"""Users known for longer than the pool have a support size of their own in the gate."""

from __future__ import annotations

import numpy as np

from metarec.data.cold_users import SHORT
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.recommendation.ensemble.held_out_tasks import as_known, known_length, known_tasks
from metarec.recommendation.fitting.ensemble_fit import fit_ensemble


def walks(users: int = 300, items: int = 40, length: int = 10) -> Behavior:
    """A random past, then what follows the newest event on a ring."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(users):
        past = rng.permutation(items)[:length]
        following = (past[-1] + 1) % items
        rows.append(np.append(past[past != following], following))
    return Behavior(
        histories=Histories.of_indexes(rows),
        profiles=np.zeros((users, 0), np.float32),
        content=np.zeros((items, 0), np.float32),
        relevant_from=0.0,
        horizon=SHORT,
    )


def test_a_known_user_is_asked_for_the_last_thing_they_wanted() -> None:
    histories = Histories.of_indexes([np.arange(6), np.arange(5)])
    values = np.array([5, 5, 5, 5, 5, 1, 5, 5, 5, 5, 5], np.float32)
    behavior = Behavior(
        histories=Histories(offsets=histories.offsets, items=histories.items, values=values),
        profiles=np.zeros((2, 0), np.float32),
        content=np.zeros((8, 0), np.float32),
        relevant_from=4.0,
        horizon=SHORT,
    )
    known = as_known(behavior)
    assert known.pools.tolist() == [4, 4]
    assert known.targets.items.tolist() == [4, 4]


def test_the_gate_has_a_support_size_beyond_the_pool_and_the_tasks_leave_the_history_out() -> None:
    behavior = walks()
    ensemble = fit_ensemble(behavior, ("item_knn", "markov"), 0)
    assert ensemble.gate.points.tolist() == [0, 1, 2, 3, known_length(behavior)]
    users = np.arange(20)
    seen = []

    def ask(shots: int, some: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        seen.append(shots)
        shape = (len(some), 40)
        return (
            np.zeros((1, *shape), np.float32),
            np.full(40, 1 / 40, np.float32),
            np.zeros((40, 1), np.float32),
        )

    tasks = known_tasks(behavior, users, ask, np.random.default_rng(0))
    assert tasks.is_relevant.sum(1).tolist() == [1] * 20
    assert min(seen) >= behavior.histories.lengths.max() - 1
    lengths = behavior.histories.lengths[users]
    assert (tasks.is_real.sum(1).numpy() == 40 - (lengths - 1)).all()


def test_order_is_trusted_for_known_users_where_only_it_tells_what_comes() -> None:
    gate = fit_ensemble(walks(), ("item_knn", "markov"), 0).gate
    sequence = gate.weight[-1, 1]
    assert sequence > gate.weight[-1, 0]
    assert sequence > gate.weight[-2, 1]
