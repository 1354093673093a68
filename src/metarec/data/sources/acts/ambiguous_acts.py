"""Acts that say something else beside others (mail that was `delivered` is what was shown where
others were `opened`, and to `pass` is to refuse where others were liked), and numbers that may
stand for acts.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from metarec.data.cells.parsing import as_numbers, nothing
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.names.column_names import plain
from metarec.data.sources.columns.item_and_user_columns import is_of_one

BESIDE: dict[str, tuple[frozenset[str], frozenset[str], str]] = {
    "impression": (
        frozenset(
            "deliver delivered sent send emailsent notificationsent processed deferred bounce "
            "bounced".split()
        ),
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
_BOUGHT = frozenset("purchase buy order transaction checkout paid pay ship".split())
"""Kinds beside which something is delivered to where somebody lives."""


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
        if not asked or not others & beside or others & _BOUGHT:
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


CODED = frozenset(
    "type types eventcode actioncode actcode opcode optype operate oper op act flag "
    "feedback reaction vote thumb thumbs opinion sentiment 态度 反馈 "
    "类型 类别编码 操作码 行为码 行为代码".split()
)
"""Columns that may hold numbers for what was done, as `plain` has them."""
MAX_CODES = 12


def codes_of_acts(frame: pl.DataFrame, columns: Sequence[str], place: str) -> list[Finding]:
    """What to say of numbers that may stand for what was done: nobody knows which says no."""
    findings = list[Finding]()
    for column in (c for c in columns if plain(c) in CODED and not frame.schema[c].is_nested()):
        numbers = as_numbers(frame[column])
        codes = numbers.drop_nulls().unique().sort()
        is_whole = numbers.null_count() == nothing(frame[column]).null_count()
        is_whole = is_whole and bool((codes == codes.round()).all())
        if not is_whole or not 2 < len(codes) <= MAX_CODES or is_of_one(frame, column):
            continue
        listed = ", ".join(f"{code:.0f}" for code in codes.head(4))
        listed += ", ..." if len(codes) > 4 else ""
        why = (
            f"column {column!r} of {place} holds numbers ({listed}) and is kept as "
            f"context; if they stand for what was done, say so in a TOML file "
            f"(columns = {{ kind = {column!r} }}, [kinds] '{codes[0]:.0f}' = -1 for a no)"
        )
        findings.append(Finding(rule="kinds", rows=0, action="noted", why=why))
    return findings
