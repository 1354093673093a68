"""Confidence sequences: intervals that are valid at all times together, so that an experiment can
be read as often as one likes.

An ordinary 95% interval is valid at one time chosen beforehand; reading it daily and stopping at
the first clear day is wrong far more often. A confidence sequence covers the true value at all
times together with probability 1 - alpha.
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
"""Users of both arms together at which the interval is narrowest; it is valid at any number."""


@dataclass(frozen=True, kw_only=True)
class Sums:
    """Sums of a measure over the users of an arm: scalars, or arrays of one shape for many moments
    or measures at once.
    """

    users: ArrayLike
    """Number of users."""
    total: ArrayLike
    """Sum of the measure over users."""
    squares: ArrayLike
    """Sum of squares."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Difference of an arm to the control, each user counted once."""

    value: np.ndarray
    """Mean of the arm minus mean of the control."""
    low: np.ndarray
    """Lower end of the interval; with too few users it is -inf, and `high` inf."""
    high: np.ndarray


def difference(arm: Sums, control: Sums, alpha: float) -> Difference:
    """Return the difference of two means with its confidence sequence.

    The asymptotic confidence sequence of Waudby-Smith et al. (2024, arXiv:2103.06476, theorem 2.2),
    applied to the users' influence on the difference. An arm's variance is at least the pooled
    variance of both arms: in a small arm a rare outcome may be missing by chance.
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
    """Return half the width of the confidence sequence of the mean of `users` observations of this
    variance: with probability 1 - `alpha` the running mean never leaves it.
    """
    wide = log(1 / alpha**2)
    rho2 = (wide + log(wide) + 1) / TUNED_FOR
    grown = users * rho2 + 1
    return np.asarray(np.sqrt(variance * grown * (np.log(grown) + wide) / rho2) / users)


def _variance(sums: Sums) -> np.ndarray:
    """Return the sample variance of one user's value."""
    users = np.asarray(sums.users, dtype=float)
    spread = np.asarray(sums.squares) - np.square(sums.total) / np.maximum(users, 1)
    return np.asarray(np.maximum(spread, 0.0) / np.maximum(users - 1, 1))


def share_mismatch(users: Sequence[int], shares: Sequence[float]) -> float:
    """Return an always-valid p-value for the hypothesis that the numbers of users were drawn with
    these shares: small where users of an arm are lost or counted twice.

    The sequential test of Lindon and Malek (2022, arXiv:2011.03567): the likelihood under the
    shares divided by that under a Dirichlet prior of weight 10,000 around them.
    """
    n, weight = sum(users), 10_000.0
    log_odds = lgamma(weight + n) - lgamma(weight)
    for seen, share in zip(users, shares, strict=True):
        prior = weight * share / sum(shares)
        log_odds += seen * log(share / sum(shares)) - lgamma(prior + seen) + lgamma(prior)
    return exp(min(0.0, log_odds))
