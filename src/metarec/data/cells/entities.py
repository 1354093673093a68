"""Decode HTML entities in texts: `Tom &amp; Jerry&#39;s` is read as `Tom & Jerry's`."""

from __future__ import annotations

import html

import polars as pl

from metarec.data.cells.parsing import holds
from metarec.data.findings import Finding

ENTITY = (
    r"&(?:amp|lt|gt|quot|apos|nbsp|[rl][sd]quo|[nm]dash|hellip|euro|copy|reg|trade|deg|middot|bull"
    r"|[rl]aquo|frac12|szlig|#\d{1,6}|#[xX][0-9a-fA-F]{1,5}"
    r"|[A-Za-z]{1,2}(?:acute|grave|circ|uml|tilde|cedil|lig|slash|ring));"
)
"""Pattern of an HTML entity."""
MAX_TIMES = 3
"""Maximum number of times that a text is decoded, for `&amp;amp;`."""


def without_entities(table: pl.DataFrame, what: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Decode HTML entities in the text columns of items or users, except ids."""
    columns, findings = list[pl.Series](), list[Finding]()
    for name, dtype in table.schema.items():
        if dtype != pl.Utf8 or name.endswith("_id"):
            continue
        coded = holds(table[name], ENTITY)
        if not coded.any():
            continue
        texts = table[name].zip_with(~coded, table[name].map_elements(_plain, return_dtype=pl.Utf8))
        shown = table[name].filter(coded)[0][:60]
        why = f"{name} such as {shown!r} is read as {_plain(shown)!r}"
        columns.append(texts)
        rows = int(coded.sum())
        findings.append(Finding(rule="entities", rows=rows, action="changed", why=why, table=what))
    return table.with_columns(columns), findings


def _plain(text: str) -> str:
    for _ in range(MAX_TIMES):
        if (once := html.unescape(text)) == text:
            break
        text = once
    return text.replace("\u00a0", " ")
