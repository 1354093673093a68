"""Turn lists of ids within a cell into one row per id, and detect text that may be a list of
ids.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import polars as pl

from metarec.data.cells.parsing import as_numbers
from metarec.data.errors import BadInput
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_names import STAND_IN_COLUMNS, plain

MARKS = {"|": r"\|", ",": ",", ";": ";", " ": " "}
MIN_LISTS = 0.5
"""Minimum share of ids with a separator for a column that may hold lists."""
MIN_PAIRS = 2
"""Minimum number of cells with an id and its name."""
MAX_COUNT = 1000
"""Maximum number of users in a session."""


def one_row_each(frame: pl.DataFrame, place: Place, keys: tuple[str, ...], table: str) -> RawTable:
    """Return one row per id where cells hold lists of ids, with the cells of other lists of the
    same lengths; their places and findings.

    Raises:
        BadInput: if an id is an object or a nested list.
    """
    frame = frame.with_columns(
        pl.col(n).arr.to_list() for n, t in frame.schema.items() if isinstance(t, pl.Array)
    )
    frame, pairs = _with_ids_of_pairs(frame, place, keys, table)
    key = next((k for k in keys if isinstance(frame.schema.get(k), pl.List)), None)
    if key is None:
        return _checked(frame, place, keys), place, pairs
    lengths = frame[key].list.len()
    beside = [
        n
        for n, t in frame.schema.items()
        if isinstance(t, pl.List) and frame[n].list.len().equals(lengths)
    ]
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    spread = frame.with_columns(rows.alias("__row")).explode(beside)
    place = replace(place, rows=spread["__row"])
    why = f"{key} of {place.name} holds lists: each id in them is a row of its own"
    finding = Finding(rule="lists", rows=frame.height, action="changed", why=why, table=table)
    return _checked(spread.drop("__row"), place, keys), place, [*pairs, finding]


def _with_ids_of_pairs(
    frame: pl.DataFrame, place: Place, keys: tuple[str, ...], table: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Return the table with the id alone where cells hold an id and its name, as Odoo writes them
    (`[7, "Desk"]`); the name is the title of an item without one. Also return findings.
    """
    findings = list[Finding]()
    for key in keys:
        dtype = frame.schema.get(key)
        if not isinstance(dtype, pl.List) or dtype.inner.is_nested():
            continue
        stated = frame[key].drop_nulls()
        if len(stated) < MIN_PAIRS or (stated.list.len() != 2).any():
            continue
        pairs = pl.DataFrame(
            {n: frame[key].list.get(at).cast(pl.Utf8) for at, n in enumerate(("id", "name"))}
        )
        distinct, ids = pairs.drop_nulls().unique(), pairs["id"].drop_nulls().n_unique()
        are_ids = pairs["id"].drop_nulls().str.contains(r"^\d+$").all()
        are_names = not pairs["name"].drop_nulls().str.contains(r"^\d+$").any()
        if not are_ids or not are_names or distinct.height != ids or ids == len(stated):
            continue
        frame = frame.with_columns(pairs["id"].alias(key))
        if key == "item_id" and "title" not in frame.columns:
            frame = frame.with_columns(pairs["name"].alias("title"))
        example = ", ".join(map(repr, distinct.sort("id").row(0)))
        why = f"{key} of {place.name} holds an id and its name ({example}): the id alone is read"
        findings.append(Finding(rule="lists", rows=0, action="noted", why=why, table=table))
    return frame, findings


def with_written_lists(frame: pl.DataFrame, keys: Collection[str]) -> pl.DataFrame:
    """Return the table with lists in place of texts that print them (`['i1', 'i2']`, `[1 2]`,
    `{i1,i2}`), where one of the columns `keys` holds such texts.
    """
    lists = {c: s for c in frame.columns if (s := _lists_in(frame[c])) is not None}
    return frame.with_columns(**lists) if any(key in lists for key in keys) else frame


def _lists_in(column: pl.Series) -> pl.Series | None:
    """Return the lists that all stated cells of a text column print; None where some do not, or
    none holds several.
    """
    if column.dtype != pl.Utf8:
        return None
    text = column.str.strip_chars()
    stated = text.drop_nulls()
    if not len(stated) or not stated.head(1).str.contains(_LIST).all():
        return None
    if not stated.str.contains(_LIST).all():
        return None
    inner = text.str.slice(1).str.head(-1).str.strip_chars()
    mark = r"," if stated.str.contains(r"[^\[{]\s*,").any() else r"\s+"
    parts = inner.str.replace_all(rf"\s*{mark}\s*", "\x1f").str.split("\x1f")
    parts = parts.list.eval(pl.element().str.strip_chars("\"' \n\t"))
    parts = parts.list.eval(pl.element().filter(pl.element() != ""))
    return parts.alias(column.name) if (parts.list.len() > 1).any() else None


_LIST = r"(?s)^(\[[^\[\]{}]*\]|\{[^\[\]{}:]*\})$"
"""Pattern of a printed list without lists or objects in it."""


def _checked(frame: pl.DataFrame, place: Place, keys: tuple[str, ...]) -> pl.DataFrame:
    """Return the table.

    Raises:
        BadInput: if an id is an object or a list.
    """
    for key in keys:
        if key in frame.columns and frame.schema[key].is_nested():
            raise BadInput(
                f"{place.name}: {key} holds {frame.schema[key]}, not an id; give one id a row, as "
                f"text or a number"
            )
    return frame


def ambiguous_id_findings(
    frame: pl.DataFrame, names: Mapping[str, str], mapped: Mapping[str, str], place: str
) -> list[Finding]:
    """Return findings on ids that may be something else.

    Args:
        names: column in the file -> canonical name, where they differ.
        mapped: canonical name -> column, as given by the user.
    """
    user = next((c for c, name in names.items() if name == "user_id"), "user_id")
    counts = [] if "user_id" in mapped else _looks_like_counts(frame, user, place)
    return [*_looks_like_lists(frame["item_id"], place), *counts]


def _looks_like_lists(ids: pl.Series, place: str) -> list[Finding]:
    """Return a finding where items may be lists of ids: most parts occur at several positions."""
    if ids.dtype != pl.Utf8:
        return []
    cells = ids.drop_nulls().unique().sort()
    for mark, pattern in MARKS.items():
        held = cells.filter(cells.str.contains(pattern))
        if len(held) < max(2, MIN_LISTS * len(cells)):
            continue
        parts = held.str.split(mark)
        if _change_positions(parts):
            why = (
                f"item_id of {place} such as {held[0]!r} looks like a list of ids and is read as "
                f"one id; write a row for each"
            )
            return [Finding(rule="lists", rows=len(ids), action="noted", why=why)]
    return []


def _looks_like_counts(frame: pl.DataFrame, column: str, place: str) -> list[Finding]:
    """Return a finding where users are small whole numbers and each row has a session of its own: a
    column `participant` may be a number of users.
    """
    numbers = as_numbers(frame["user_id"])
    is_small = numbers.null_count() == 0 and (numbers.is_between(0, MAX_COUNT)).all()
    stand_ins = [c for c in frame.columns if plain(c) in STAND_IN_COLUMNS]
    session = next((c for c in stand_ins if frame[c].n_unique() == frame.height), None)
    if not is_small or session is None or frame.height < 2 or numbers.n_unique() == frame.height:
        return []
    why = (
        f"column {column!r} of {place} was read as user_id; if it counts users, say who acted in a "
        f'TOML file (columns = {{ user_id = "{session}" }})'
    )
    return [Finding(rule="columns", rows=0, action="noted", why=why)]


def _change_positions(parts: pl.Series) -> bool:
    """Whether most parts occur at several positions of the lists."""
    rows = pl.DataFrame({"part": parts}).with_row_index("row").explode("part")
    rows = rows.with_columns(at=pl.int_range(pl.len()).over("row"))
    places = rows.group_by("part").agg(pl.col("at").n_unique())
    return places.filter(pl.col("at") > 1).height > 0.5 * places.height
