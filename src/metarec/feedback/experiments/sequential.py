"""Intervals that hold at all times together: look at an experiment as often as you like.

An ordinary 95% interval is right at one moment chosen beforehand; whoever looks every day and stops
at the first clear day is wrong far more often. A confidence sequence is right at all moments
together with probability 1 - alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, lgamma, log

import numpy as np
from numpy.typing import ArrayLike

MIN_USERS = 100
"""Users of each arm below which no interval is given: the intervals are asymptotic."""
TUNED_FOR = 2_000
"""Users of two arms together at which the interval is narrowest; it holds at every number."""


@dataclass(frozen=True, kw_only=True)
class Sums:
    """What is known of a measure over the users of an arm: numbers, or arrays of one shape for many
    moments or measures at once.
    """

    users: ArrayLike
    total: ArrayLike
    squares: ArrayLike
    """Sum of the squares."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How an arm differs from the control, each user counted once."""

    value: np.ndarray
    low: np.ndarray
    """The whole line, -inf to inf, where there are too few users to say."""
    high: np.ndarray


def difference(arm: Sums, control: Sums, alpha: float) -> Difference:
    """The difference of two means with its confidence sequence.

    The asymptotic confidence sequence of Waudby-Smith et al. (2024, arXiv:2103.06476, theorem 2.2)
    of the users' influences on the difference. An arm's variance is taken to be that of both arms
    together where its own is smaller: in a small arm a rare outcome may be missing by chance.
    """
    n, m = (np.asarray(sums.users, dtype=float) for sums in (arm, control))
    both = Sums(
        users=n + m,
        total=np.add(arm.total, control.total),
        squares=np.add(arm.squares, control.squares),
    )
    least = _variance(both)
    mine, other = (np.maximum(_variance(sums), least) for sums in (arm, control))
    value = np.asarray(arm.total / np.maximum(n, 1) - control.total / np.maximum(m, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        half = half_width(n + m, (n + m) * (mine / n + other / m), alpha)
    half = np.where((n >= MIN_USERS) & (m >= MIN_USERS), half, np.inf)
    return Difference(value=value, low=value - half, high=value + half)


def half_width(users: np.ndarray, variance: np.ndarray, alpha: float) -> np.ndarray:
    """Half the width of the interval around the mean of `users` observations of this variance: the
    running mean leaves it at no time with probability 1 - `alpha`.
    """
    wide = log(1 / alpha**2)
    rho2 = (wide + log(wide) + 1) / TUNED_FOR
    grown = users * rho2 + 1
    return np.asarray(np.sqrt(variance * grown * (np.log(grown) + wide) / rho2) / users)


def _variance(sums: Sums) -> np.ndarray:
    """Of one user."""
    users = np.asarray(sums.users, dtype=float)
    spread = np.asarray(sums.squares) - np.square(sums.total) / np.maximum(users, 1)
    return np.asarray(np.maximum(spread, 0.0) / np.maximum(users - 1, 1))


def share_mismatch(users: Sequence[int], shares: Sequence[float]) -> float:
    """A p-value that holds at all times for numbers of users that were drawn with these shares:
    small where users of an arm are lost or counted twice.

    The sequential test of Lindon and Malek (2022, arXiv:2011.03567): the shares' own likelihood
    over the one under a Dirichlet prior of weight 10,000 around them.
    """
    n, weight = sum(users), 10_000.0
    log_odds = lgamma(weight + n) - lgamma(weight)
    for seen, share in zip(users, shares, strict=True):
        prior = weight * share / sum(shares)
        log_odds += seen * log(share / sum(shares)) - lgamma(prior + seen) + lgamma(prior)
    return exp(min(0.0, log_odds))
