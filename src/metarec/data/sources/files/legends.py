"""Files that say what numbers of acts stand for: `event_types.csv` beside `event_type_id`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import polars as pl

from metarec.data.cells.parsing import id_text
from metarec.data.errors import BadInput
from metarec.data.events.rows import Place
from metarec.data.findings import Finding
from metarec.data.names.column_names import CANONICAL, plain
from metarec.data.sources.files.single_file import read_table

MAX_CODES = 50
MIN_KNOWN = 0.5
"""Share of the names that are kinds, at least."""
RawTable = tuple[pl.DataFrame, Place, list[Finding]]


def legend_of(path: Path, are_acts: Callable[[str], object]) -> dict[str, str]:
    """What the codes of acts in a small table stand for; nothing of any other table."""
    try:
        frame = read_table(path)[0] if path.stat().st_size < 100 * MAX_CODES else pl.DataFrame()
    except BadInput:
        return {}
    if frame.width != 2 or not 1 < frame.height <= MAX_CODES:
        return {}
    code, name = (frame[c].cast(pl.Utf8) for c in frame.columns)
    known = sum(bool(are_acts(word)) for word in name.drop_nulls())
    is_legend = (
        not name.null_count()
        and code.n_unique() == frame.height
        and known >= max(2, MIN_KNOWN * frame.height)
    )
    return dict(zip(id_text(frame.to_series(0)).to_list(), name, strict=True)) if is_legend else {}


def with_legend(raw: RawTable, legends: Mapping[Path, Mapping[str, str]]) -> RawTable:
    """Events with the names of acts in place of codes, where a column holds those of a legend: one
    that is called like the file or its column of codes, and no other.
    """
    frame, place, findings = raw
    for path, meant in legends.items():
        own = _stem(read_table(path)[0].columns[0])
        called = {plain(path.name.split(".")[0]).removesuffix("s"), own} - {""}
        found = [c for c in frame.columns if _stem(c) in called and _ACTS.search(plain(c))]
        found = [c for c in found if not frame.schema[c].is_nested() and c not in _OTHERS]
        if len(found) != 1 or not set(id_text(frame[found[0]]).drop_nulls().unique()) <= {*meant}:
            continue
        (column,) = found
        names = id_text(frame[column]).replace_strict(meant, default=None, return_dtype=pl.Utf8)
        taken = "kind" in frame.columns and column != "kind"
        frame = frame.drop(column).with_columns(names.alias(column if taken else "kind"))
        why = f"codes of acts in column {column!r} of {place.name} were read by {path.name}"
        findings = [*findings, Finding(rule="kinds", rows=0, action="noted", why=why)]
    return frame, place, findings


_ACTS = re.compile(r"event|act|interaction|behavio|reaction|operation|kind|行为|操作|事件|动作")
"""What columns of codes of acts are called; codes of categories have names too."""
_OTHERS = {*CANONICAL["interactions"]} - {"kind", "value"}


def _stem(name: str) -> str:
    bare = plain(name)
    ends = (end for end in ("id", "code", "key", "no") if bare.endswith(end))
    return bare.removesuffix(next(ends, ""))
