"""May the challenger serve? A decision from numbers that others measured.

A challenger must not be worse: overall, for new users, for any group, on what was logged, or in
time. Two equal models never measure equal, so a small loss is believed only where its paired
interval is clear of zero; a large one is refused whatever the interval says, except for groups,
which are small. A loss too small to be clear anywhere is believed where it is found nearly
everywhere: by a sign test over all rows.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import comb
from typing import Any, Literal

Reading = Literal["mean", "clear", "ratio"]


@dataclass(frozen=True, kw_only=True)
class Guardrails:
    """How much worse is still not worse."""

    margin: float = 0.02
    """Of the champion's value: a larger loss is refused where its interval is clear of zero (or
    there is none).
    """
    worst_margin: float = 0.1
    """Of the champion's value: a larger loss is refused, clear or not."""
    group_margin: float = 0.05
    """Of the champion's value, for groups and logs, and only where the interval is clear of zero.
    """
    latency_ratio: float = 1.5
    """The challenger may take so many times as long as the champion."""
    worse_everywhere: float = 0.01
    """Refused where rows of two equal models would be worse as often with less than this chance,
    by a sign test; 0.01 refuses 7 of 7 and 12 of 14. Rows share users, so the chance is rough.
    """
    min_cold_users: int = 30
    """With fewer users to evaluate on, nothing is promoted."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One number of both models, and the paired difference with its 95% interval where there is
    one.
    """

    name: str
    champion: float
    challenger: float
    reading: Reading = "mean"
    """`mean`: higher is better, a large loss counts even where it is unsure; `clear`: higher is
    better, only a sure loss counts;
    `ratio`: lower is better, evaluated by the ratio."""
    low: float | None = None
    high: float | None = None
    users: int = 0
    """How many users it was measured on."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """A comparison and what it says."""

    comparison: Comparison
    passed: bool
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Promote or refuse, and the table that says why."""

    promote: bool
    checks: list[Check]
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        rows = [
            {**asdict(check.comparison), "passed": check.passed, "sentence": check.sentence}
            for check in self.checks
        ]
        return {"promote": self.promote, "reason": self.reason, "table": rows}


def too_few(cold_users: int, rails: Guardrails) -> str:
    """Why nothing can be promoted with so few users to evaluate on; empty where they are enough."""
    return (
        ""
        if cold_users >= rails.min_cold_users
        else f"only {cold_users} new users to evaluate on, {rails.min_cold_users} needed; "
        "gather more events"
    )


def decide(comparisons: list[Comparison], *, cold_users: int, rails: Guardrails) -> Decision:
    """Evaluate every comparison; the challenger is promoted only if all pass and there are enough
    users to evaluate on.
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
    """What the signs of all rows of quality say together, if it is against the challenger."""
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
    said = f"{it.name}: challenger {it.challenger:.4g}, champion {it.champion:.4g}"
    return Check(
        comparison=it, passed=passed, sentence=said if passed else f"{said}; must be {limit}"
    )
