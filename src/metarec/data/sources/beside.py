"""Acts that say something else beside others: mail that was `delivered` is what was shown where
others were `opened`, and to `pass` is to refuse where others were liked.
"""

from __future__ import annotations

import polars as pl

from metarec.data.findings import Finding
from metarec.data.kinds import Kinds

BESIDE: dict[str, tuple[frozenset[str], frozenset[str], str]] = {
    "impression": (
        frozenset("deliver delivered sent send emailsent notificationsent".split()),
        frozenset("open click unsubscribe tap".split()),
        "were shown",
    ),
    "dislike": (
        frozenset("pass passed passe".split()),
        frozenset("like superlike match dislike block unmatch".split()),
        "were refused",
    ),
}
"""What acts are, and are said to be, where all others are of these kinds: by what they are."""


def beside_others(
    frame: pl.DataFrame, kinds: Kinds, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Events with such acts as what they are beside the others, and what to say of them."""
    if "kind" not in frame.columns or frame["kind"].dtype != pl.Utf8:
        return frame, []
    findings = list[Finding]()
    keys = {name: kinds.key(name) for name in frame["kind"].drop_nulls().unique().sort()}
    for kind, (names, beside, said) in BESIDE.items():
        asked = [name for name, key in keys.items() if key in names]
        others = {key for name, key in keys.items() if name not in asked}
        if not asked or len(others & beside) < MIN_BESIDE or others & _BOUGHT:
            continue
        is_one = frame["kind"].is_in(asked)
        frame = frame.with_columns(
            pl.Series("kind", [kind]).zip_with(is_one.fill_null(False), frame["kind"])
        )
        why = (
            f"events of {place} of kind {', '.join(map(repr, asked))} {said}, beside others of "
            f"kind {', '.join(map(repr, sorted(others & beside)))}"
        )
        rows = int(is_one.sum())
        findings.append(Finding(rule="kinds", rows=rows, action="noted", why=why))
    return frame, findings


MIN_BESIDE = 1
_BOUGHT = frozenset("purchase buy order transaction checkout paid pay ship".split())
"""Kinds beside which something is delivered to a door."""
