"""Split cells of several tags, whatever separates them, and write them as `a|b`."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator, Mapping

import polars as pl

from metarec.data.findings import Finding
from metarec.data.sources.values.cell_types import PROSE, TAG_NAMES

BY_COMMA = r"\s*[,，、]\s*"
"""Pattern of commas between tags."""


def with_tags(
    table: pl.DataFrame, name_in_file: Mapping[str, str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Write columns of tags as `a|b`. A bar, a semicolon, a comma or a list may separate them; a
    slash, an arrow, a plus, a hash or a space does where the parts recur in other cells. Other
    columns are split where short parts recur. Return the table and findings.

    Args:
        name_in_file: column -> its name in the file; one without a final `s` (`category`) is taken
            as naming one tag per cell.
    """
    columns: dict[str, pl.Series] = {}
    findings: list[Finding] = []
    for name, dtype in table.schema.items():
        if isinstance(dtype, pl.List):
            columns[name] = _texts(table[name])
        elif dtype == pl.Utf8 and name not in PROSE and not name.endswith("_id"):
            if _are_lists(table[name], any_suffices=name in TAG_NAMES):
                columns[name] = table[name].map_elements(_listed, return_dtype=pl.Utf8)
                continue
            called = name_in_file.get(name, name).lower()
            is_named = name in TAG_NAMES
            bars = _by_bars(table[name], not called.endswith("s")) if is_named else table[name]
            if is_named and not bars.equals(table[name]):
                columns[name] = bars
                continue
            is_whole = not table[name].str.contains("|", literal=True).any()
            weak = {**WEAK, **(WEAKER if called.endswith("s") and is_whole else {})}
            weak |= WEAKEST if called in WORDS else {}
            split, mark = _by_recurring_parts(bars, weak if is_named else STRONG)
            if mark is not None:
                columns[name] = split
                findings += [_split_at(name, mark)] if mark != "|" else []
    columns |= {c: table[c] for c in TAG_NAMES if c in table.columns and c not in columns}
    bare = {name: _without_quotes(tags) for name, tags in columns.items()}
    return table.with_columns(**bare) if bare else table, findings


def _without_quotes(tags: pl.Series) -> pl.Series:
    """Remove quotes around tags, `'a'|'b'`, where all tags are in quotes."""
    if tags.dtype != pl.Utf8:
        return tags
    stated = tags.drop_nulls()
    stated = stated.filter(stated != "")
    if not len(stated) or not stated.str.contains(_IN_QUOTES).all():
        return tags
    return tags.str.replace_all(r"""(^|\|)\s*['"]""", "$1").str.replace_all(
        r"""['"]\s*(\||$)""", "$1"
    )


_IN_QUOTES = r"""^(\s*'[^'|]*'\s*(\||$))+$|^(\s*"[^"|]*"\s*(\||$))+$"""
"""Pattern of a cell whose tags are all in quotes."""


def _texts(column: pl.Series) -> pl.Series:
    """Convert lists to lists of text: nested lists are flattened, and objects are replaced by their
    name.
    """
    while isinstance(dtype := column.dtype, pl.List) and dtype.inner.is_nested():
        inner = dtype.inner
        if isinstance(inner, pl.Struct):
            texts = (f.name for f in inner.fields if f.dtype == pl.Utf8)
            names = {f.name for f in inner.fields}
            field = "name" if "name" in names else next(texts, inner.fields[0].name)
            column = column.list.eval(pl.element().struct.field(field))
        else:
            column = column.list.eval(pl.element().explode())
    return column.cast(pl.List(pl.Utf8))


def _split_at(name: str, mark: str) -> Finding:
    """Return the finding on a column that was split by a separator."""
    why = f"cells of {name} are tags, parted by {mark!r}, since the parts come again in other cells"
    return Finding(rule="tags", rows=0, action="noted", why=why, table="items")


STRONG = {"|": r"\s*\|\s*", ";": r"\s*[;；]\s*", ",": BY_COMMA}
"""Separators of tags in columns of any name -> their patterns."""
WEAK = {
    "/": r"\s*/+\s*",
    **{mark: rf"\s*{re.escape(mark)}+\s*" for mark in ("^", "~", "\\", "·", "•", ":", "\n")},
    " - ": r"\s+[-–—]\s+",
    ">": r"\s*[>→»]\s*",
    "><": r"\s*>\s*<\s*",
    "+": r"\s*\+\s*",
    "#": r"\s*#\s*",
}
"""Further separators that may be part of a tag, for columns with names for tags."""
WEAKER = {"&": r"\s*&\s*", "and": r"\s+(?i:and)\s+", "_": r"_+"}
"""Further separators that occur within names of categories, for columns with a name in the plural.
"""
WEAKEST = {"&": r"\s*&\s*", " ": r"\s+"}
"""Separators of single words."""
WORDS = ("tags", "tag", "keywords", "keyword", "标签", "关键词")
"""Names of columns of single words in the file."""
MAX_TAG = 30
"""Maximum number of characters of a tag found by recurring parts."""
_RANGE = (
    r"^\D{0,3}\d{1,3}(,\d{3})*\s*"
    r"(\+|([-–—~至]|to|bis)\s*\D{0,3}\d{1,3}(,\d{3})+\+?)\D{0,3}$"
)
"""Pattern of a range of large numbers, such as `100,000 - 500,000`, whose commas do not separate
tags.
"""
MIN_RECURS = 2.0
"""Minimum mean number of distinct cells in which a part occurs."""
MIN_PARTED = 0.3
"""Minimum share of cells with more than one tag."""


def _by_recurring_parts(
    column: pl.Series, marks: Mapping[str, str]
) -> tuple[pl.Series, str | None]:
    """Split cells by the first separator whose parts recur. Return the column as `a|b` and the
    separator; the column unchanged and None without such a separator.
    """
    cells = column.drop_nulls().unique()
    for mark, pattern in marks.items():
        held = cells.str.strip_chars("<># ").str.contains(pattern) & ~cells.str.contains(_RANGE)
        if len(cells) < 4 or held.sum() < MIN_PARTED * len(cells):
            continue
        parts = _bars(cells, pattern).str.split("|").explode()
        is_short = bool((parts.str.len_chars() <= MAX_TAG).all())
        if is_short and len(parts) >= MIN_RECURS * parts.n_unique():
            return _bars(column, pattern), mark
    return column, None


def _bars(column: pl.Series, pattern: str) -> pl.Series:
    """Replace a separator by bars."""
    return column.str.strip_chars("<># ").str.replace_all(pattern, "|").str.strip_chars("|")


def _are_lists(column: pl.Series, *, any_suffices: bool = False) -> bool:
    """Whether every cell is a list, or, with `any_suffices`, any cell is."""
    are = column.drop_nulls().str.contains(_LIST)
    return len(are) > 0 and bool(are.any() if any_suffices else are.all())


_LIST = r"""^(\[.*\]|\((['"]).*['"],?\)|\{("[^"]*"|[^:"])*\})$"""
"""Pattern of a list as JSON, Python, NumPy or PostgreSQL write it, but not of a JSON object."""
_LIST_OF = re.compile(_LIST, re.DOTALL)
_APART = re.compile(r"""\[\s*((?:'[^']*'|"[^"]*")(?:\s+(?:'[^']*'|"[^"]*"))+)\s*\]""")
"""Pattern of a list of texts separated by spaces, as NumPy writes it."""
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


def _listed(cell: str) -> str:
    """Write a list in text as `a|b`; other cells stay unchanged."""
    if _LIST_OF.match(cell) is None:
        return cell
    if (apart := _APART.fullmatch(cell)) is not None:
        return "|".join(one or other for one, other in _QUOTED.findall(apart[1]))
    if cell.startswith("{") and not cell.startswith("{'"):
        row = next(csv.reader([cell[1:-1]], skipinitialspace=True), [])
        return "|".join(tag.strip() for tag in row if tag.strip())
    for read in (json.loads, ast.literal_eval):
        try:
            return "|".join(_named(read(cell)))
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    return "|".join(t for t in re.split(BY_COMMA, cell.strip("[]").replace("'", "")) if t)


def _named(cell: object) -> Iterator[str]:
    """Yield the tags of a list, including nested ones. An object is replaced by its name, as in
    film databases: `{"id": 18, "name": "Drama"}`.
    """
    if isinstance(cell, Mapping):
        texts = (value for value in cell.values() if isinstance(value, str))
        cell = cell.get("name", next(texts, next(iter(cell.values()), "")))
    if isinstance(cell, list | tuple | set | Mapping):
        parts = cell.values() if isinstance(cell, Mapping) else cell
        for one in sorted(parts, key=str) if isinstance(cell, set) else parts:
            yield from _named(one)
    elif cell is not None and (tag := str(cell).strip()):
        yield tag


def _by_bars(column: pl.Series, is_singular: bool) -> pl.Series:
    """Write a column of tags as `a|b`, separated by bars if there are any, else by semicolons, else
    by commas. In a column that names one tag, commas separate only where parts recur.
    """
    texts = column.drop_nulls()
    if texts.str.contains("|", literal=True).any():
        return column.str.replace_all(r"\s*\|[\s|]*", "|").str.strip_chars("|")
    if texts.str.contains("[;；]").any():
        return column.str.replace_all(r"\s*[;；]\s*", "|")
    if texts.str.contains("[,，、]").any() and (not is_singular or _tags_recur(column)):
        return column.str.replace_all(BY_COMMA, "|")
    return column


def _tags_recur(column: pl.Series) -> bool:
    """Whether some part between commas recurs. A name such as `Home, Garden` is one tag if its
    parts never occur elsewhere.
    """
    cells = column.drop_nulls().unique()
    parts = cells.str.replace_all(BY_COMMA, "|").str.split("|").explode()
    return parts.n_unique() < len(parts)
