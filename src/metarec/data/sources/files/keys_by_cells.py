"""Find the id columns of events that no name tells, by their cells: those that hold the ids of the
table of items or of users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from metarec.data.cells.parsing import id_text
from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.names.column_matching import key_of, rename
from metarec.data.names.date_names import names_a_moment
from metarec.data.sources.files.joined_files import noun_of, nouns_of
from metarec.data.sources.files.single_file import read_table

MIN_SHARE = 0.9
"""Minimum share of the rows whose cell is an id of the other table."""
KEYS = {"items": "item_id", "users": "user_id"}


def keys_by_cells(
    path: Path,
    sides: Mapping[str, Path],
    synonyms: Mapping[str, Sequence[str]],
    encoding: str | None,
) -> tuple[dict[str, str], list[Finding]]:
    """Return `{column: key}` of the ids that a file of events names neither `user_id` nor `item_id`
    nor alike, with findings; empty where either key stays unknown or the rows cannot be events.

    Ids that are plain numbers, which other columns hold by chance, take a column called like the
    file of the ids: `bike` and `bikes.csv`.

    Args:
        sides: files of items and users.
    """
    try:
        events = read_table(path, encoding)[0]
        tables = {name: read_table(file, encoding)[0] for name, file in sides.items()}
    except BadInput:  # reading it reports the error better
        return {}, []
    named = {key: key_of(events.columns, key, synonyms) for key in KEYS.values()}
    keys = dict[str, str]()
    findings = list[Finding]()
    for table, key in KEYS.items():
        if named[key] is not None:
            continue
        if table not in tables:
            return {}, []
        left = [c for c in events.columns if c not in named.values() and c not in keys]
        column = _column_of_ids(events.select(left), tables[table], table, sides[table], synonyms)
        if column is None:
            return {}, []
        keys[column] = key
        why = (
            f"{path.name}: {column!r} holds the ids of {sides[table].name}, so it is read as {key}"
        )
        findings.append(Finding(rule="columns", rows=0, action="noted", why=why))
    ids = [column for column in (*keys, *named.values()) if column is not None]
    # A table of items that name their seller has each item once, one of users each user.
    repeat = all(events[column].n_unique() < events.height for column in ids)
    return (keys, findings) if keys and repeat else ({}, [])


def _column_of_ids(
    events: pl.DataFrame,
    side: pl.DataFrame,
    table: str,
    file: Path,
    synonyms: Mapping[str, Sequence[str]],
) -> str | None:
    """Return the one column of the events that holds ids of a table of items or users; None where
    none does, or several.
    """
    renamed = {name: c for c, name in rename(side.columns, table, "", None, synonyms).items()}
    ids = id_text(side[renamed.get(KEYS[table], KEYS[table])]).drop_nulls()
    if len(ids) < 2 or ids.n_unique() < len(ids):
        return None
    known = ids.implode()
    holding = [
        column
        for column in events.columns
        if not names_a_moment(column)
        and (cells := id_text(events[column])).n_unique() > 1
        and cells.is_in(known).sum() >= MIN_SHARE * max(len(cells), 1)
    ]
    called_so = [column for column in holding if noun_of(column) in nouns_of(file)]
    if not bool(ids.str.contains(r"^\d*$").all()) and not called_so:
        called_so = holding
    return called_so[0] if len(called_so) == 1 else None
