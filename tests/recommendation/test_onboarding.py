from __future__ import annotations

import numpy as np
import pytest

from metarec.recommendation.onboarding import chance_known, chance_known_to, choose_questions


def slow_reduction(vectors: np.ndarray, covariance: np.ndarray, noise: float, item: int) -> float:
    """How much less variance all items' values have once `item` is answered: by conditioning the
    full joint normal.
    """
    joint = vectors @ covariance @ vectors.T
    after = joint - np.outer(joint[:, item], joint[item]) / (joint[item, item] + noise)
    return float(np.trace(joint) - np.trace(after))


def test_worth_equals_conditioning_the_joint_distribution() -> None:
    rng = np.random.default_rng(0)
    vectors, root, knows = (
        rng.normal(size=(12, 4)),
        rng.normal(size=(4, 4)),
        rng.uniform(0.1, 0.9, 12),
    )
    covariance = root @ root.T
    gains = np.array([slow_reduction(vectors, covariance, 0.5, item) for item in range(12)]) * knows
    asked = choose_questions(vectors, covariance, 0.5, knows, 2)
    assert asked.items[0, 0] == gains.argmax()
    assert asked.uncertainty_reduction[0, 0] == pytest.approx(
        gains.max() / np.trace(vectors @ covariance @ vectors.T)
    )
    first = vectors[asked.items[0, 0]]
    after = covariance - np.outer(covariance @ first, covariance @ first) / (
        first @ covariance @ first + 0.5
    )
    second = np.array([slow_reduction(vectors, after, 0.5, item) for item in range(12)]) * knows
    second[asked.items[0, 0]] = -np.inf
    assert asked.items[0, 1] == second.argmax()


def test_does_not_ask_the_same_thing_twice_in_other_words() -> None:
    twins = np.array([[2.0, 0.0], [2.0, 0.01], [0.0, 1.5], [0.1, 0.1]])
    assert set(choose_questions(twins, np.eye(2), 0.1, np.ones(4), 2).items[0]) in ({0, 2}, {1, 2})


def test_an_item_nobody_knows_is_not_asked_about() -> None:
    vectors = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    assert choose_questions(vectors, np.eye(2), 0.1, np.array([0.01, 0.9, 0.9]), 1).items[0, 0] in (
        1,
        2,
    )
    assert choose_questions(vectors, np.eye(2), 0.1, np.ones(3), 1).items[0, 0] == 0


def test_users_are_asked_by_what_is_known_of_each() -> None:
    sure_of_first, sure_of_second = np.diag([0.01, 1.0]), np.diag([1.0, 0.01])
    asked = choose_questions(
        np.eye(2), np.stack([sure_of_first, sure_of_second]), 0.1, np.ones(2), 1
    )
    assert asked.items[:, 0].tolist() == [1, 0]
    with pytest.raises(ValueError, match="3 questions asked for, but only 2 items"):
        choose_questions(np.eye(2), np.eye(2), 0.1, np.ones(2), 3)


def test_items_that_may_not_be_asked_about_are_not() -> None:
    may = np.array([False, True, True])
    assert (
        0
        not in choose_questions(
            np.diag([9.0, 1, 1]), np.eye(3), 0.1, np.ones(3), 2, may_ask=may
        ).items
    )


def test_chance_known_lies_inside_the_unit_interval() -> None:
    assert chance_known(np.array([0, 5, 10]), 10) == pytest.approx([1 / 12, 0.5, 11 / 12])


def test_who_answered_is_asked_about_what_goes_with_the_answer() -> None:
    knows, anonymous = np.array([0.4, 0.4, 0.6]), np.log([0.2, 0.2, 0.6])
    scores = np.log([[0.2, 0.2, 0.6], [0.8, 0.1, 0.1]]) + 7.0  # what all scores share says nothing
    assert chance_known_to(knows, anonymous, scores) == pytest.approx(
        np.array([[0.4, 0.4, 0.6], [1.0, 0.2, 0.1]])
    )
