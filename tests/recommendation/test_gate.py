"""The gate's formula, its interpolation, and that it learns whom to trust."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from metarec.recommendation.ensemble import gate_tasks, held_out_tasks
from metarec.recommendation.ensemble.gate import Gate, log_scores
from metarec.recommendation.ensemble.gate_config import GateConfig
from metarec.recommendation.ensemble.gate_tasks import GateTasks
from metarec.recommendation.ensemble.gate_training import (
    _descend,
    _first,
    _high_ranked,
    _ranking_loss,
    _untrained,
    train_gate,
)
from metarec.recommendation.ensemble.gate_tuning import FACTORS, _at, _Sums, with_mixing
from metarec.recommendation.fitting import held_out_users


@pytest.fixture
def gate() -> Gate:
    return Gate(
        names=("a", "b"),
        points=np.array([0, 3]),
        popularity_weight=np.array([1.0, 2.0]),
        statistics_weight=np.array([[0.5], [1.5]]),
        weight=np.array([[0.0, 1.0], [2.0, 1.0]]),
        smoothing=np.array([[1.0, 0.5], [1.0, 2.0]]),
    )


def test_parts_follow_the_formula_by_hand(gate: Gate) -> None:
    popularity, item_statistics = (
        np.array([0.75, 0.25], np.float32),
        np.array([[1.0], [-1.0]], np.float32),
    )
    evidence = {"a": np.array([[3.0, 1.0]], np.float32), "b": np.array([[0.0, 0.0]], np.float32)}

    parts = gate.score_components(popularity, item_statistics, evidence, np.array([3]))

    np.testing.assert_allclose(parts["popularity"], [2 * np.log([0.75, 0.25])], rtol=1e-6)
    np.testing.assert_allclose(parts["item_statistics"], [[1.5, -1.5]], rtol=1e-6)
    np.testing.assert_allclose(parts["a"], [2 * np.log1p([0.75 / 0.75, 0.25 / 0.25])], rtol=1e-6)
    np.testing.assert_array_equal(parts["b"], [[0.0, 0.0]])


def test_the_score_is_the_sum_of_the_parts_whether_evidence_is_full_or_sparse(gate: Gate) -> None:
    """Over several pieces of a catalog, with a user of whom one scorer knows nothing and one whom
    nobody knows.
    """
    rng = np.random.default_rng(0)
    users, items = 130, 2500
    popularity = rng.dirichlet(np.ones(items)).astype(np.float32) + np.float32(1e-9)
    item_statistics = rng.normal(size=(items, 1)).astype(np.float32)
    full = rng.gamma(0.3, size=(users, items)).astype(np.float32)
    few = (full * (rng.random((users, items)) < 0.02)).astype(np.float32)
    full[0], few[:2] = 0.0, 0.0
    lengths = rng.integers(0, 6, users)
    expected = sum(
        gate.score_components(popularity, item_statistics, {"a": full, "b": few}, lengths).values()
    )
    base = np.concatenate([np.log(popularity)[None, :], item_statistics.T])

    for second in (few.copy(), sp.csr_matrix(few)):
        found = np.empty((users, items), np.float32)
        gate.score(1 / popularity, base, [full.copy(), second], lengths, out=found)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    gate.score(1 / popularity, base, [np.stack([full, few])], lengths, out=found)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_training_follows_the_same_formula(gate: Gate) -> None:
    rng = np.random.default_rng(1)
    popularity = rng.dirichlet(np.ones(7)).astype(np.float32)
    statistics = rng.normal(size=(7, 1)).astype(np.float32)
    evidence = {name: rng.dirichlet(np.ones(7), size=3).astype(np.float32) for name in gate.names}
    expected = sum(gate.score_components(popularity, statistics, evidence, np.full(3, 3)).values())
    found = log_scores(
        *(
            torch.from_numpy(np.asarray(learned[1], np.float32))
            for learned in (
                gate.popularity_weight,
                gate.statistics_weight,
                gate.weight,
                gate.smoothing,
            )
        ),
        shares=torch.from_numpy(np.stack([*evidence.values()], -1)),
        popularity=torch.from_numpy(popularity).expand(3, -1),
        item_statistics=torch.from_numpy(statistics).expand(3, -1, -1),
    )
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5)


def test_the_last_step_follows_the_same_formula(gate: Gate) -> None:
    """What it adds up by parts, before and after any of them is scaled, is the whole formula."""
    draw = torch.Generator().manual_seed(0)
    shares = torch.rand(5, 20, 2, generator=draw)
    tasks = GateTasks(
        shares=shares / shares.sum(1, keepdim=True),
        popularity=torch.rand(5, 20, generator=draw),
        item_statistics=torch.randn(5, 20, 1, generator=draw),
        log_weight=torch.zeros(5, 20),
        is_real=torch.ones(5, 20, dtype=torch.bool),
        is_relevant=torch.rand(5, 20, generator=draw) < 0.3,
    )
    point = _at(gate, 1, models=1)
    for what in FACTORS:
        scaled = point.scaled(what, 0.5)
        found = _Sums.of(point, tasks).scaled(what, 0.5, scaled, tasks)
        numbers = (
            scaled.popularity_weight,
            scaled.statistics_weight,
            scaled.weight,
            scaled.smoothing,
        )
        whole = log_scores(
            *(torch.from_numpy(np.asarray(number, np.float32)) for number in numbers),
            shares=tasks.shares,
            popularity=tasks.popularity,
            item_statistics=tasks.item_statistics,
        )
        np.testing.assert_allclose(found.total, whole, rtol=1e-4, atol=1e-5)


def test_between_points_weight_is_interpolated_in_log_events_and_held_beyond(gate: Gate) -> None:
    at = gate.at(np.array([0, 1, 3, 50]))

    np.testing.assert_allclose(
        at["popularity_weight"], [1.0, 1.0 + np.log(2) / np.log(4), 2.0, 2.0], rtol=1e-6
    )
    np.testing.assert_allclose(at["smoothing"][:, 1], [0.5, 1.0, 2.0, 2.0], rtol=1e-6)


def test_arrays_carry_everything(gate: Gate) -> None:
    again = Gate.from_arrays(gate.names, gate.arrays())

    np.testing.assert_array_equal(again.weight, gate.weight)
    np.testing.assert_array_equal(again.statistics_weight, gate.statistics_weight)


def test_it_learns_to_weight_the_scorer_that_knows() -> None:
    rng = np.random.default_rng(0)
    users, items = 200, 60
    relevant = rng.random((users, items)) < 0.1
    relevant[:, 0] = True
    knowing = np.where(relevant, 3.0, 1.0) * rng.random((users, items))
    guessing = rng.random((users, items))
    shares = np.stack(
        [knowing / knowing.sum(1, keepdims=True), guessing / guessing.sum(1, keepdims=True)], -1
    )
    task = GateTasks(
        shares=torch.from_numpy(shares.astype(np.float32)),
        popularity=torch.full((users, items), 1.0 / items),
        item_statistics=torch.zeros(users, items, 1),
        log_weight=torch.zeros(users, items),
        is_real=torch.ones(users, items, dtype=torch.bool),
        is_relevant=torch.from_numpy(relevant),
    )

    gate = train_gate(("knowing", "guessing"), (0, 1), [task, task], np.random.default_rng(0))

    knows, guesses = (gate.weight[:, m] / gate.smoothing[:, m] for m in (0, 1))
    assert (knows > 3 * guesses).all()
    assert (gate.weight >= 0).all()
    assert (gate.smoothing > 0).all()


def test_ranking_steps_ask_the_best_candidates_alone_and_learn_the_same() -> None:
    """All that is relevant is among them, however far behind: half of it stands there."""
    rng = np.random.default_rng(0)
    users, items = 40, 900
    brief = {"likelihood_steps": 20, "ranking_steps": 30}
    likes = rng.random((users, items)) < 0.02
    taste = rng.dirichlet(np.ones(items), users) + 0.002 * likes * (rng.random(likes.shape) < 0.5)
    shares = np.stack([taste, rng.dirichlet(np.ones(items), users)], 2).astype(np.float32)
    task = GateTasks(
        shares=torch.from_numpy(shares / shares.sum(1, keepdims=True)),
        popularity=torch.from_numpy(rng.dirichlet(np.ones(items), users).astype(np.float32)),
        item_statistics=torch.zeros(users, items, 1),
        log_weight=torch.zeros(users, items),
        is_real=torch.ones(users, items, dtype=torch.bool),
        is_relevant=torch.from_numpy(likes),
    )
    names = ("knowing", "guessing")
    by_all, by_near = (
        train_gate(names, (0, 1), [task, task], np.random.default_rng(0), config=config)
        for config in (GateConfig(near=items, **brief), GateConfig(**brief))
    )
    near = _high_ranked(_untrained(names, (0,), 1), 0, task, GateConfig().near)

    assert near.popularity.shape == (users, GateConfig().near)
    np.testing.assert_array_equal(near.is_relevant.sum(1), likes.sum(1))
    np.testing.assert_allclose(by_near.weight, by_all.weight, atol=0.03)
    np.testing.assert_allclose(by_near.popularity_weight, by_all.popularity_weight, atol=0.03)


def test_a_user_who_likes_most_of_the_catalog_does_not_widen_the_tasks_of_all() -> None:
    rng = torch.Generator().manual_seed(0)
    is_relevant = torch.zeros(3, 20, dtype=torch.bool)
    is_relevant[0, :18] = True  # likes nearly all
    is_relevant[1, 19] = True  # likes what ranks last
    scores = -torch.arange(20.0).repeat(3, 1)
    tasks = GateTasks(
        shares=torch.rand(3, 20, 1, generator=rng),
        popularity=torch.arange(1, 21.0).repeat(3, 1),
        item_statistics=torch.zeros(3, 20, 1),
        log_weight=torch.zeros(3, 20),
        is_real=torch.ones(3, 20, dtype=torch.bool),
        is_relevant=is_relevant,
    )

    best = tasks.best(scores, 6)

    kept = [sorted(int(place) - 1 for place in row) for row in best.popularity.tolist()]
    assert kept == [[0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 19], [0, 1, 2, 3, 4, 5]]
    assert best.is_relevant.sum(1).tolist() == [6, 1, 0]


def test_the_steps_are_those_of_torch_s_adam() -> None:
    config, found = GateConfig(lr=0.1), []
    start = {"a": torch.tensor([3.0, -2.0]), "b": torch.tensor(0.5)}
    for own in (True, False):
        raw = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}

        def loss(rows: object, raw: dict[str, torch.Tensor] = raw) -> torch.Tensor:
            return ((raw["a"] - 1.0) ** 2 * torch.tensor([1.0, 30.0])).sum() + raw["b"].exp()

        if own:
            _descend(raw, loss, lambda: torch.tensor(0.0), list, 25, config)
        optimizer = torch.optim.Adam(raw.values(), lr=config.lr)
        for step in range(0 if own else 25):
            optimizer.param_groups[0]["lr"] = config.lr * (1 - 0.9 * step / 25)
            optimizer.zero_grad()
            loss(None).backward()
            optimizer.step()
        found.append(torch.cat([tensor.detach().reshape(-1) for tensor in raw.values()]))
    torch.testing.assert_close(*found)


def test_the_first_candidates_are_the_best_in_order() -> None:
    scores = torch.randn(6, 40, generator=torch.Generator().manual_seed(0))

    for reach in (1, 7, 39, 40):
        np.testing.assert_array_equal(_first(scores, reach), scores.topk(reach, 1).indices)


def test_candidates_of_tasks_are_those_that_are_asked_for() -> None:
    rng = torch.Generator().manual_seed(0)
    tasks = GateTasks(
        shares=torch.rand(3, 5, 2, generator=rng),
        popularity=torch.rand(3, 5, generator=rng),
        item_statistics=torch.rand(3, 5, 1, generator=rng),
        log_weight=torch.zeros(3, 5),
        is_real=torch.ones(3, 5, dtype=torch.bool),
        is_relevant=torch.eye(3, 5, dtype=torch.bool),
    )
    index = torch.tensor([[4, 0], [1, 1], [2, 3]])

    found = tasks.drawn(torch.tensor([2, 0])).at(index[[2, 0]])

    for row, task in enumerate((2, 0)):
        np.testing.assert_array_equal(found.shares[row], tasks.shares[task][index[task]])
        np.testing.assert_array_equal(found.is_relevant[row], tasks.is_relevant[task][index[task]])


def test_weight_at_one_size_leans_on_the_sizes_beside_it() -> None:
    """A dozen users who happen to like rare things before any event must not turn the gate against
    popularity.
    """
    rng = np.random.default_rng(1)
    users, items = 12, 40
    popularity = np.tile(
        np.linspace(1, 8, items) / np.linspace(1, 8, items).sum(), (users, 1)
    ).astype(np.float32)

    def task(chance: np.ndarray) -> GateTasks:
        relevant = rng.random((users, items)) < chance
        relevant[:, items // 2] = True
        return GateTasks(
            shares=torch.zeros(users, items, 1),
            popularity=torch.from_numpy(popularity),
            item_statistics=torch.zeros(users, items, 1),
            log_weight=torch.zeros(users, items),
            is_real=torch.ones(users, items, dtype=torch.bool),
            is_relevant=torch.from_numpy(relevant),
        )

    odd, usual = task(np.linspace(0.12, 0.08, items)), task(np.linspace(0.0, 0.3, items))
    gate = train_gate(("silent",), (0, 1, 3), [odd, usual, usual], np.random.default_rng(0))

    assert gate.popularity_weight[0] > 0.05

    names, sizes, tasks = ("silent",), (0, 1, 3), [odd, usual, usual]
    free, tied = (
        train_gate(names, sizes, tasks, np.random.default_rng(0), config=GateConfig(smoothness=one))
        for one in (0.0, 1.0)
    )
    assert np.ptp(tied.popularity_weight) < 0.2 * np.ptp(free.popularity_weight)
    brief = GateConfig(likelihood_steps=0, ranking_steps=1, lr=0.5)
    moved = train_gate(names, sizes, tasks, np.random.default_rng(0), config=brief)
    np.testing.assert_allclose(abs(moved.popularity_weight - 1.0), 0.5, rtol=1e-3)
    assert (gate.popularity_weight[1:] > 1.0).all()


def test_a_sampled_candidate_costs_what_all_it_stands_for_would_cost() -> None:
    """Below the slate one candidate that stands for three makes the loss of the three; unweighed it
    made a third.
    """

    def loss(copies: int, stands_for: float) -> float:
        scores = torch.cat([torch.linspace(1.2, 0.1, 12), torch.zeros(copies)])[None]
        names = ("shares", "popularity", "item_statistics", "is_real")
        relevant, log_weight = (
            torch.zeros(scores.shape, dtype=torch.bool),
            torch.zeros(scores.shape),
        )
        relevant[0, 3], log_weight[0, 12:] = True, np.log(stands_for)
        task = GateTasks(
            **dict.fromkeys(names, scores), log_weight=log_weight, is_relevant=relevant
        )
        return _ranking_loss(lambda tasks: tasks.popularity, task, GateConfig()).item()

    assert loss(1, 3.0) == pytest.approx(loss(3, 1.0), rel=1e-6)
    assert loss(1, 1.0) < 0.99 * loss(3, 1.0)


def test_what_is_just_below_the_first_twenty_places_is_pulled_into_them() -> None:
    """NDCG@10 alone, with ten relevant items in the slate, left the eleventh where it was."""
    scores = torch.linspace(3.0, 0.0, 40)[None].requires_grad_()
    names = ("shares", "popularity", "item_statistics", "is_real")
    relevant = torch.zeros(scores.shape, dtype=torch.bool)
    relevant[0, [*range(10), 25]] = True
    task = GateTasks(
        **dict.fromkeys(names, scores), log_weight=torch.zeros(scores.shape), is_relevant=relevant
    )

    _ranking_loss(lambda tasks: tasks.popularity, task, GateConfig()).backward()

    assert scores.grad is not None
    assert scores.grad[0, 25] < 0.0


def test_the_ranking_loss_is_the_sum_over_all_pairs_of_the_places_in_reach() -> None:
    drawn = torch.Generator().manual_seed(0)
    scores = torch.randn(3, 150, generator=drawn, requires_grad=True)
    relevant = torch.rand(3, 150, generator=drawn) < 0.05
    log_weight = torch.where(torch.rand(3, 150, generator=drawn) < 0.3, 1.5, 0.0)
    names = ("shares", "popularity", "item_statistics", "is_real")
    task = GateTasks(**dict.fromkeys(names, scores), log_weight=log_weight, is_relevant=relevant)
    _ranking_loss(lambda tasks: tasks.popularity, task, GateConfig()).backward()
    found = scores.grad

    given = scores.detach().requires_grad_()
    order = given.detach().argsort(1, descending=True)[:, :100]
    expected = torch.zeros(())
    for row in range(3):
        top, gain = given[row, order[row]], relevant[row, order[row]].float()
        stands_for = log_weight[row, order[row]].exp()
        place = stands_for.cumsum(0) - stands_for
        discount = torch.where(place < 10, 1 / torch.log2(place + 2), 0.0)
        best = sum(1 / np.log2(n + 2) for n in range(min(10, int(relevant[row].sum()))))
        pairs = gain[:, None] * ((1 - gain) * stands_for)[None]
        worth = (discount / best + (place < 20) / int(relevant[row].sum())) / 2
        swap = (worth[:, None] - worth[None]).abs()
        lost = torch.nn.functional.softplus(top[None] - top[:, None])
        expected = expected + (swap * pairs * lost).sum() / 3
    expected.backward()
    assert torch.allclose(found, given.grad, atol=1e-6)


def test_a_wrong_shape_is_refused_where_shapes_are_types() -> None:
    """One name for one size, also where a shape is a single word (a formatter once took its quotes
    away, and with them the check).
    """
    parts = {
        "names": ("silent",),
        "popularity_weight": np.ones(3),
        "statistics_weight": np.zeros((3, 1)),
        "weight": np.ones((3, 1)),
        "smoothing": np.ones((3, 1)),
    }
    gate = Gate(points=np.array([0, 1, 3]), **parts)

    with pytest.raises(TypeError, match="Type-check error"):
        gate.score_components(
            np.ones((4, 1)), np.zeros((4, 1)), {"silent": np.ones((2, 4))}, np.array([0, 1])
        )
    with pytest.raises(TypeError, match="Type-check error"):
        Gate(points=np.array([0, 1]), **parts)


def test_chosen_items_come_first_in_order_and_the_rest_is_filled_with_what_was_not_chosen() -> None:
    rng = np.random.default_rng(0)
    for share in (0.05, 0.3, 0.9):
        chosen = rng.random((20, 30)) < share
        chosen[0] = True
        index, is_real = gate_tasks._compressed(chosen)
        slow = np.argsort(~chosen, axis=1, kind="stable")[:, : chosen.sum(1).max()]
        np.testing.assert_array_equal(index, slow)
        np.testing.assert_array_equal(is_real.sum(1), chosen.sum(1))
    index, is_real = gate_tasks._compressed(np.eye(5, 100, dtype=bool))
    np.testing.assert_array_equal(index[:, 0], np.arange(5))


def test_a_large_catalog_is_asked_about_by_fewer_users_at_a_time_and_fewer_teach_the_gate() -> None:
    assert held_out_tasks.users_at_once(60_000) == 64
    assert held_out_tasks.users_at_once(1_000_000) == 4
    assert held_out_tasks.users_at_once(100_000_000) == 1
    config = GateConfig()
    assert held_out_users.held_out_of(300_000, config) == config.held_out
    assert held_out_users.held_out_of(600_000, config) == config.held_out // 2
    assert held_out_users.held_out_of(10_000_000, config) == config.min_held_out


def test_scores_become_chances_at_the_sums_of_the_scorers_that_are_served(gate: Gate) -> None:
    """Which come to less than scorers of fewer users: new items must not look rarer for it."""
    rng = torch.Generator().manual_seed(0)
    shape = (40, 30)
    asked = GateTasks(
        shares=torch.rand((*shape, 2), generator=rng),
        popularity=torch.rand(shape, generator=rng) / 10 + 0.01,
        item_statistics=torch.zeros((*shape, 1)),
        log_weight=torch.zeros(shape),
        is_real=torch.ones(shape, dtype=torch.bool),
        is_relevant=torch.rand(shape, generator=rng) < 0.2,
    )
    lower = replace(asked, item_statistics=torch.full((*shape, 1), -0.4))
    none = lower.rows(np.zeros(40, bool))
    config, tasks = GateConfig(), [asked, asked]
    same, found = (with_mixing(gate, tasks, of, config).mixing for of in (tasks, [lower, none]))
    assert same is not None and found is not None
    np.testing.assert_allclose(found[:, 0], same[:, 0])  # temperatures
    np.testing.assert_allclose(found[0, 1] - same[0, 1], -0.4 * 0.5 / same[0, 0], rtol=1e-4)
    np.testing.assert_allclose(found[1, 1], same[1, 1])  # nobody was asked
