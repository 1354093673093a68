"""Item-to-item weights for as many events as a new user has."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from metarec.data.cold_users import Horizon
from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.base import dense as plain
from metarec.models.ease.config import EaseConfig
from metarec.models.ease.model import ORDERED_REGULARIZATION, REGULARIZATION, Ease
from world import evidence_of

POOL = 4


def world(rng: np.random.Generator, users: int = 40, items: int = 12) -> Behavior:
    histories = Histories.of_indexes(
        [rng.permutation(items)[: rng.integers(6, 10)] for _ in range(users)]
    )
    return Behavior(
        histories=histories,
        profiles=np.zeros((users, 0), np.float32),
        content=np.zeros((items, 0), np.float32),
        relevant_from=0.0,
        horizon=Horizon(pool=POOL, min_events=6, support_sizes=(0, 1, 2, POOL)),
    )


def column_solution(gram: np.ndarray, item: int) -> np.ndarray:
    """Regression of one item on all others, by the normal equations."""
    others = np.delete(np.arange(len(gram)), item)
    return np.insert(np.linalg.solve(gram[np.ix_(others, others)], gram[others, item]), item, 0.0)


def test_weights_equal_the_regression_averaged_over_every_choice_of_shown_events() -> None:
    """The diagonal comes from enumerating all supports, not from the formula."""
    behavior = world(np.random.default_rng(0))
    shown = POOL
    gram = np.zeros((12, 12))
    for user in range(40):
        items = behavior.histories.users(np.array([user])).items
        seen = min(shown, behavior.pools[user])
        supports = list(combinations(items, int(seen)))
        together = np.zeros((12, 12))
        for support in supports:
            together[np.ix_(support, support)] += 1
        # A pair of the user's items is seen together in this share of the supports; in units of it
        # the pair counts one.
        pair = together[items[0], items[1]]
        gram += together / pair
    gram[np.diag_indices(12)] += 3.0
    expected = np.stack([column_solution(gram, item) for item in range(12)], axis=1)
    fitted = Ease.fit(behavior, np.random.default_rng(0), EaseConfig(regularization=3.0))
    assert fitted.points.tolist() == [1, 2, 4]
    np.testing.assert_allclose(fitted.weights[-1].toarray(), expected, atol=1e-5)


def test_a_support_between_two_points_takes_both_in_proportion() -> None:
    behavior = world(np.random.default_rng(1))
    fitted = Ease.fit(behavior, np.random.default_rng(0))
    support = Histories.of_indexes([np.array([0, 1, 2])])
    evidence = evidence_of(fitted, support, np.zeros((1, 0)))[0]
    given = np.zeros(12)
    given[:3] = 1.0
    low, high = (np.maximum(given @ weights.toarray(), 0.0) for weights in fitted.weights[1:])
    share = (np.log(4) - np.log(3)) / (np.log(5) - np.log(3))
    np.testing.assert_allclose(
        evidence, (1 - share) * low / low.sum() + share * high / high.sum(), rtol=1e-4
    )


def test_nothing_is_said_without_events_and_more_events_than_the_last_point_count_as_that() -> None:
    fitted = Ease.fit(world(np.random.default_rng(2)), np.random.default_rng(0))
    support = Histories.of_indexes([np.array([], np.int64), np.arange(8)])
    evidence = evidence_of(fitted, support, np.zeros((2, 0)))
    assert not evidence[0].any()
    assert np.isclose(evidence[1].sum(), 1.0, atol=1e-5)


@pytest.mark.parametrize(("users", "items"), [(60, 15), (15, 60), (12, 900)])
def test_whole_histories_give_the_published_closed_form_from_either_side(
    users: int, items: int
) -> None:
    """Steck 2019; where users are few, a matrix of users is inverted and never one of items."""
    rng, penalty = np.random.default_rng(3), 7.0
    likes = rng.random((users, items)) < 0.2
    behavior = replace(
        world(rng, 1, items),
        histories=Histories.of_indexes([np.flatnonzero(row) for row in likes]),
        profiles=np.zeros((users, 0), np.float32),
        whole=None,
        refused=None,
        repeats=None,
    )
    config = EaseConfig(regularization=penalty, whole_histories=True, min_events=1, kept=items)
    dense = likes.astype(np.float64)
    inverse = np.linalg.inv(dense.T @ dense + penalty * np.eye(items))
    expected = np.eye(items) - inverse / np.diag(inverse)
    asked = rng.random((5, items)) < 0.2
    support = Histories.of_indexes([np.flatnonzero(row) for row in asked])
    ((nearness, scores),) = Ease.fit(behavior, rng, config).answers(support)
    assert (nearness == 1.0).all()
    np.testing.assert_allclose(plain(scores), asked @ expected, atol=2e-4)


def test_few_users_give_the_weights_that_many_do() -> None:
    """The two ways to invert agree where the diagonal is another than the Gram matrix's."""
    rng = np.random.default_rng(5)
    behavior = world(rng, users=20, items=60)
    config = EaseConfig(regularization=20.0, min_events=1)
    few = Ease.fit(behavior, rng, config)
    nobody = Histories.of_indexes([np.zeros(0, np.int64)] * 40)
    many = Ease.fit(
        replace(
            behavior,
            histories=Histories.concat([behavior.histories, nobody]),
            profiles=np.zeros((60, 0), np.float32),
            whole=None,
            refused=None,
            repeats=None,
        ),
        rng,
        config,
    )
    for left, right in zip(few.weights, many.weights, strict=True):
        np.testing.assert_allclose(left.toarray(), right.toarray(), atol=2e-5)


def test_rare_items_are_regressed_alone_and_still_speak() -> None:
    behavior = world(np.random.default_rng(3))
    fitted = Ease.fit(behavior, np.random.default_rng(0), EaseConfig(max_items=6))
    counts = np.bincount(behavior.histories.items, minlength=12)
    tail = np.argsort(-counts, kind="stable")[6:]
    events = behavior.histories.matrix(12).toarray()
    together = events.T @ events
    ridge = ORDERED_REGULARIZATION if behavior.is_ordered else REGULARIZATION
    chance = (behavior.histories.lengths - 1) / (np.minimum(POOL, behavior.pools) - 1)
    rare, other = int(tail[0]), int(tail[1])
    expected = together[rare, other] / ((events[:, rare] ** 2 * chance).sum() + ridge)
    assert np.isclose(fitted.weights[-1][rare, other], expected, rtol=1e-5)


def test_items_that_weigh_little_beside_the_ridge_are_regressed_alone_at_no_loss() -> None:
    """One popular genre, and pairs that four users chose: the pairs need no dense solve."""
    rng = np.random.default_rng(7)
    rows = [rng.permutation(30)[:8] for _ in range(400)]
    rows += [np.array([item, item + 1]) for item in range(30, 90, 2) for _ in range(4)]
    users = len(rows)
    behavior = replace(
        world(rng, users, 90),
        histories=Histories.of_indexes(rows),
        whole=None,
        refused=None,
        repeats=None,
    )
    solved: list[int] = []
    cholesky = torch.linalg.cholesky

    def counted(matrix: torch.Tensor) -> torch.Tensor:
        solved.append(len(matrix))
        return cholesky(matrix)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.linalg, "cholesky", counted)
        quick, whole = (
            Ease.fit(behavior, rng, EaseConfig(min_events=1, min_coupling=least))
            for least in (0.1, 0.0)
        )
    assert set(solved) == {30, 90}
    for left, right in zip(quick.weights, whole.weights, strict=True):
        np.testing.assert_allclose(left.toarray(), right.toarray(), atol=2e-3 * right.max())


def test_arrays_come_back_as_the_same_scorer() -> None:
    fitted = Ease.fit(world(np.random.default_rng(4)), np.random.default_rng(0))
    again = Ease.from_arrays(fitted.arrays())
    support = Histories.of_indexes(
        [np.array([3]), np.array([3, 5]), np.array([3, 5, 7, 9])]
    )  # one at each point
    np.testing.assert_array_equal(
        evidence_of(again, support, np.zeros((3, 0))),
        evidence_of(fitted, support, np.zeros((3, 0))),
    )
    assert evidence_of(
        again.with_content(np.zeros((14, 0)), np.ones(14) / 14), support, np.zeros((3, 0))
    ).shape == (3, 14)
