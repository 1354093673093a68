"""Tell of columns of yes and no that may state that a row is no event, or one that failed, and from
which no kind follows: `success`, `approved`, `is_test`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.findings import Finding
from metarec.data.names.column_names import CANONICAL, plain
from metarec.data.sources.acts.yes_no_columns import as_yes_no
from metarec.data.sources.columns.item_and_user_columns import is_of_one

_ASKING = re.compile(r"^(is|has|was)(?=\w{4})|^是否")
_WELL = frozenset("success successful succeeded valid approved confirmed fulfilled".split())
_WELL |= frozenset("ok granted 成功 有效 通过 确认".split())
"""Names of columns in which a no leaves the event open, as `plain` returns them."""
_ILL = frozenset("test invalid spam internal suspicious flagged optedout".split())
_ILL |= frozenset("测试 无效 异常".split())
"""Names of columns in which a yes does."""


_ENGLISH = frozenset("true false yes no y n t f on off 1 0".split())
"""Words for yes and no in columns whose names would be known if they were acts."""


def answers_in_other_words(
    frame: pl.DataFrame, place: str, context: Sequence[str]
) -> list[Finding]:
    """Return findings on columns of yes and no in words of another language than English, where
    nothing says what was done: their names are not known, and all rows count.
    """
    if {"kind", "value"} & {*frame.columns}:
        return []
    findings = list[Finding]()
    for column in frame.columns:
        if column in (*CANONICAL["interactions"], *context) or frame.schema[column] != pl.Utf8:
            continue
        words = nothing(frame[column]).drop_nulls().str.to_lowercase().unique().sort().to_list()
        if len(words) != 2 or {*words} <= _ENGLISH or (truth := as_yes_no(frame[column])) is None:
            continue
        if is_of_one(frame, column):
            continue
        no = nothing(frame[column]).filter(~truth.fill_null(True))[0]
        why = (
            f"column {column!r} of {place} says yes and no ({no!r}), and it is not known of what: "
            f"all rows count as done; if {no!r}, or its contrary, is a no to the item, say so in a "
            f"TOML file (columns = {{ kind = {column!r} }}, [kinds] {no!r} = -1)"
        )
        rows = int((~truth).sum())
        findings.append(Finding(rule="kinds", rows=rows, action="noted", why=why))
    return findings


def open_flags(frame: pl.DataFrame, place: str, context: Sequence[str]) -> list[Finding]:
    """Return findings on columns of yes and no that leave open whether a row is an event; all rows
    count.
    """
    findings = list[Finding]()
    for column in frame.columns:
        name = _ASKING.sub("", plain(column))
        if column in (*CANONICAL["interactions"], *context) or name not in _WELL | _ILL:
            continue
        truth = as_yes_no(frame[column])
        if truth is None or truth.drop_nulls().n_unique() < 2 or is_of_one(frame, column):
            continue
        odd = (truth if name in _ILL else ~truth).fill_null(False)
        example = nothing(frame[column].cast(pl.Utf8)).filter(odd).drop_nulls()
        said = example[0] if len(example) else ""
        why = (
            f"column {column!r} of {place} says {said!r} in some rows, and they count as the "
            f"others do; if they are no events, leave them out of the table; if they say no, say "
            f"so in a TOML file (columns = {{ kind = {column!r} }}, [kinds] {said!r} = -1)"
        )
        findings.append(Finding(rule="kinds", rows=int(odd.sum()), action="noted", why=why))
    return findings
