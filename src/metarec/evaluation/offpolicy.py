"""Off-policy evaluation: estimates, with intervals, of the reward of another policy from logged
impressions.

A log holds, for each shown item, the reward and the propensity: the probability with which the
logging policy showed it. Importance weights `target / propensity` correct for the logging policy;
where the target policy shows what the log never did, no estimate helps, and the effective sample
size says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import stdtrit

from metarec.data.schema import BadInput

CLIP = 100.0
"""Largest importance weight: beyond it a little bias is cheaper than the variance (Ionides
2008).
"""
MIN_EFFECTIVE = 50.0
"""Effective rows below which an estimate should not decide anything."""
MIN_REWARDED = 10.0
"""Effective rows with another reward than the most frequent one, below which an estimate should not
decide anything: intervals of rarer rewards are too narrow, and of width 0 where there is none.
"""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Expected reward of the target policy, per shown item."""

    value: float
    low: float
    """Lower end of the 95% interval over log rows (over users, if given)."""
    high: float
    effective_rows: float
    """`(sum w)^2 / sum w^2` (Kish 1965): the effective sample size under the weights."""
    effective_rewarded: float
    """The same of the rows with another reward than the most frequent one, such as the likes."""
    moves: np.ndarray = field(repr=False, compare=False)
    """[M] contribution of each row, or [U] of each user, to the error of `value` (its linearized
    influence); their sum is 0.
    """

    @property
    def is_trustworthy(self) -> bool:
        """Whether the estimate rests on at least `MIN_EFFECTIVE` effective rows, `MIN_REWARDED`
        of them with another reward, and has an interval.
        """
        return not self._wanting

    @property
    def _wanting(self) -> str:
        """What the estimate lacks, in words; empty if nothing."""
        if self.effective_rows < MIN_EFFECTIVE:
            return f"only {self.effective_rows:.0f} effective rows"
        if self.effective_rewarded < MIN_REWARDED:
            return f"only {self.effective_rewarded:.0f} effective rows with another reward"
        return "" if np.isfinite(self.low) else "all rows are of one user"

    def __str__(self) -> str:
        uncertainty = f" ({self._wanting}: do not decide by it)" if self._wanting else ""
        return f"{self.value:.4f} [{self.low:.4f}, {self.high:.4f}]{uncertainty}"


def difference(first: Estimate, second: Estimate) -> tuple[float, float]:
    """Return the 95% interval of `first - second`, two estimates of one kind from the same log.

    Raises:
        BadInput: if they are of different logs.
    """
    if first.moves.shape != second.moves.shape:
        raise BadInput(
            f"a difference needs two estimates from one log, got {len(first.moves)} and "
            f"{len(second.moves)} rows"
        )
    half = _half(first.moves - second.moves)
    return first.value - second.value - half, first.value - second.value + half


def snips(
    rewards: np.ndarray,
    propensities: np.ndarray,
    targets: np.ndarray,
    users: np.ndarray | None = None,
) -> Estimate:
    """Self-normalized inverse propensity score, `sum w r / sum w` with `w = target / propensity`.

    Swaminathan and Joachims 2015. Slightly biased in small logs, far steadier than the plain
    estimate, and never outside the range of the rewards.

    Args:
        rewards: `[M]` reward of each shown item.
        propensities: `[M]` probability in (0, 1] that the logging policy showed it.
        targets: `[M]` probability in [0, 1] that the target policy would show it.
        users: `[M]` user of each row; the interval then allows for correlated rows of one user.

    Raises:
        BadInput: for shapes that differ, an empty log, or probabilities out of range.
    """
    weights = importance(propensities, targets, rewards)
    return _estimate(weights * rewards, weights, weights, rewards, users)


def doubly_robust(
    rewards: np.ndarray,
    propensities: np.ndarray,
    targets: np.ndarray,
    predicted: np.ndarray,
    expected: np.ndarray,
    users: np.ndarray | None = None,
) -> Estimate:
    """Doubly robust estimate: a reward model corrected by weighted residuals; consistent if either
    the model or the propensities are right.

    Dudik, Langford and Li 2011, arXiv:1103.4601: mean of `expected + w (r - predicted)`.

    Args:
        rewards: `[M]` reward of each shown item.
        propensities: `[M]` probability in (0, 1] that the logging policy showed it.
        targets: `[M]` probability in [0, 1] that the target policy would show it.
        predicted: `[M]` reward that the model predicts for the item shown.
        expected: `[M]` mean reward that the model predicts for the target policy at this place.
        users: `[M]` user of each row; the interval then allows for correlated rows of one user.

    Raises:
        BadInput: for shapes that differ, an empty log, or probabilities out of range.
    """
    weights = importance(propensities, targets, rewards, predicted, expected)
    terms = expected + weights * (rewards - predicted)
    return _estimate(terms, np.ones(len(rewards)), weights, rewards, users)


def importance(propensities: np.ndarray, targets: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Return `[M]` importance weights `target / propensity`, at most `CLIP`; checks the arguments
    of the estimates.
    """
    shapes = {np.shape(a) for a in (propensities, targets, *others)}
    if len(shapes) > 1:
        raise BadInput(
            f"every column of a log has one value per row, got shapes "
            f"{', '.join(map(str, sorted(shapes)))}"
        )
    if not len(propensities):
        raise BadInput("the log is empty: nothing can be estimated from it")
    if not ((propensities > 0) & (propensities <= 1)).all():
        bad = propensities[~((propensities > 0) & (propensities <= 1))][0]
        raise BadInput(
            f"propensities lie in (0, 1], got {bad}; log the probability with which each item was "
            f"shown"
        )
    if not ((targets >= 0) & (targets <= 1)).all():
        raise BadInput(
            f"target probabilities lie in [0, 1], got "
            f"{targets[~((targets >= 0) & (targets <= 1))][0]}"
        )
    return np.asarray(np.minimum(targets / propensities, CLIP))


def _estimate(
    terms: np.ndarray,
    divisor: np.ndarray,
    weights: np.ndarray,
    rewards: np.ndarray,
    users: np.ndarray | None,
) -> Estimate:
    """Return the ratio of sums, with the interval of its linearization (the delta method); rows of
    one user count as one cluster.
    """
    total = divisor.sum()
    value = float(terms.sum() / total) if total > 0 else float("nan")
    moves = (terms - value * divisor) / total if total > 0 else np.full(len(terms), np.nan)
    if users is not None:
        moves = np.bincount(np.unique(users, return_inverse=True)[1], weights=moves)
    half = _half(moves)
    values, counts = np.unique(rewards, return_counts=True)
    return Estimate(
        value=value,
        low=value - half,
        high=value + half,
        effective_rows=_effective(weights),
        effective_rewarded=_effective(weights[rewards != values[counts.argmax()]]),
        moves=moves,
    )


def _half(moves: np.ndarray) -> float:
    """Half the width of the 95% interval, by Student's t with a degree of freedom fewer than there
    are rows or users; infinite for one.
    """
    n = len(moves)
    if n < 2:
        return float("inf")
    return float(stdtrit(n - 1, 0.975) * np.sqrt((moves**2).sum() * n / (n - 1)))


def _effective(weights: np.ndarray) -> float:
    return float(weights.sum() ** 2 / (weights**2).sum()) if weights.any() else 0.0
