"""Read ratings in blocks below the id of their item, as in the Netflix Prize: `8:`, then
`1488844,3,2005-09-06`.
"""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl

from metarec.data.events.rows import EXAMPLES, Place, RawTable
from metarec.data.findings import Finding
from metarec.data.sources.text.separators import content_of, start_of

NAMES = ("user_id", "value", "timestamp")
"""Columns of a row in a block."""
_BEGINS = re.compile(rb"\d+:\s*?\r?\n\d+,\d+(\.\d+)?,\d{4}-\d\d-\d\d\s*?\r?\n")


def are_blocks(source: Path | bytes) -> bool:
    """Whether a text begins with such a block."""
    return _BEGINS.match(start_of(source)) is not None


def read_blocks(source: Path | bytes, name: str) -> RawTable:
    """Return one row per rating, with its item, their places and findings."""
    text = pl.Series("line", content_of(source).decode("utf-8", errors="replace").splitlines())
    lines = pl.DataFrame({"line": text.str.strip_chars()}).with_row_index("row", offset=1)
    item = pl.col("line").str.extract(r"^(\d+):$")
    lines = lines.with_columns(item_id=item.forward_fill()).filter(
        item.is_null(), pl.col("line") != ""
    )
    cells = pl.col("line").str.split(",")
    is_row = cells.list.len() == len(NAMES)
    rows = lines.filter(is_row).select(
        "row", "item_id", *(cells.list.get(n).alias(c) for n, c in enumerate(NAMES))
    )
    why = f"a number and a colon alone in {name}, such as '1:', are the item of the rows below"
    findings = [Finding(rule="blocks", rows=0, action="noted", why=why)]
    if odd := lines.filter(~is_row)["row"].to_list():
        why = f"the row of {name} has not {len(NAMES)} cells"
        examples = [f"line {n:,} of {name}" for n in odd[:EXAMPLES]]
        findings.append(
            Finding(
                rule="unreadable_rows", rows=len(odd), action="removed", why=why, examples=examples
            )
        )
    place = Place(name, "line", 0, rows["row"].cast(pl.Int64))
    return rows.select("user_id", "item_id", "value", "timestamp"), place, findings
