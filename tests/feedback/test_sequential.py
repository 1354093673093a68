"""Intervals hold at all times: looking at every step, equal arms are called different in at most
alpha of the runs.
"""

from __future__ import annotations

import numpy as np
import pytest

from metarec.feedback.experiments.sequential import MIN_USERS, Sums, difference, share_mismatch

ALPHA, USERS = 0.05, 2_500


def looked_at_every_step(draw, share, runs, seed=0, lift=0.0):
    """[runs, USERS] the difference after each user of `runs` experiments."""
    rng = np.random.default_rng(seed)
    is_arm = rng.random((runs, USERS)) < share
    values = draw(rng, (runs, USERS)).astype(float) + lift * is_arm
    arm, control = (
        Sums(
            users=its.cumsum(1),
            total=(values * its).cumsum(1),
            squares=(values**2 * its).cumsum(1),
        )
        for its in (is_arm, ~is_arm)
    )
    return difference(arm, control, ALPHA)


def bernoulli(p):
    return lambda rng, size: rng.random(size) < p


def few_large(rng, size):
    return (rng.random(size) < 0.1) * (1 + rng.poisson(0.5, size))


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("draw", [bernoulli(0.5), bernoulli(0.02), bernoulli(0.98), few_large])
def test_equal_arms_are_called_different_in_at_most_alpha_of_1000_runs(draw, share):
    wrong = 0
    for block in range(4):
        found = looked_at_every_step(draw, share, 250, seed=block)
        wrong += np.any((found.low > 0) | (found.high < 0), axis=1).sum()
    assert wrong <= ALPHA * 1_000


def test_an_ordinary_interval_would_not_hold():
    """The test above can fail: 1.96 standard errors looked at at every step do."""
    found = looked_at_every_step(bernoulli(0.5), 0.5, 250)
    users = np.arange(1, USERS + 1)
    standard_error = np.sqrt(4 * 0.25 / users)
    wrong = np.any((np.abs(found.value) > 1.96 * standard_error)[:, 200:], axis=1)
    assert wrong.mean() > 0.2


def test_a_true_difference_is_found_and_held():
    found = looked_at_every_step(bernoulli(0.3), 0.5, 50, lift=0.15)
    assert (found.low[:, -1] > 0).mean() > 0.95
    held = (found.low <= 0.15) & (found.high >= 0.15)
    assert np.all(held, axis=1).mean() >= 1 - ALPHA


def test_too_few_users_have_no_interval():
    few = Sums(users=MIN_USERS - 1, total=50.0, squares=50.0)
    many = Sums(users=1_000, total=500.0, squares=500.0)
    found = difference(few, many, ALPHA)
    assert (found.low, found.high) == (-np.inf, np.inf)
    assert difference(Sums(users=0, total=0, squares=0), many, ALPHA).value == -0.5


def test_lost_users_are_noticed_and_chance_is_not():
    assert share_mismatch([5_000, 5_100], [0.5, 0.5]) > 0.05
    assert share_mismatch([1_000, 9_000], [0.1, 0.9]) > 0.5
    assert share_mismatch([5_000, 4_000], [0.5, 0.5]) < 0.001
    rng = np.random.default_rng(0)
    arms = (rng.random((300, 3_000)) < 0.3).cumsum(1)[:, ::100]
    told = np.array(
        [
            min(
                share_mismatch([a, 100 * at + 1 - a], [0.3, 0.7])
                for at, a in enumerate(map(int, run))
            )
            for run in arms
        ]
    )
    assert (told < 0.05).mean() <= 0.05
