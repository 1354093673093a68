"""Confidence intervals and tests for means, and for differences between two recommenders on the
same users.

Intervals resample users (percentile bootstrap, Efron 1979), widened for few users as in Hesterberg
2015 (arXiv:1411.5279), since plain percentiles of 8 users cover the true value 88 times in 100.
p-values are paired t-tests, corrected over all comparisons of a family by Holm 1979, so that twenty
comparisons do not make one of them a finding by chance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, stdtrit

from metarec.data.schema import BadInput

CLEAR = 0.05
"""Significance level: a difference with a p-value at or above it is not clear."""
DRAWS = 2000
"""Bootstrap resamples behind every interval."""


def resample(users: int, rng: np.random.Generator, draws: int = DRAWS) -> np.ndarray:
    """Return how often each user appears in each resample: float32 `[draws, users]`, rows sum to
    `users`.
    """
    weights = np.zeros((draws, users), dtype=np.float32)
    for start in range(0, draws, 200):  # blocks bound the memory of the drawn indexes
        rows = min(200, draws - start)
        drawn = rng.integers(0, users, (rows, users)) + np.arange(rows)[:, None] * users
        weights[start : start + rows] = np.bincount(drawn.ravel(), minlength=rows * users).reshape(
            rows, users
        )
    return weights


def interval(
    values: np.ndarray,
    weights: np.ndarray,
    level: float = 0.95,
    *,
    owner: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bootstrap interval of the mean over the last axis.

    Args:
        values: `[..., users]`; NaN where a user has no value.
        weights: `[draws, users]` from `resample`.
        level: coverage in (0, 1).
        owner: the user of each value, if users have several values: whole users are resampled.

    Returns:
        Lower and upper ends, each of shape `values.shape[:-1]`.
    """
    flat = values.reshape(-1, values.shape[-1])
    there = ~np.isnan(flat)
    sums, counts = np.where(there, flat, 0.0), there.astype(np.float64)
    if owner is not None:
        users = weights.shape[1]
        sums, counts = (
            np.stack([np.bincount(owner, row, users) for row in part]) for part in (sums, counts)
        )
    total, count = sums.astype(np.float32) @ weights.T, counts.astype(np.float32) @ weights.T
    means, users_of = total / np.maximum(count, 1.0), (counts > 0).sum(axis=1)
    means[(count == 0) & (users_of > 0)[:, None]] = np.nan  # resamples in which no user has a value
    low, high = np.empty(len(means)), np.empty(len(means))
    for n in np.unique(users_of):
        rows, tail = users_of == n, _tail(int(n), level)
        low[rows], high[rows] = np.nanquantile(means[rows], [tail, 1 - tail], axis=1)
    return low.reshape(values.shape[:-1]), high.reshape(values.shape[:-1])


def _tail(users: int, level: float) -> float:
    """Return the share of resamples beyond each end: the tail of Student's t with `users - 1`
    degrees of freedom, widened for the variance that the bootstrap underestimates.
    """
    if users < 2:
        return 0.0
    t = stdtrit(users - 1, (1 + level) / 2)
    return float(ndtr(-t * np.sqrt(users / (users - 1))))


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Difference of two recommenders on the same users, signed so that above 0 the first is
    better.
    """

    mean: float
    low: float
    """Lower end of the 95% interval."""
    high: float
    """Upper end."""
    p_value: float
    """Of the two-sided paired t-test, before correction."""

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero and the t-test, which allows for few users, rejects it
        too.
        """
        return (self.low > 0 or self.high < 0) and self.p_value < CLEAR

    @property
    def turned(self) -> Difference:
        """The difference with the opposite sign: fewer errors as a number below 0."""
        return Difference(mean=-self.mean, low=-self.high, high=-self.low, p_value=self.p_value)

    def __str__(self) -> str:
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def paired_difference(
    ours: np.ndarray, theirs: np.ndarray, weights: np.ndarray, *, higher_is_better: bool = True
) -> Difference:
    """Compare two recommenders on the same users.

    Args:
        ours: `[users]` metric of the first.
        theirs: `[users]` of the second, the same users in the same order.
        weights: `[draws, users]` from `resample`.
        higher_is_better: False for errors, which flips the sign.

    Raises:
        BadInput: if the two do not cover the same number of users.
    """
    if ours.shape != theirs.shape:
        raise BadInput(
            f"a paired comparison needs the same users: {ours.shape} values against {theirs.shape}"
        )
    gain = (ours - theirs) if higher_is_better else (theirs - ours)
    low, high = interval(gain, weights)
    return Difference(
        mean=float(np.nanmean(gain)), low=float(low), high=float(high), p_value=_p_value(gain)
    )


def _p_value(gain: np.ndarray) -> float:
    """Return the p-value of the paired t-test. It is 1.0 with fewer than two users or if all
    differences are 0; if all are the same nonzero number, it is that of a sign test.
    """
    measured = gain[~np.isnan(gain)]
    if len(measured) < 2:
        return 1.0
    if np.ptp(measured) == 0:  # the t statistic divides by this
        return 1.0 if measured[0] == 0 else float(2 * 0.5 ** len(measured))
    from scipy.stats import ttest_1samp

    return float(ttest_1samp(measured, 0.0).pvalue)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values corrected for multiple comparisons by Holm 1979, `[M]` in [0, 1], in the
    order given.

    The smallest is multiplied by M, the next by M - 1, ..., and a corrected p-value is never below
    that of a smaller one. The family-wise error rate stays at the level tested.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    stepped = np.maximum.accumulate(
        np.asarray(p_values, np.float64)[order] * (count - np.arange(count))
    )
    corrected = np.empty(count)
    corrected[order] = np.minimum(stepped, 1.0)
    return corrected
