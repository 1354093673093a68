"""Turn surveys with a column for each item of a question into one row per answer: `Please rate
[Mug]`, `Please rate [Cup]`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.sources.columns.id_columns import IDS

_ASKED = re.compile(r"^(?P<question>.*?)\s*[\[［【](?P<item>[^\[\]［］【】]+)[\]］】]\s*$")
MIN_ITEMS = 2


def of_questions(frame: pl.DataFrame, place: Place, user: str | None) -> RawTable:
    """Return one row per answer to the question asked about the most items, at least two; each row
    of the survey is a user where no column identifies users. Other tables stay unchanged.
    """
    questions = defaultdict[str, dict[str, str]](dict)
    for column in frame.columns:
        if (match := _ASKED.match(column)) is not None:
            questions[match["question"]][column] = match["item"].strip()
    columns = max(questions.values(), key=len, default={})
    if len(columns) < MIN_ITEMS or any(frame.schema[c].is_nested() for c in frame.columns):
        return frame, place, []
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    others = [c for c in frame.columns if not _ASKED.match(c)]
    id_columns = [c for c in others if IDS.search(c) and frame[c].n_unique() == frame.height]
    who = user or next(iter(id_columns), None)
    numbers = (rows + place.first).cast(pl.Utf8)
    wide = frame.select(
        *others, *(nothing(frame[c].cast(pl.Utf8, strict=False)) for c in columns)
    ).with_columns(rows.alias("__row"))
    if who is None:
        wide = wide.with_columns(numbers.alias("user_id"))
    elif who != user:
        wide = wide.rename({who: "user_id"})
    beside = [c for c in wide.columns if c not in columns]
    cells = wide.unpivot(index=beside, variable_name="item_id", value_name="value")
    cells = cells.drop_nulls("value").sort("__row", maintain_order=True)
    cells = cells.with_columns(pl.col("item_id").replace_strict(columns))
    of_whom = "its row" if who is None else f"{who!r}"
    why = (
        f"{place.name} asks one question of {len(columns)} items, a column each: each answer is an "
        f"event, of the user that {of_whom} is"
    )
    finding = Finding(rule="matrix", rows=cells.height, action="changed", why=why)
    return cells.drop("__row"), replace(place, rows=cells["__row"]), [finding]


_IMPORT_ID = r"^\s*\{\s*[\"']?ImportId"
"""Beginning of the cells of the third line of an export of Qualtrics."""
_OF_ITEM = re.compile(r"^(?P<question>.+?)\s+[-–—]\s+(?P<item>[^-–—]*\w.*)$", re.DOTALL)
"""Pattern of the text of a question about one of several items: `Please rate: - Pizza`."""
_TRIALS = ("survey preview", "survey test", "spam")
"""Cells of `Status` of answers that nobody gave in earnest."""


def with_questions(frame: pl.DataFrame, place: Place) -> tuple[pl.DataFrame, Place, list[Finding]]:
    """Return an export of Qualtrics, which has three lines of names, with one: questions about an
    item as `Please rate: [Pizza]`. Other tables stay unchanged.
    """
    if frame.height < 3 or any(dtype != pl.Utf8 for dtype in frame.dtypes):
        return frame, place, []
    if not all(cell is not None and re.match(_IMPORT_ID, cell) for cell in frame.row(1)):
        return frame, place, []
    names = {}
    for column, text in zip(frame.columns, frame.row(0), strict=True):
        if text and (match := _OF_ITEM.match(" ".join(text.split()))) is not None:
            item = re.sub(r"[\[\]［］【】]", "", match["item"]).strip()
            names[column] = f"{match['question']} [{item}]"
    is_apart = len({*names.values()}) == len(names)
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    status = next((c for c in frame.columns if c.lower() == "status"), None)
    trials = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True)
    if status is not None:
        trials = frame[status].str.to_lowercase().is_in(_TRIALS).fill_null(False)
    kept = (pl.int_range(frame.height, eager=True) > 1) & ~trials
    why = f"{place.name} has three lines of names, as Qualtrics writes them: the second asks"
    findings = [Finding(rule="columns", rows=0, action="noted", why=why)]
    if trials.any():
        why = f"{status!r} of {place.name} says that these answers were a preview, a test or spam"
        findings.append(Finding(rule="no_acts", rows=int(trials.sum()), action="removed", why=why))
    frame = frame.rename(names if is_apart else {})
    return frame.filter(kept), replace(place, rows=rows.filter(kept)), findings
