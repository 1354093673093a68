"""The data report: what cleaning removed and why, statistics of the remaining data, and advice."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from metarec.data.cleaning.statistics import statistics
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.dataset import Dataset
from metarec.data.findings import Finding, removed
from metarec.data.policy_facts import facts_lines, policy_facts
from metarec.runtime.report_page import html_table, report_page


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """A report on one data set, for a terminal, a browser or a program."""

    name: str
    events_read: int
    """Events before cleaning."""
    findings: list[Finding]
    facts: dict[str, Any]
    """Numbers about the cleaned data, see `statistics`."""
    advice: list[str]
    policy: dict[str, Any] | None = None
    """Policy of slates and which of its columns the data has, see `policy_facts`; None where only
    events were read.
    """

    @property
    def removed(self) -> int:
        """Number of events removed."""
        return self.events_read - int(self.facts["events"])

    def to_dict(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "name": self.name,
            "events_read": self.events_read,
            "events_removed": self.removed,
            "findings": [asdict(f) | {"examples": list(f.examples)} for f in self.findings],
            "facts": self.facts,
            "in_words": [
                {"about": name, "sentence": words} for name, words in fact_lines(self.facts)
            ],
            "advice": self.advice,
            "policy": self.policy,
        }

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, default=str)

    def to_text(self) -> str:
        """For a terminal: findings of cleaning, statistics, policy, kinds and advice."""
        lines = [f"  - {f.line()}" for f in self.findings] or ["  nothing to clean"]
        facts = [f"  {name:<24}{value}" for name, value in fact_lines(self.facts)]
        advice = [f"  - {line}" for line in self.advice] or ["  nothing stands in the way"]
        policy = [f"  - {line}" for line in self._policy_lines()]
        return "\n".join(
            [
                f"{self.name}: {self.events_read:,} events read, {self.removed:,} removed, "
                f"{self.facts['events']:,} kept",
                "",
                "Cleaning",
                *lines,
                "",
                "What is there",
                *facts,
                *(["", "Policy", *policy] if policy else []),
                "",
                "Kinds",
                *kind_lines(self.facts["kind_use"]),
                "",
                "Advice",
                *advice,
            ]
        )

    def _policy_lines(self) -> list[str]:
        return facts_lines(self.policy) if self.policy is not None else []

    def to_html(self) -> str:
        """A self-contained HTML page, without scripts or external resources."""
        safe = html.escape
        rows = [
            [f.rule, f.action, f"{f.rows:,}", f.why, "; ".join(f.examples)] for f in self.findings
        ]
        head = ["rule", "what happened", "rows", "why", "examples"]
        cleaning = (
            html_table(head, rows, words=(0, 1, 3, 4)) if rows else "<p>Nothing to clean.</p>"
        )
        facts = html_table(["fact", "found"], fact_lines(self.facts), words=(0, 1))
        kinds = "\n".join(kind_lines(self.facts["kind_use"]))
        advice = self.advice or ["Nothing stands in the way."]
        policy = [f"<h2>Policy</h2>{_listed(self._policy_lines())}"] if self._policy_lines() else []
        body = [
            f"<h2>Advice</h2>{_listed(advice)}",
            f"<h2>Cleaning</h2>{cleaning}",
            f"<h2>What is there</h2>{facts}",
            *policy,
            f"<h2>Kinds</h2><pre>{safe(kinds)}</pre>",
        ]
        return report_page(
            f"Data report: {self.name}",
            f"{self.events_read:,} events read, {self.removed:,} removed, "
            f"{self.facts['events']:,} kept.",
            "\n".join(body),
        )


def _listed(lines: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html.escape(line)}</li>' for line in lines)}</ul>"


def report_on(data: Dataset, findings: Sequence[Finding], config: CleaningConfig) -> DataReport:
    """Return the report on cleaned data and the findings of cleaning it."""
    report = report_of(data.name, statistics(data, config.cold_below), findings)
    return replace(report, policy=policy_facts(data))


def report_of(name: str, facts: dict[str, Any], findings: Sequence[Finding]) -> DataReport:
    """Return the report on given statistics and findings, without a policy."""
    return DataReport(
        name=name,
        events_read=facts["events"] + removed(findings),
        findings=list(findings),
        facts=facts,
        advice=advise(facts, findings),
    )


MAX_KINDS = 30
"""Kinds shown on a terminal."""


def kind_lines(kinds: Sequence[dict[str, Any]]) -> list[str]:
    """Return a header, one line for each kind and the number of negative rows, if any."""
    lines = [f"  {'kind':<24}{'rows':>12}  {'sign':<10}{'strength':>8}  target"]
    for kind in kinds[:MAX_KINDS]:
        aside = [] if kind["known"] else ["not a known kind"]
        if kind.get("read_as"):
            aside.append(f"read as {kind['read_as']!r}")
        if kind["rated"]:
            aside.append(f"{kind['rated']:,} ratings")
        if kind["refused"] and kind["sign"] == "positive":
            aside.append(f"{kind['refused']:,} say no, by an amount of 0 or less")
        lines.append(
            f"  {kind['kind']:<24}{kind['rows']:>12,}  {kind['sign']:<10}{kind['strength']:>8g}  "
            f"{'yes' if kind['target'] else 'no':<8}{'; '.join(aside)}".rstrip()
        )
    refused = sum(kind["refused"] for kind in kinds)
    if refused:
        lines.append(f"  {refused:,} {'row says' if refused == 1 else 'rows say'} no")
    return lines + ([f"  and {len(kinds) - MAX_KINDS} more"] if len(kinds) > MAX_KINDS else [])


def fact_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the statistics as (name, words)."""
    time, kinds = facts["time"], list(facts["kinds"].items())[:8]
    lines = [
        *_number_lines(facts),
        ("kinds", ", ".join(f"{kind} {count:,}" for kind, count in kinds)),
        ("values", _values(facts["values"])),
        ("time", _span(time) if time["known"] else "none: the order of events is unknown"),
    ]
    if facts["drift"]:
        drift = ", ".join(f"{name} {psi:.2f}" for name, psi in facts["drift"].items())
        lines.append(("drift (PSI)", f"{drift} between the first and the last third"))
    for name in ("profiles", "content"):
        columns = list(facts[name].items())[:10]
        lines.append((name, ", ".join(f"{c} {filled:.0%}" for c, filled in columns) or "none"))
    if facts["context"]:
        lines.append(("context", ", ".join(facts["context"])))
    return lines


def _number_lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the lines on numbers of events, users and items, and the spread of events."""
    users, items = facts["events_per_user"], facts["events_per_item"]
    return [
        (
            "events, users, items",
            f"{facts['events']:,}, {facts['users']:,}, {facts['items']:,}" + _without_events(facts),
        ),
        ("density", f"{facts['density']:.3%} of all (user, item) pairs"),
        (
            "events per user",
            f"median {users['median']:,.0f}, {users['min']:,.0f} to {users['max']:,.0f}",
        ),
        (
            "events per item",
            f"median {items['median']:,.0f}, {items['min']:,.0f} to {items['max']:,.0f}",
        ),
        (
            "cold",
            f"{facts['cold_users']:.1%} of users and {facts['cold_items']:.1%} of items have "
            f"fewer than "
            f"{facts['cold_below']} events",
        ),
        (
            "popularity",
            f"the top 1% of items hold {facts['events_on_top_1_percent']:.0%} of events, the top "
            f"10% "
            f"{facts['events_on_top_10_percent']:.0%} (Gini {facts['popularity_gini']:.2f})",
        ),
    ]


def _without_events(facts: dict[str, Any]) -> str:
    counts = {name: facts[f"{name}_without_events"] for name in ("users", "items")}
    parts = [f"{count:,} {name}" for name, count in counts.items() if count]
    return f" (and {' and '.join(parts)} without events)" if parts else ""


def _values(values: dict[str, Any]) -> str:
    if not values["are_ratings"] and values["min"] == values["max"] == 1:
        return "no ratings; each event counts once"
    what = "ratings" if values["are_ratings"] else "no ratings; amounts"
    return f"{what} from {values['min']:g} to {values['max']:g}, mean {values['mean']:.2f}"


def _span(time: dict[str, Any]) -> str:
    ties = f"{time['collisions']:.0%} of a user's consecutive events share a timestamp"
    if not 1e7 < time["last"] < 1e11:
        return f"positions from {time['first']:,.0f} to {time['last']:,.0f}; {ties}"
    first, last = (
        datetime.fromtimestamp(t, UTC).strftime("%Y-%m-%d") for t in (time["first"], time["last"])
    )
    return f"{first} to {last}; {ties}"


def advise(facts: dict[str, Any], findings: Sequence[Finding]) -> list[str]:
    """Return sentences of advice on the data, by topic."""
    lines = []
    if facts["items"] == 1:
        lines.append(
            "All events are on one item, so nothing is learned of others: if another column names "
            "the items, map it (columns = { item_id = ... })."
        )
    if facts["users"] < 30:
        lines.append(
            f"{facts['users']} users are too few to learn from each other; expect little beyond "
            f"popularity and content."
        )
    if any(f.rule == "unknown_items" for f in findings):
        lines.append(
            "Events speak of items the item table does not list: complete the table, or leave it "
            "if those items are gone."
        )
    lines += [*_advice_on_items(facts), *_advice_on_users(facts), *_advice_on_times(facts)]
    gone = removed(findings)
    if gone > 0.05 * (facts["events"] + gone):
        lines.append(
            "Cleaning removed more than 5% of rows: look at the examples under Cleaning before "
            "trusting what is left."
        )
    return lines


def _advice_on_items(facts: dict[str, Any]) -> list[str]:
    lines = []
    described = max(facts["content"].values(), default=0.0)
    if described == 0:
        lines.append(
            "Items have no content: give items.csv a title, a text or categories, or items "
            "without events cannot be recommended."
        )
    if facts["cold_items"] > 0.3 and described > 0:
        telling = ", ".join(c for c, filled in facts["content"].items() if filled > 0.2)
        lines.append(
            f"{facts['cold_items']:.0%} of items are cold; "
            + (
                f"their content ({telling}) decides how they fare."
                if telling
                else "their content decides how they fare, and 80% of items or more have none: "
                "fill in titles, texts or categories."
            )
        )
    return lines


def _advice_on_users(facts: dict[str, Any]) -> list[str]:
    lines = []
    if not facts["profiles"]:
        lines.append(
            "Users have no profile: a new user without events gets what is popular; age, place or "
            "language in users.csv "
            "would help."
        )
    if facts["moments"]:
        lines.append(
            f"Not read from users: {', '.join(facts['moments'])}. Moments in time may tell what "
            f"someone did later; give an age "
            "or a number of days instead."
        )
    return lines


def _advice_on_times(facts: dict[str, Any]) -> list[str]:
    lines = []
    if not facts["time"]["known"]:
        lines.append(
            "Events have no times: their order is taken as random, and a cut by time is not "
            "possible."
        )
    elif facts["time"]["collisions"] > 0.3:
        lines.append(
            f"{facts['time']['collisions']:.0%} of consecutive events share a timestamp, so the "
            f"order within a user is "
            "partly arbitrary."
        )
    if facts["drift"].get("items", 0) > 0.25:
        lines.append(
            f"Popularity drifts strongly (PSI {facts['drift']['items']:.2f}): evaluate on a cut in "
            f"time as well, "
            "and retrain often."
        )
    return lines
