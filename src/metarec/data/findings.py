"""Findings on the data, counted and explained: the lines of a cleaning report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

Action = Literal["removed", "changed", "noted"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Result of one rule on one table."""

    rule: str
    """Name of the rule, as in `CleaningConfig` and in the report."""
    rows: int
    """Number of rows affected; 0 for a finding on the table as a whole."""
    action: Action
    """What the rule did to these rows: removed, changed, or only noted."""
    why: str
    """Reason, in one sentence for the user."""
    examples: Sequence[str] = ()
    """A few of the rows, with the place they were read from."""
    table: str = "interactions"
    """Table of the rows: `interactions`, `items` or `users`."""

    def line(self) -> str:
        """Format the finding as one line for a terminal."""
        shown = f" (e.g. {'; '.join(self.examples)})" if self.examples else ""
        if not self.rows:
            return f"{self.rule}: {self.why}{shown}"
        rows = f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}"
        return f"{self.rule}: {self.action} {rows}: {self.why}{shown}"


def noted(rule: str, why: str, table: str = "interactions", rows: int = 0) -> Finding:
    """Return a finding that only notes something, by default on a table as a whole."""
    return Finding(rule=rule, rows=rows, action="noted", why=why, table=table)


def quoted(names: Iterable[str], most: int = 4) -> str:
    """Format the first names for a message: `'a', 'b', ...`."""
    given = list(names)
    return ", ".join(map(repr, given[:most])) + (", ..." if len(given) > most else "")


def removed(findings: Sequence[Finding]) -> int:
    """Return the number of events removed by all rules; no row is counted by two rules."""
    return sum(f.rows for f in findings if f.action == "removed" and f.table == "interactions")


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """Merge the findings of several parts of a table: findings of the same rule, action, reason and
    table become one, with the first one's examples.
    """
    by_key: dict[tuple[str, str, str, str], Finding] = {}
    for finding in findings:
        key = (finding.rule, finding.action, finding.why, finding.table)
        by_key[key] = (
            replace(by_key[key], rows=by_key[key].rows + finding.rows) if key in by_key else finding
        )
    return list(by_key.values())
