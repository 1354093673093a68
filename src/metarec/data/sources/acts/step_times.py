"""Set kinds by columns with the times of steps: a message `sent_at` may be `opened_at` and
`clicked_at`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from metarec.data.cells.parsing import is_stated
from metarec.data.findings import Finding
from metarec.data.kinds import IMPRESSION, Kinds
from metarec.data.names.kind_names import words_of
from metarec.data.sources.values.dated_cells import is_dated

TIME_WORDS = frozenset("at on date time datetime timestamp ts".split())
"""Words in names of columns of times."""
_FIRST = frozenset(
    "sent send delivered shown served displayed impression impressed exposed".split()
)
"""Steps that happen to users before they act."""
_THEN = frozenset("open click tap read view watch play like convert".split())
"""Kinds of steps that users take."""


def by_steps(
    frame: pl.DataFrame, named: Sequence[str], kinds: Kinds, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of each row to its strongest step with a time, or `impression` without one,
    where a column has the time of sending or showing; and return findings.

    Args:
        named: names of the columns in the file, before renaming.
    """
    steps = {c: _step(c) for c in frame.columns}
    if {"kind", "value"} & {*frame.columns} or not any(_FIRST & {*_step(c)} for c in named):
        return frame, []
    acts = dict[str, str]()
    for column in (c for c, words in steps.items() if words and not _FIRST & {*words}):
        act = kinds.key("_".join(steps[column]))
        stated = is_stated(frame[column])
        if act in _THEN and stated.any() and not stated.all() and is_dated(frame[column]):
            acts[column] = act
    if not acts:
        return frame, []
    kind = pl.Series("kind", [IMPRESSION] * frame.height)
    for column in sorted(acts, key=lambda c: kinds.of(acts[c]).strength):
        kind = pl.Series("kind", [acts[column]]).zip_with(is_stated(frame[column]), kind)
    why = (
        f"times of {place} say what was done ({', '.join(acts)}): the strongest of them is the "
        f"kind of a row, and rows without any are of kind {IMPRESSION!r}"
    )
    rows = int((kind == IMPRESSION).sum())
    note = Finding(rule="kinds", rows=rows, action="noted", why=why)
    return frame.drop(acts).with_columns(kind), [note]


def _step(column: str) -> list[str]:
    """Return the words for the step in the name of a column of its time; else empty."""
    words = words_of(column)
    return words[:-1] if len(words) > 1 and words[-1] in TIME_WORDS else []
