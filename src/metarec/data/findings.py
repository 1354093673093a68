"""What was found wrong with data, counted and explained: the lines of a cleaning report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Action = Literal["removed", "changed", "noted"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One rule's outcome on one table."""

    rule: str
    """Name of the rule, as in `CleaningConfig` and in the report."""
    rows: int
    """How many rows it touched."""
    action: Action
    """What happened to them: removed, changed, or only noted."""
    why: str
    """One sentence to read."""
    examples: Sequence[str] = ()
    """A few of the rows, with the place they were read from."""
    table: str = "interactions"
    """Whose rows: `interactions`, `items` or `users`."""

    def line(self) -> str:
        """One line for a terminal."""
        shown = f" (e.g. {'; '.join(self.examples)})" if self.examples else ""
        if not self.rows:
            return f"{self.rule}: {self.why}{shown}"
        rows = f"{self.rows:,} {'row' if self.rows == 1 else 'rows'}"
        return f"{self.rule}: {self.action} {rows}: {self.why}{shown}"


def removed(findings: Sequence[Finding]) -> int:
    """Events taken out by all rules together; no row is counted by two rules."""
    return sum(f.rows for f in findings if f.action == "removed" and f.table == "interactions")


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """Findings of several parts of one table: those of one rule and reason become one, with the
    first part's examples.
    """
    found: dict[tuple[str, str, str, str], Finding] = {}
    for finding in findings:
        key = (finding.rule, finding.action, finding.why, finding.table)
        found[key] = (
            replace(found[key], rows=found[key].rows + finding.rows) if key in found else finding
        )
    return list(found.values())
