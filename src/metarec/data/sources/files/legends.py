"""Read files that map codes of kinds to names: `event_types.csv` for the column `event_type_id`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import polars as pl

from metarec.data.cells.parsing import id_text
from metarec.data.errors import BadInput
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_names import CANONICAL, plain
from metarec.data.sources.files.single_file import read_table

MAX_CODES = 50
MIN_KNOWN = 0.5
"""Minimum share of the names that are known kinds."""
Legends = Mapping[Path, Mapping[str, str]]


def legend_of(path: Path, are_acts: Callable[[str], object]) -> dict[str, str]:
    """Return code -> name of a kind from a small table of two columns; empty for other tables."""
    try:
        frame = read_table(path)[0] if path.stat().st_size < 100 * MAX_CODES else pl.DataFrame()
    except BadInput:
        return {}
    if frame.width != 2 or not 1 < frame.height <= MAX_CODES:
        return {}
    code, name = (frame[c].cast(pl.Utf8) for c in frame.columns)
    n_kinds = sum(bool(are_acts(word)) for word in name.drop_nulls())
    is_legend = (
        not name.null_count()
        and code.n_unique() == frame.height
        and n_kinds >= max(2, MIN_KNOWN * frame.height)
    )
    return dict(zip(id_text(frame.to_series(0)).to_list(), name, strict=True)) if is_legend else {}


def with_legend(raw: RawTable, legends: Legends) -> RawTable:
    """Replace codes of kinds by their names, in the only column whose name is that of a legend's
    file or of its column of codes.
    """
    frame, place, findings = raw
    for path, meant in legends.items():
        column = coded_by(frame, path)
        codes = frame[column].unique() if column is not None else None
        if column is None or codes is None or (names := named_by(codes, meant)) is None:
            continue
        kinds = frame[column].replace_strict(codes, names, return_dtype=pl.Utf8)
        frame = frame.drop(column).with_columns(kinds.alias(name_of_acts(frame.columns, column)))
        findings = [*findings, legend_finding(column, place, path)]
    return frame, place, findings


def coded_by(frame: pl.DataFrame, legend: Path) -> str | None:
    """Return the column that may hold the codes of a legend, by its name; None without one."""
    key_stem = _stem(read_table(legend)[0].columns[0])
    called = {plain(legend.name.split(".")[0]).removesuffix("s"), key_stem} - {""}
    columns = [c for c in frame.columns if _stem(c) in called and _ACTS.search(plain(c))]
    columns = [c for c in columns if not frame.schema[c].is_nested() and c not in _OTHERS]
    return columns[0] if len(columns) == 1 else None


def named_by(codes: pl.Series, meant: Mapping[str, str]) -> pl.Series | None:
    """Return the name of each of the distinct codes; None where a code is not in the legend."""
    code_texts = id_text(codes)
    if not {*code_texts.drop_nulls()} <= {*meant}:
        return None
    return code_texts.replace_strict(meant, default=None, return_dtype=pl.Utf8)


def name_of_acts(columns: Sequence[str], coded: str) -> str:
    """Return the name of a column of codes after they are replaced by names of kinds."""
    return coded if "kind" in columns and coded != "kind" else "kind"


def legend_finding(column: str, place: Place, legend: Path) -> Finding:
    """Return the finding on a column whose codes were replaced by a legend."""
    why = f"codes of kinds in column {column!r} of {place.name} were read by {legend.name}"
    return Finding(rule="kinds", rows=0, action="noted", why=why)


_ACTS = re.compile(
    r"event|act|interaction|vote|behavio|reaction|operation|kind|行为|操作|事件|动作"
)
"""Pattern of names of columns of codes of kinds; categories may have codes and legends too."""
_OTHERS = {*CANONICAL["interactions"]} - {"kind", "value"}


def _stem(name: str) -> str:
    bare = plain(name)
    ends = (end for end in ("id", "code", "key", "no") if bare.endswith(end))
    return bare.removesuffix(next(ends, ""))
