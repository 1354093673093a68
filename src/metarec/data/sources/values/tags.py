"""Cells that hold several tags, whatever parts them, as `a|b`."""

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


def with_tags(table: pl.DataFrame, given: Mapping[str, str]) -> tuple[pl.DataFrame, list[Finding]]:
    """Columns of tags as `a|b`, whatever parts them: a bar, a semicolon, a comma, JSON, and where
    it tells more than it takes apart a slash, an arrow, a plus, a hash or a space; the same for
    other columns of few words that come again.

    Args:
        given: column in the file by its name here; one without an `s` at its end is called as if
            a cell held one (`category`).
    """
    columns: dict[str, pl.Series] = {}
    findings: list[Finding] = []
    for name, dtype in table.schema.items():
        if isinstance(dtype, pl.List):
            columns[name] = _texts(table[name])
        elif dtype == pl.Utf8 and name not in PROSE and not name.endswith("_id"):
            if _are_lists(table[name], some=name in TAG_NAMES):
                columns[name] = table[name].map_elements(_listed, return_dtype=pl.Utf8)
                continue
            called = given.get(name, name).lower()
            is_named = name in TAG_NAMES
            bars = _by_bars(table[name], not called.endswith("s")) if is_named else table[name]
            if is_named and not bars.equals(table[name]):
                columns[name] = bars
                continue
            is_whole = not table[name].str.contains("|", literal=True).any()
            weak = {**WEAK, **(WEAKER if called.endswith("s") and is_whole else {})}
            weak |= WEAKEST if called in WORDS else {}
            parted, mark = _by_what_recurs(bars, weak if is_named else STRONG)
            if mark is not None:
                columns[name] = parted
                findings += [_parted(name, mark)] if mark != "|" else []
    columns |= {c: table[c] for c in TAG_NAMES if c in table.columns and c not in columns}
    bare = {name: _without_quotes(tags) for name, tags in columns.items()}
    return table.with_columns(**bare) if bare else table, findings


def _without_quotes(tags: pl.Series) -> pl.Series:
    """Tags each of which stands in quotes, `'a'|'b'`, without them."""
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


def _texts(column: pl.Series) -> pl.Series:
    """Lists as lists of text: lists in them one behind the other, objects by their name."""
    while isinstance(dtype := column.dtype, pl.List) and dtype.inner.is_nested():
        inner = dtype.inner
        if isinstance(inner, pl.Struct):
            texts = (f.name for f in inner.fields if f.dtype == pl.Utf8)
            own = {f.name for f in inner.fields}
            field = "name" if "name" in own else next(texts, inner.fields[0].name)
            column = column.list.eval(pl.element().struct.field(field))
        else:
            column = column.list.eval(pl.element().explode())
    return column.cast(pl.List(pl.Utf8))


def _parted(name: str, mark: str) -> Finding:
    why = f"cells of {name} are tags, parted by {mark!r}, since the parts come again in other cells"
    return Finding(rule="tags", rows=0, action="noted", why=why, table="items")


STRONG = {"|": r"\s*\|\s*", ";": r"\s*[;；]\s*", ",": BY_COMMA}
"""Marks between tags, in columns of any name."""
WEAK = {
    "/": r"\s*/+\s*",
    **{mark: rf"\s*{re.escape(mark)}+\s*" for mark in ("^", "~", "\\", "·", "•", ":", "\n")},
    " - ": r"\s+[-–—]\s+",
    ">": r"\s*[>→»]\s*",
    "><": r"\s*>\s*<\s*",
    "+": r"\s*\+\s*",
    "#": r"\s*#\s*",
}
"""Marks that may be part of a tag, in columns that are called as if they held several."""
WEAKER = {"&": r"\s*&\s*", "and": r"\s+(?i:and)\s+", "_": r"_+"}
"""Marks that names of categories have, too, in columns that are called as if a cell held several.
"""
WEAKEST = {"&": r"\s*&\s*", " ": r"\s+"}
"""Marks between words."""
WORDS = ("tags", "tag", "keywords", "keyword", "标签", "关键词")
"""Columns of single words, as their files call them."""
MAX_TAG = 30
"""Letters of a tag, at most, in a column that is not called so."""
_RANGE = (
    r"^\D{0,3}\d{1,3}(,\d{3})*\s*"
    r"(\+|([-–—~至]|to|bis)\s*\D{0,3}\d{1,3}(,\d{3})+\+?)\D{0,3}$"
)
"""A range of large numbers, such as `100,000 - 500,000`: its commas part no tags."""
MIN_RECURS = 2.0
"""In how many different cells a part stands, on average."""
MIN_PARTED = 0.3
"""Share of cells with more than one tag."""


def _by_what_recurs(column: pl.Series, marks: Mapping[str, str]) -> tuple[pl.Series, str | None]:
    """Cells as `a|b` by the first mark whose parts stand in two cells on average; None for the mark
    where there is none.
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
    return column.str.strip_chars("<># ").str.replace_all(pattern, "|").str.strip_chars("|")


def _are_lists(column: pl.Series, *, some: bool = False) -> bool:
    """Whether every cell is a list; or some, where the rest are tags by themselves."""
    are = column.drop_nulls().str.contains(_LIST)
    return len(are) > 0 and bool(are.any() if some else are.all())


_LIST = r"""^(\[.*\]|\((['"]).*['"],?\)|\{("[^"]*"|[^:"])*\})$"""
"""A list as JSON, Python, NumPy or PostgreSQL write it; no object of JSON."""
_LIST_OF = re.compile(_LIST, re.DOTALL)
_APART = re.compile(r"""\[\s*((?:'[^']*'|"[^"]*")(?:\s+(?:'[^']*'|"[^"]*"))+)\s*\]""")
"""Texts between which NumPy writes spaces alone."""
_QUOTED = re.compile(r"""'([^']*)'|"([^"]*)\"""")


def _listed(cell: str) -> str:
    """A list in text as `a|b`; a cell that is none as it is."""
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


def _named(found: object) -> Iterator[str]:
    """Tags of a list, also of lists in it; of an object its name, as films' databases have it:
    `{"id": 18, "name": "Drama"}`.
    """
    if isinstance(found, Mapping):
        texts = (value for value in found.values() if isinstance(value, str))
        found = found.get("name", next(texts, next(iter(found.values()), "")))
    if isinstance(found, list | tuple | set | Mapping):
        parts = found.values() if isinstance(found, Mapping) else found
        for one in sorted(parts, key=str) if isinstance(found, set) else parts:
            yield from _named(one)
    elif found is not None and (tag := str(found).strip()):
        yield tag


def _by_bars(column: pl.Series, is_singular: bool) -> pl.Series:
    """One separator for a column: the best baseline if there is any, else the semicolon, else the
    comma.
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
    """Whether parting by commas tells more than it takes apart: a name such as `Home, Garden` is
    one tag where its parts never stand elsewhere.
    """
    cells = column.drop_nulls().unique()
    parts = cells.str.replace_all(BY_COMMA, "|").str.split("|").explode()
    return parts.n_unique() < len(parts)
