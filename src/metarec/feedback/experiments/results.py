"""Results of an experiment so far: each arm's numbers, and its difference to the control with
intervals that are valid at all times together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from math import sqrt
from typing import Any

import numpy as np
import sqlalchemy as sa

from metarec.feedback.experiments.arm_health import (
    ANONYMOUS,
    FAILED,
    answers_of,
    coverage_ratios,
    seconds_of,
)
from metarec.feedback.experiments.experiment import Experiment
from metarec.feedback.experiments.sequential import Difference, Sums, difference, share_mismatch
from metarec.feedback.store import tables
from metarec.feedback.store.event_store import Store

N_MOMENTS = 40
"""Number of moments in a history."""
SURELY = 4.0
"""Standard errors by which an arm must exceed a guardrail of errors or latency; high, because the
guardrails are checked again and again.
"""
MISMATCH = 0.001
"""p-value of the users' counts under the arms' shares below which a mismatch is reported."""
_COUNTS = ("slates", "clicks", "conversions", "reward", "refusals")
_ROWS = tables.exposures.c
_VALUES = {
    "clicks": sa.case((_ROWS.clicks > 0, 1.0), else_=0.0),
    "conversions": sa.case((_ROWS.conversions > 0, 1.0), else_=0.0),
    "reward": _ROWS.reward / sa.case((_ROWS.slates > 0, _ROWS.slates), else_=1),
    "refusals": sa.case((_ROWS.refusals > 0, 1.0), else_=0.0),
}
"""Measure -> its value for one user: whether the user clicked, converted or refused at all, and
items taken per slate.
"""
GROUPS = ("all", "new", "known")
"""Groups of users compared: all, new and known users."""


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """Numbers of one arm, over users with an open or closed window."""

    name: str
    users: int
    """Users who saw the arm and no other arm."""
    users_closed: int
    """Users whose window is closed: those that the comparison counts."""
    new_users: int
    """Users with few events at their first slate of the experiment."""
    slates: int
    clicks: int
    """Slates answered by a positive event."""
    conversions: int
    """Slates with an item taken by a target kind."""
    reward: float
    """Mean number of items taken per slate."""
    refusals: int
    """Slates answered by a negative event: hidden, disliked, returned."""
    answers: int
    """Slates requested: made or failed."""
    error_share: float
    """Share of slates that failed or were refused."""
    error_share_low: float
    """Lower bound of the share: 4 standard errors below it."""
    p99_ms: float | None
    """99th percentile of the latency, milliseconds; None before the first slate."""
    p99_low_ms: float | None
    """Lower bound of the 99th percentile, by 4 standard errors."""
    coverage_ratio: float | None
    """Distinct items in the latest slates divided by those in as many of the control's; None with
    fewer slates than the guardrails' `min_slates`.
    """


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Difference of an arm to the control in one measure; every user counts once."""

    arm: str
    measure: str
    group: str
    """`all`, `new` (few events at the first slate) or `known` users."""
    users: int
    """Users of both arms together."""
    arm_mean: float
    control_mean: float
    difference: float
    low: float | None
    """Lower end of the interval; None with too few users."""
    high: float | None

    @property
    def is_better(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.low is not None and self.low > 0

    @property
    def is_worse(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.high is not None and self.high < 0


@dataclass(frozen=True, kw_only=True)
class Moment:
    """The difference of an arm as known at one time."""

    timestamp: float
    arm: str
    difference: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True)
class Results:
    """All results of an experiment."""

    arms: Sequence[ArmResult]
    comparisons: Sequence[Comparison]
    history: Sequence[Moment]
    """History of the experiment's own measure, all users, oldest first."""
    crossed: int
    """Users who saw two arms, as after a merge of users; they are excluded."""
    anonymous: int
    """Slates for requests without a user; they are outside the experiment."""
    share_mismatch: float
    """p-value of the numbers of users under the arms' shares; see `sequential.share_mismatch`."""
    warnings: Sequence[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)


def results(store: Store, experiment: Experiment, now: float) -> Results:
    """Return the results at `now` (seconds since 1970).

    Raises:
        StoreUnavailable: if the store does not answer.
    """
    until = experiment.ended_at or now
    arms, crossed = _arms(store, experiment)
    sums = _sums(store, experiment, until)
    mismatch = share_mismatch([arm.users for arm in arms], [arm.share for arm in experiment.arms])
    return Results(
        arms=arms,
        comparisons=_comparisons(experiment, sums),
        history=_history(experiment, sums, until),
        crossed=crossed,
        anonymous=sum(answers_of(store, experiment.name).get(ANONYMOUS, {}).values()),
        share_mismatch=mismatch,
        warnings=_warnings(experiment, mismatch, crossed, sum(arm.users for arm in arms)),
    )


def _arms(store: Store, experiment: Experiment) -> tuple[list[ArmResult], int]:
    """Return the results of each arm, and the number of users who saw two arms."""
    counted = [sa.func.sum(_ROWS[name]) for name in _COUNTS]
    query = (
        sa.select(
            _ROWS.arm, _ROWS.is_new, _ROWS.is_closed, _ROWS.is_crossed, sa.func.count(), *counted
        )
        .where(_ROWS.experiment == experiment.name)
        .group_by(_ROWS.arm, _ROWS.is_new, _ROWS.is_closed, _ROWS.is_crossed)
    )
    with store.reading() as connection:
        rows = [tuple(row) for row in connection.execute(query)]
    crossed = sum(row[4] for row in rows if row[3])
    answers = answers_of(store, experiment.name)
    ratios = coverage_ratios(store, experiment, experiment.guardrails.min_slates)
    arms = []
    for arm in experiment.arms:
        rows_of_arm = [row for row in rows if row[0] == arm.name and not row[3]]
        totals = dict(
            zip(_COUNTS, (sum(r[5 + at] for r in rows_of_arm) for at in range(5)), strict=True)
        )
        slates = int(totals["slates"])
        arms.append(
            ArmResult(
                name=arm.name,
                users=sum(row[4] for row in rows_of_arm),
                users_closed=sum(row[4] for row in rows_of_arm if row[2]),
                new_users=sum(row[4] for row in rows_of_arm if row[1]),
                slates=slates,
                clicks=int(totals["clicks"]),
                conversions=int(totals["conversions"]),
                reward=totals["reward"] / max(1, slates),
                refusals=int(totals["refusals"]),
                **_health(answers.get(arm.name, {})),
                coverage_ratio=ratios.get(arm.name),
            )
        )
    return arms, crossed


def _health(answers: Mapping[int, int]) -> dict[str, Any]:
    """Return error share and latency of an arm, with their lower bounds, from its buckets."""
    everything = sum(answers.values())
    failed = answers.get(FAILED, 0) / max(1, everything)
    error = sqrt(failed * (1 - failed) / max(1, everything))
    made = {bucket: number for bucket, number in answers.items() if bucket != FAILED}
    below = 0.99 - SURELY * sqrt(0.99 * 0.01 / max(1, sum(made.values())))
    return {
        "answers": everything,
        "error_share": failed,
        "error_share_low": max(0.0, failed - SURELY * error),
        "p99_ms": _quantile(made, 0.99),
        "p99_low_ms": _quantile(made, below),
    }


def _quantile(made: Mapping[int, int], share: float) -> float | None:
    """Return a quantile of the latency, milliseconds; None without slates."""
    passed, everything = 0, sum(made.values())
    for bucket in sorted(made):
        passed += made[bucket]
        if passed >= share * everything:
            return 1e3 * seconds_of(bucket)
    return None


def _sums(store: Store, experiment: Experiment, until: float) -> dict[tuple[str, str, str], Sums]:
    """Return (arm, measure, group) -> sums over users with a closed window up to each of the
    moments.
    """
    width = max(until - experiment.started_at, 1e-3) / N_MOMENTS
    moment: Any = (_ROWS.closes_at - experiment.started_at) / width
    moment = sa.cast(moment if store.is_sqlite else sa.func.floor(moment), sa.Integer)
    numbers = [
        number
        for value in _VALUES.values()
        for number in (sa.func.sum(value), sa.func.sum(value * value))
    ]
    query = (
        sa.select(_ROWS.arm, _ROWS.is_new, moment, sa.func.count(), *numbers)
        .where(_ROWS.experiment == experiment.name, _ROWS.is_closed == 1, _ROWS.is_crossed == 0)
        .group_by(_ROWS.arm, _ROWS.is_new, moment)
    )
    arms = {arm.name: at for at, arm in enumerate(experiment.arms)}
    grid = np.zeros((len(arms), 2, N_MOMENTS, 1 + len(numbers)))
    with store.reading() as connection:
        for arm, is_new, at, *counts in connection.execute(query):
            if arm in arms:
                grid[arms[arm], is_new, min(int(at), N_MOMENTS - 1)] += np.array(counts, float)
    so_far = grid.cumsum(axis=2)
    of_group = {"all": so_far.sum(axis=1), "new": so_far[:, 1], "known": so_far[:, 0]}
    return {
        (arm, measure, group): Sums(
            users=table[row, :, 0],
            total=table[row, :, 1 + 2 * column],
            squares=table[row, :, 2 + 2 * column],
        )
        for group, table in of_group.items()
        for arm, row in arms.items()
        for column, measure in enumerate(_VALUES)
    }


def _difference(
    experiment: Experiment, sums: Mapping[tuple[str, str, str], Sums], arm: str, *of: str
) -> Difference:
    measure, group = of
    control = sums[experiment.control.name, measure, group]
    alpha = experiment.alpha / (len(experiment.arms) - 1)
    return difference(sums[arm, measure, group], control, alpha)


def _comparisons(
    experiment: Experiment, sums: Mapping[tuple[str, str, str], Sums]
) -> list[Comparison]:
    lines = []
    for arm in experiment.arms[1:]:
        for measure in _VALUES:
            for group in GROUPS:
                difference = _difference(experiment, sums, arm.name, measure, group)
                both = [sums[name, measure, group] for name in (arm.name, experiment.control.name)]
                users = [float(np.asarray(one.users)[-1]) for one in both]
                means = [
                    float(np.asarray(one.total)[-1]) / max(1.0, n)
                    for one, n in zip(both, users, strict=True)
                ]
                lines.append(
                    Comparison(
                        arm=arm.name,
                        measure=measure,
                        group=group,
                        users=int(sum(users)),
                        arm_mean=means[0],
                        control_mean=means[1],
                        difference=float(difference.value[-1]),
                        low=_finite(difference.low[-1]),
                        high=_finite(difference.high[-1]),
                    )
                )
    return lines


def _history(
    experiment: Experiment, sums: Mapping[tuple[str, str, str], Sums], until: float
) -> list[Moment]:
    width = (until - experiment.started_at) / N_MOMENTS
    lines = []
    for arm in experiment.arms[1:]:
        difference = _difference(experiment, sums, arm.name, experiment.measure, "all")
        lines += [
            Moment(
                timestamp=experiment.started_at + width * (at + 1),
                arm=arm.name,
                difference=float(difference.value[at]),
                low=_finite(difference.low[at]),
                high=_finite(difference.high[at]),
            )
            for at in range(N_MOMENTS)
        ]
    return lines


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _warnings(experiment: Experiment, mismatch: float, crossed: int, users: int) -> list[str]:
    lines = []
    if mismatch < MISMATCH and not experiment.stopped:
        lines.append(
            f"the numbers of users do not fit the shares (p = {mismatch:.1g}): some are lost or "
            f"counted twice, so do not trust the comparison"
        )
    if crossed > 0.01 * max(1, users):
        lines.append(f"{crossed:,} users saw two arms and are left out; that is more than 1 in 100")
    return lines


def broken_guardrails(experiment: Experiment, results: Results) -> dict[str, str]:
    """Return arm stopped by a guardrail -> reason as a sentence. The control is never stopped."""
    rails = experiment.guardrails
    by_name = {arm.name: arm for arm in results.arms}
    control, broken = by_name[experiment.control.name], {}
    for arm in (by_name[one.name] for one in experiment.arms[1:]):
        refused = next(
            one
            for one in results.comparisons
            if (one.arm, one.measure, one.group) == (arm.name, "refusals", "all")
        )
        if arm.name in experiment.stopped:
            continue
        if reason := _reason(rails.max_refusals, refused) or _of_health(experiment, arm, control):
            broken[arm.name] = reason
    return broken


def _reason(limit: float, refused: Comparison) -> str:
    if limit and refused.low is not None and refused.low > limit:
        return (
            f"guardrail: {refused.arm_mean:.1%} of its users hid, disliked or returned something, "
            f"{refused.control_mean:.1%} of the control's"
        )
    return ""


def _of_health(experiment: Experiment, arm: ArmResult, control: ArmResult) -> str:
    """Return the reason to stop an arm for errors, latency or coverage; empty without one."""
    rails = experiment.guardrails
    if min(arm.answers, control.answers) < rails.min_slates:
        return ""
    if rails.max_error_share and arm.error_share_low > control.error_share + rails.max_error_share:
        return (
            f"guardrail: {arm.error_share:.1%} of its slates failed or were refused, "
            f"{control.error_share:.1%} of the control's"
        )
    slow, theirs = arm.p99_low_ms, control.p99_ms
    if rails.max_latency_ratio and slow and theirs and slow > rails.max_latency_ratio * theirs:
        return (
            f"guardrail: 99 in 100 of its slates take up to {arm.p99_ms:.1f} ms, the control's "
            f"{theirs:.1f} ms"
        )
    if arm.coverage_ratio is not None and arm.coverage_ratio < rails.min_coverage_ratio:
        return (
            f"guardrail: it shows {arm.coverage_ratio:.0%} of the different items that the control "
            f"shows in as many slates"
        )
    return ""
