"""Decides whether a challenger may replace the serving model (the champion), from given
measurements.

A challenger must not be worse: overall, for new users, for any group, on logged slates, or in
latency. Two equal models never measure equal, so a small loss counts only if its paired interval
excludes zero; a large one is refused whatever its interval, except for groups, which are small. A
loss too small to be clear in any row counts if it is found in nearly all rows: by a sign test over
all rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import comb
from typing import Any, Literal

Reading = Literal["mean", "clear", "ratio"]


@dataclass(frozen=True, kw_only=True)
class Guardrails:
    """Margins of loss that are tolerated."""

    margin: float = 0.02
    """Relative to the champion's value: a larger loss is refused if its interval excludes zero (or
    there is none).
    """
    worst_margin: float = 0.1
    """Relative to the champion's value: a larger loss is refused, clear or not."""
    group_margin: float = 0.05
    """Relative to the champion's value, for groups and logs, and only if the interval excludes
    zero.
    """
    latency_ratio: float = 1.5
    """Maximum ratio of the challenger's latency to the champion's."""
    worse_everywhere: float = 0.01
    """Significance level of the sign test over all rows; 0.01 refuses 7 of 7 and 12 of 14 worse
    rows. Rows share users, so the level is approximate.
    """
    min_cold_users: int = 30
    """Number of test users below which nothing is promoted."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One metric of both models, and the paired difference with its 95% interval if there is
    one.
    """

    name: str
    champion: float
    challenger: float
    reading: Reading = "mean"
    """`mean`: higher is better, a large loss counts even if it is not clear; `clear`: higher is
    better, only a clear loss counts; `ratio`: lower is better, evaluated by the ratio.
    """
    low: float | None = None
    high: float | None = None
    users: int = 0
    """Number of users it was measured on."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A comparison with its outcome."""

    comparison: Comparison
    passed: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Promotion or refusal, with the checks behind it."""

    promote: bool
    checks: list[Check]
    reason: str
    """Why, in words."""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        rows = [
            {**asdict(check.comparison), "passed": check.passed, "sentence": check.sentence}
            for check in self.checks
        ]
        return {"promote": self.promote, "reason": self.reason, "table": rows}


def too_few(cold_users: int, rails: Guardrails) -> str:
    """Return why nothing can be promoted with so few test users; empty if they are enough."""
    return (
        ""
        if cold_users >= rails.min_cold_users
        else f"only {cold_users} new users to evaluate on, {rails.min_cold_users} needed; "
        "gather more events"
    )


def decide(comparisons: list[Comparison], *, cold_users: int, rails: Guardrails) -> Decision:
    """Evaluate every comparison; the challenger is promoted only if all pass and there are enough
    test users.
    """
    checks = [_evaluate(comparison, rails) for comparison in comparisons]
    failed = [check for check in checks if not check.passed]
    if refused := too_few(cold_users, rails):
        return Decision(promote=False, checks=checks, reason=refused)
    if failed:
        return Decision(
            promote=False,
            checks=checks,
            reason="; ".join(check.sentence for check in failed),
        )
    if everywhere := _worse_everywhere(comparisons, rails):
        return Decision(promote=False, checks=checks, reason=everywhere)
    return Decision(
        promote=True, checks=checks, reason=f"not worse in any of {len(checks)} comparisons"
    )


def _worse_everywhere(comparisons: list[Comparison], rails: Guardrails) -> str:
    """Return the result of the sign test over all rows of quality, if it is against the challenger;
    else an empty text.
    """
    differences = [it.challenger - it.champion for it in comparisons if it.reading != "ratio"]
    worse = sum(difference < 0 for difference in differences)
    rows = worse + sum(difference > 0 for difference in differences)
    chance = sum(comb(rows, more) for more in range(worse, rows + 1)) / 2**rows
    return (
        f"worse in {worse} of {rows} rows, which equal models would be with a chance of "
        f"{chance:.2g}"
        if chance < rails.worse_everywhere
        else ""
    )


def _evaluate(it: Comparison, rails: Guardrails) -> Check:
    """Check one comparison against its margin."""
    if it.reading == "ratio":
        passed, limit = (
            it.challenger <= rails.latency_ratio * it.champion,
            f"at most {rails.latency_ratio:g} times the champion's",
        )
    else:
        sure = it.high is None or it.high < 0
        margin = (
            rails.group_margin
            if it.reading == "clear"
            else rails.margin
            if sure
            else rails.worst_margin
        )
        passed = it.challenger >= it.champion - margin * abs(it.champion) or (
            it.reading == "clear" and not sure
        )
        limit = f"not more than {margin:.0%} below the champion's"
    sentence = f"{it.name}: challenger {it.challenger:.4g}, champion {it.champion:.4g}"
    return Check(
        comparison=it,
        passed=passed,
        sentence=sentence if passed else f"{sentence}; must be {limit}",
    )
