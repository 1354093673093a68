"""Check that the ids of events match the tables of items and users, and choose the column to join
on.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from metarec.data.cells.parsing import id_text
from metarec.data.findings import Finding
from metarec.data.names.column_names import SYNONYMS, plain

BETTER = 0.1
"""Minimum difference in the share of matching events for another column to be chosen."""


def better_key(
    events: pl.DataFrame,
    side: pl.DataFrame | None,
    key: str,
    mapping: Mapping[str, str],
    named: Mapping[str, str],
) -> tuple[pl.DataFrame, list[Finding]]:
    """Join on the column of the events whose ids match the table of items or users best. A key with
    the canonical name, or given by the user, is kept, with a finding. Return events and findings.

    Args:
        events: with `key` and perhaps other columns of such ids (`asin`, `parent_asin`).
        mapping: canonical name -> column, as given by the user; a key in it is kept.
        named: canonical name -> column in the file.
    """
    if side is None or not events.height or not side.height:
        return events, []
    side_ids = side[key].drop_nulls().unique()
    share = _fit(events[key], side_ids)
    others = {c: _fit(id_text(events[c]), side_ids) for c in _candidates(events, key)}
    best = max(others, key=others.__getitem__, default=None)
    if best is None or others[best] < share + BETTER:
        return events, []
    file_column = named.get(key, key)
    fits = (
        f"{best} of {others[best]:.0%} of the events is in the {_table(key)} table, {file_column} "
        f"of {share:.0%}"
    )
    if key in mapping or file_column == key:
        why = f"{fits}; to join on it, map it in a TOML file (columns = {{ {key} = {best!r} }})"
        return events, [_note(key, why)]
    renamed = events.rename({key: file_column, best: key}).with_columns(
        id_text(events[best]).alias(key)
    )
    usable = renamed.drop_nulls(key)
    return usable, [_note(key, f"{fits}; joined on {best}, and {file_column} is kept as context")]


def _fit(ids: pl.Series, side_ids: pl.Series) -> float:
    """Return the share of ids that are known."""
    return int(ids.is_in(side_ids.implode()).fill_null(False).sum()) / max(len(ids), 1)


def _candidates(events: pl.DataFrame, key: str) -> list[str]:
    """Return other columns that may hold the ids of `key`, by their names."""
    names = {plain(s) for s in SYNONYMS[key]}
    return [
        c
        for c in events.columns
        if c != key
        and plain(c) in names
        and (events.schema[c] == pl.Utf8 or events.schema[c].is_numeric())
    ]


def _table(key: str) -> str:
    return "item" if key == "item_id" else "user"


def _note(key: str, why: str, rows: int = 0) -> Finding:
    table = "items" if key == "item_id" else "users"
    return Finding(rule="joins", rows=rows, action="noted", why=why, table=table)


def unmatched_id_findings(
    events: pl.DataFrame, items: pl.DataFrame | None, users: pl.DataFrame | None
) -> list[Finding]:
    """Return findings on tables of items or users whose ids do not match those of the events, with
    the change that would make them match.
    """
    findings = []
    for key, side in (("item_id", items), ("user_id", users)):
        if side is None or not side.height or not events.height:
            continue
        ids, side_ids = events[key].unique(), side[key].unique()
        if ids.is_in(side_ids.implode()).any():
            findings += _more_would_meet(key, ids, side_ids)
            continue
        hint = next((how for how, f in HINTS.items() if _meet(f, ids, side_ids)), None)
        why = (
            f"none of the {_table(key)} table's ids is an id of the events (events say "
            f"{ids.sort()[0]!r}, the table says {side_ids.sort()[0]!r}), so nothing of it is used"
            + (f"; they would meet {hint}" if hint else "")
        )
        findings.append(_note(key, why, side.height))
    return findings


def _more_would_meet(key: str, ids: pl.Series, side_ids: pl.Series) -> list[Finding]:
    """Return a finding where further ids of the events would match the table in another form."""
    lone = ids.filter(~ids.is_in(side_ids.implode()))
    for how, form in FORMS.items() if len(lone) else ():
        frame = pl.DataFrame({"id": side_ids.filter(~side_ids.is_in(ids.implode()))})
        theirs = frame.with_columns(form.alias("plain"))
        ours = pl.DataFrame({"id": lone}).with_columns(form.alias("plain"))
        pairs = ours.join(theirs.filter(pl.col("plain") != ""), on="plain").sort("id")
        if pairs.height >= MIN_MET * len(ids):
            why = (
                f"{pairs.height:,} of {len(ids):,} ids of the events are in the {_table(key)} "
                f"table only in another form ({pairs['id'][0]!r}, {pairs['id_right'][0]!r}) and "
                f"are not joined; they would meet {how}"
            )
            return [_note(key, why, pairs.height)]
    return []


MIN_MET = 0.05
"""Minimum share of the events' ids that would match in another form for a finding."""
FORMS = {
    "in one form of letters and digits (Unicode NFKC)": pl.col("id").str.normalize("NFKC"),
    "without commas": pl.col("id").str.replace_all(",", "", literal=True),
    "in lower case": pl.col("id").str.to_lowercase(),
    "without leading zeros": pl.col("id").str.replace(r"^0+(\d)", "$1"),
    "without dashes and braces": pl.col("id").str.to_lowercase().str.replace_all(r"[{}\-]", ""),
}
HINTS = {**FORMS, "without the letters before the number": pl.col("id").str.replace(r"^\D+", "")}
"""Changes that may make ids match; the last is suggested only where no id matches as it is."""


def _meet(how: pl.Expr, ids: pl.Series, side_ids: pl.Series) -> bool:
    """Whether some ids match after a change."""
    ours, theirs = (pl.DataFrame({"id": s}).select(how)["id"] for s in (ids, side_ids))
    theirs = theirs.filter(theirs != "")
    return bool(ours.is_in(theirs.implode()).any())
