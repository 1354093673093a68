"""Any metric by group, and tests of the gaps between groups.

Means come from fairlearn's `MetricFrame`; intervals resample the users of each group. A gap is
called clear only if Welch's test of the two groups survives Holm's correction over *every* pair
compared, because with 21 occupations some pair always looks different.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from scipy.stats import ttest_ind_from_stats

from metarec.evaluation.measure import METRICS
from metarec.evaluation.significance import holm, interval, resample
from metarec.fairness.groups import NOT_STATED, Groups
from metarec.fairness.outcomes import Outcomes
from metarec.runtime.extras import require

SMALL = 20
"""Groups with fewer users are shown with a warning and excluded from gaps."""
LOWER_IS_BETTER = ("popularity lift@10", "miscalibration@10")
"""Metrics of this package, besides those of `evaluation`, of which less is better."""
CLEAR = 0.05
"""Significance level: a gap is clear if its corrected p-value is below this."""

Statistic = Callable[[np.ndarray, np.ndarray], float]
"""fairlearn's signature (y_true, y_pred) -> number; here both are the users' values."""


@dataclass(frozen=True, kw_only=True)
class GroupValue:
    """One metric of one group after one number of events."""

    by: str
    group: str
    users: int
    """Number of users in the group."""
    metric: str
    n_support: int | None
    """None means each user's mean over the whole curve."""
    value: float
    low: float
    """Lower end of the 95% bootstrap interval over the group's users; NaN for one user."""
    high: float
    is_small: bool
    """Whether the group has fewer than `SMALL` users: its interval is wide and it is excluded from
    gaps.
    """


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Difference of two groups between users matched on another number, with its 95% interval; all
    NaN if no users match.
    """

    value: float
    low: float
    high: float

    @property
    def is_known(self) -> bool:
        """Whether any users match."""
        return self.value == self.value

    @property
    def is_clear(self) -> bool:
        """Whether the interval lies above 0: part of the gap remains between matched users."""
        return self.low > 0

    def __neg__(self) -> Matched:
        return Matched(value=-self.value, low=-self.high, high=-self.low)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]" if self.is_known else "unknown"


@dataclass(frozen=True, kw_only=True)
class Gap:
    """The worst and best served groups of one attribute in one metric."""

    by: str
    metric: str
    n_support: int | None
    """Number of events; None for each user's mean over the curve."""
    worst: str
    best: str
    size: float
    """Advantage of `best` over `worst`, above 0."""
    low: float
    high: float
    """95% interval of the difference between these two groups."""
    matched: Matched
    """The difference between users matched on their number of liked items: more liked items make
    any list easier to hit.
    """
    p_corrected: float
    """p-value of Welch's test of these two groups, corrected by Holm over every pair of groups in
    the audit.
    """

    @property
    def is_clear(self) -> bool:
        """Whether the gap is statistically clear."""
        return self.p_corrected < CLEAR


def metric_frame(
    outcomes: Outcomes,
    groups: Groups,
    metric: str,
    *,
    n_support: int | None = None,
    statistics: Mapping[str, Statistic] | None = None,
) -> Any:
    """Return fairlearn's `MetricFrame` of a metric by group, with its `by_group`, `difference()`
    and `ratio()`.

    Args:
        statistics: statistics of each group's values; their mean where None.

    Raises:
        MissingExtra: if fairlearn is not installed (`pip install 'metarec[fairness]'`).
    """
    frame = require("fairlearn.metrics", "fairness").MetricFrame
    values = outcomes.values(metric, n_support)
    is_measured = ~np.isnan(values)
    return frame(
        metrics=dict(statistics or {"mean": _mean}),
        y_true=values[is_measured],
        y_pred=values[is_measured],
        sensitive_features={groups.name: groups.labels[is_measured]},
    )


def _mean(_: np.ndarray, values: np.ndarray) -> float:
    return float(np.mean(values))


def values_by_group(
    outcomes: Outcomes,
    groups: Groups,
    metric: str,
    rng: np.random.Generator,
    *,
    n_support: int | None = None,
) -> list[GroupValue]:
    """Return the metric's mean in each group, with 95% bootstrap intervals over the users of the
    group.
    """
    by_group = metric_frame(outcomes, groups, metric, n_support=n_support).by_group["mean"]
    values = outcomes.values(metric, n_support)
    rows = []
    for label, users in groups.sizes.items():
        of_group = values[groups.mask(label) & ~np.isnan(values)]
        if not len(of_group):
            continue
        low, high = (
            interval(of_group, resample(len(of_group), rng))
            if len(of_group) > 1
            else (np.nan, np.nan)
        )
        rows.append(
            GroupValue(
                by=groups.name,
                group=label,
                users=users,
                metric=metric,
                n_support=n_support,
                is_small=len(of_group) < SMALL,
                value=float(by_group.loc[label]),
                low=float(low),
                high=float(high),
            )
        )
    return rows


def find_gaps(
    outcomes: Outcomes,
    groupings: Sequence[Groups],
    metric: str,
    *,
    support_sizes: Sequence[int | None] = (None,),
    pair: frozenset[str] | None = None,
) -> list[Gap]:
    """Return the widest gap of every grouping at every number of events, corrected for all pairs
    compared; clear gaps take precedence. If a `pair` of groups is given, return the gaps between
    these two.

    Small groups and `not stated` are excluded; a grouping with fewer than two remaining groups has
    no gap.
    """
    higher = more_is_better(metric)
    liked = liked_items(outcomes)
    of_name = {groups.name: groups for groups in groupings}
    pairs = [
        (groups.name, events, *of_pair)
        for groups in groupings
        for events in support_sizes
        for of_pair in _pairs(outcomes.values(metric, events), groups)
        if pair is None or pair == {of_pair[0], of_pair[1]}
    ]
    corrected = holm(np.array([p for *_, p in pairs]))
    widest: dict[tuple[str, int | None], Gap] = {}
    for (by, events, one, other, difference, error, _), p in zip(pairs, corrected, strict=True):
        size, before = abs(difference), widest.get((by, events))
        if before is not None and (before.is_clear, before.size) >= (p < CLEAR, size):
            continue
        worst, best = (one, other) if (difference > 0) == higher else (other, one)
        masks = of_name[by].mask(worst), of_name[by].mask(best)
        matched = matched_difference(outcomes.values(metric, events), *masks, liked)
        widest[by, events] = Gap(
            by=by,
            metric=metric,
            n_support=events,
            worst=worst,
            best=best,
            size=size,
            low=size - 1.96 * error,
            high=size + 1.96 * error,
            matched=matched if higher else -matched,
            p_corrected=float(p),
        )
    return list(widest.values())


def more_is_better(metric: str) -> bool:
    """Return whether larger values of a metric are better for users; True also for metrics of which
    neither end is better by itself.
    """
    return metric not in LOWER_IS_BETTER and (
        metric not in METRICS or METRICS[metric].higher_is_better is not False
    )


def liked_items(outcomes: Outcomes) -> np.ndarray:
    """Return [B] the number of query items that each user liked."""
    return np.bincount(
        outcomes.evaluation_set.relevant_cells[0], minlength=len(outcomes.evaluation_set.cold_users)
    )


def matched_difference(
    values: np.ndarray,
    one: np.ndarray,
    other: np.ndarray,
    matched_on: np.ndarray,
    *,
    bins: int = 30,
) -> Matched:
    """Return the mean of `other` minus the mean of `one` between users matched on `matched_on`.

    Users are cut into bins of equal size by `matched_on`, the difference is taken within each bin,
    and bins are weighted by `n_one n_other / (n_one + n_other)`. The interval assumes that a
    group's variance within bins is the same in all bins.

    Args:
        values: [B], NaN where a user has none.
        one: bool [B], users of the first group.
        other: bool [B], users of the second group.
        matched_on: [B] number to match users on.
    """
    there = (one | other) & ~np.isnan(values)
    edges = np.unique(np.quantile(matched_on[there], np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, matched_on, side="right")
    (n_one, mean_one, spread_one), (n_other, mean_other, spread_other) = (
        _within_bins(values[group & there], place[group & there], bins) for group in (one, other)
    )
    weight = n_one * n_other / np.maximum(n_one + n_other, 1)
    if not weight.sum() > 0:
        return Matched(value=float("nan"), low=float("nan"), high=float("nan"))
    weight = weight / weight.sum()
    value = float((weight * (mean_other - mean_one)).sum())
    error = float(
        np.sqrt(
            (
                weight**2
                * (spread_one / np.maximum(n_one, 1) + spread_other / np.maximum(n_other, 1))
            ).sum()
        )
    )
    return Matched(value=value, low=value - 1.96 * error, high=value + 1.96 * error)


def _within_bins(
    values: np.ndarray, place: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the number of users in each bin [bins], their mean [bins], and the pooled variance
    within bins.
    """
    count = np.bincount(place, minlength=bins)
    mean = np.bincount(place, weights=values, minlength=bins) / np.maximum(count, 1)
    free = max(1, len(values) - int((count > 0).sum()))
    return count, mean, float(((values - mean[place]) ** 2).sum() / free)


def _pairs(values: np.ndarray, groups: Groups) -> list[tuple[str, str, float, float, float]]:
    """Return (one, other, mean of other - mean of one, its standard error, p) for every two groups
    that are large enough.
    """
    means = {
        label: values[groups.mask(label) & ~np.isnan(values)]
        for label in groups.sizes
        if label != NOT_STATED
    }
    large = {label: of_group for label, of_group in means.items() if len(of_group) >= SMALL}
    pairs = []
    for one, other in combinations(large, 2):
        a, b = large[one], large[other]
        error = float(np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b)))
        difference = float(b.mean() - a.mean())
        test = ttest_ind_from_stats(
            a.mean(), a.std(ddof=1), len(a), b.mean(), b.std(ddof=1), len(b), equal_var=False
        )
        pairs.append(
            (
                one,
                other,
                difference,
                error,
                float(test.pvalue) if error > 0 else float(difference == 0),
            )
        )
    return pairs
