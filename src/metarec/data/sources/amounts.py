"""How much was bought or paid: quantities are amounts of purchases, not ratings."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from metarec.data.columns import is_amount, is_sum
from metarec.data.findings import Finding
from metarec.data.parsing import as_numbers


def with_amounts(
    frame: pl.DataFrame, given: Mapping[str, str], place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Quantities are amounts of purchases, not ratings; where some are below 0 and nothing else is
    the value, they are.
    """
    amounts = [c for c in frame.columns if is_amount(c)]
    found = next((c for c in amounts if as_numbers(frame[c]).is_not_null().any()), None)
    if "value" not in frame.columns and found is not None:
        refused = int((as_numbers(frame[found]) < 0).sum())
        if not refused:
            return frame, []
        frame = frame.with_columns(pl.col(found).alias("value"))
        why = f"{found} of {place} is below 0 there: such purchases came back and say no"
        findings = [Finding(rule="amounts", rows=refused, action="noted", why=why)]
    elif is_amount(given.get("value", "")):
        findings = []
    else:
        return frame, [] if "value" in frame.columns else _sums(frame, place)
    if "kind" in frame.columns:
        return frame, findings
    why = f"events of {place} are taken as of kind 'purchase', since they have a quantity"
    note = Finding(rule="kinds", rows=0, action="noted", why=why)
    return frame.with_columns(pl.lit("purchase").alias("kind")), [*findings, note]


def _sums(frame: pl.DataFrame, place: str) -> list[Finding]:
    """What to say where sums of money are below 0 in some rows: only the user knows what those
    are.
    """
    findings = []
    for column in (c for c in frame.columns if is_sum(c)):
        below = int((as_numbers(frame[column]) < 0).sum())
        if 0 < below < frame.height:
            why = (
                f"{column} of {place} is below 0 there and is kept as context; if such rows "
                f"came back, say so in a TOML file (kind = 'purchase', columns = {{ value = "
                f"{column!r} }})"
            )
            findings.append(Finding(rule="amounts", rows=below, action="noted", why=why))
    return findings
