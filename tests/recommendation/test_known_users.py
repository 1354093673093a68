"""Users known for longer than the pool have a support size of their own in the gate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from metarec.data.cold_users import LONG, SHORT
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.recommendation.configs import config_in
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.held_out_tasks import (
    as_known,
    is_ended,
    known_length,
    known_tasks,
    with_long_support,
)
from metarec.recommendation.fitting.cross_fitting import score_held_out, split_ended, task_weights
from metarec.recommendation.fitting.ensemble_fit import fit_ensemble
from metarec.recommendation.fitting.held_out_users import folds_of
from world import behavior_of


def walks(users: int = 300, items: int = 40, length: int = 10) -> Behavior:
    """A random past, then what follows the newest event on a ring."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(users):
        past = rng.permutation(items)[:length]
        following = (past[-1] + 1) % items
        rows.append(np.append(past[past != following], following))
    return behavior_of(rows, items)


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

    def ask(n_support: int, some: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        seen.append(n_support)
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


def short_and_long(short: int, users: int = 240, items: int = 40) -> Behavior:
    """Users of nine events in any order, and `short` users of four: three in any order, then what
    follows the newest on a ring.
    """
    rng = np.random.default_rng(0)
    rows = [rng.permutation(items)[:9] for _ in range(users)]
    for _ in range(short):
        past = rng.permutation(items)[:3]
        following = (past[-1] + 1) % items
        rows.append(np.append(np.where(past == following, (past + 7) % items, past), following))
    return behavior_of(rows, items)


def test_who_ended_has_one_target_event_after_three_and_nothing_more() -> None:
    histories = Histories.of_indexes([np.arange(length) for length in (3, 4, 4, 5)])
    values = np.full(16, 5.0, np.float32)
    values[10] = 1.0  # the last event of the second user of four is disliked
    behavior = Behavior(
        histories=replace(histories, values=values),
        profiles=np.zeros((4, 0), np.float32),
        content=np.zeros((8, 0), np.float32),
        relevant_from=4.0,
        horizon=SHORT,
    )
    assert is_ended(behavior).tolist() == [False, True, False, False]
    assert not is_ended(replace(behavior, horizon=LONG)).any()
    assert not is_ended(behavior.users(np.arange(3))).any()  # nobody else teaches


def test_who_ended_is_held_out_in_the_same_share_and_asked_at_the_end_of_the_horizon() -> None:
    behavior = replace(short_and_long(120), weights=np.linspace(1.0, 2.0, 360))
    config = config_in({}, GateConfig)
    folds = folds_of(behavior, np.random.default_rng(0), config)
    assert np.array_equal(np.sort(np.concatenate(folds)), np.arange(360))
    sizes = [[len(part) for part in split_ended(behavior, fold)] for fold in folds]
    assert sizes == [[240 // len(folds), 120 // len(folds)]] * len(folds)
    few = replace(config, many=100, held_out=60, min_held_out=1)
    once = folds_of(behavior, np.random.default_rng(0), few)
    assert [[len(part) for part in split_ended(behavior, fold)] for fold in once] == [[60, 30]]
    tasks = score_held_out(behavior, ("markov",), {}, once[0], np.random.default_rng(0))[:5]
    assert [len(some.shares) for some in tasks] == [60, 60, 60, 90, 60]
    assert tasks[3].is_relevant[60:].sum(1).tolist() == [1] * 30
    weights = task_weights(behavior, once)
    assert weights is not None and [len(some) for some in weights] == [60, 60, 60, 90, 60]
    going_on, ended = split_ended(behavior, once[0])
    assert np.array_equal(weights[3], behavior.weights[np.concatenate([going_on, ended])])


def test_order_is_trusted_after_three_events_where_those_who_end_there_follow_it() -> None:
    weights = [
        fit_ensemble(short_and_long(short), ("item_knn", "markov"), 0).gate.weight[:, 1]
        for short in (120, 0)
    ]
    assert weights[0][3] > 2 * weights[1][3]
    assert weights[0][3] > 2 * weights[0][1]


def test_beyond_a_long_horizon_all_that_is_liked_in_the_second_half_is_asked_about() -> None:
    histories = Histories.of_indexes([np.arange(length) for length in (60, 34, 60)])
    values = np.full(154, 5.0, np.float32)
    values[94 + 26 :] = 1.0  # the third user likes nothing after their 26th event
    behavior = Behavior(
        histories=replace(histories, values=values),
        profiles=np.zeros((3, 0), np.float32),
        content=np.zeros((60, 0), np.float32),
        relevant_from=4.0,
        horizon=LONG,
    )
    longer = with_long_support(behavior)
    assert longer.pools.tolist() == [30, 20, 25]
    assert longer.targets.lengths.tolist() == [30, 14, 1]
    assert known_length(behavior) == 27  # the middle of 30 and 25, as 20 is not beyond the pool
    short = replace(behavior, horizon=SHORT)
    assert np.array_equal(with_long_support(short).pools, as_known(short).pools)


def test_order_is_not_trusted_after_many_events_where_it_tells_the_last_event_alone() -> None:
    behavior = replace(walks(users=120, items=90, length=45), horizon=LONG)
    weight = fit_ensemble(behavior, ("item_knn", "markov"), 0).gate.weight[:, 1]
    assert weight[-1] < 1.5 * weight[-2]
