"""Cells of a table as what they are: numbers, truth values, tags; text stays text."""

from __future__ import annotations

import ast
import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import (
    NO_TEXT,
    YES_NO,
    as_numbers,
    as_truth,
    holds,
    nothing,
    odd_number,
)
from metarec.data.cells.units import measured
from metarec.data.findings import Finding
from metarec.data.frames import widened
from metarec.data.names.column_matching import spoken

PROSE = ("title", "text", "name", "description")
"""Columns whose cells are never taken for anything but words."""
TAG_NAMES = ("categories", "category", "genres", "genre", "tags", "keywords", "topics")
"""Columns of tags, several in a cell."""
MOSTLY, MANY, HALF = 0.95, 0.75, 0.5
"""From this share of numbers on, a cell that is none is worth a word; from the last on, if they are
of many sizes, and from the second on words beside them may be gaps.
"""
LIKE_NUMBERS = r"^[^\w\s]?\s?\d[\d.,]*\s?[^\w\s]?$"
"""A number, perhaps with a sign of money before or behind it."""
MAX_WORDS, MIN_NUMBERS = 3, 4
"""Different words that may stand for gaps among numbers, at most, and different numbers that there
must be more than.
"""
BY_COMMA = r"\s*[,，、]\s*"


_TYPES = frozenset(("S", "N", "BOOL", "NULL"))


def flat(table: pl.DataFrame) -> pl.DataFrame:
    """Objects in cells as columns of their own: `{"user": {"id": 7}}` has a column `user_id`;
    numbers as `widened`.
    """
    while nested := [name for name, dtype in table.schema.items() if dtype == pl.Struct]:
        name, taken = nested[0], set(table.columns)
        fields = table[name].struct.unnest()
        if fields.width == 1 and fields.columns[0].startswith("$"):  # a type of MongoDB
            table = table.with_columns(fields.to_series().alias(name))
            continue
        if {*fields.columns} <= _TYPES:  # those of DynamoDB
            value = fields.select(pl.coalesce(pl.all().cast(pl.Utf8))).to_series()
            table = table.with_columns(value.alias(name))
            continue
        renamed = {
            f: f if f.lower().startswith(f"{name.lower()}_") and f not in taken else f"{name}_{f}"
            for f in fields.columns
        }
        kept = [field for field, new in renamed.items() if new not in taken]
        table = table.drop(name).hstack(fields.select(kept).rename({f: renamed[f] for f in kept}))
    return widened(table)


COMMA_LANGUAGES = ("German", "French", "Italian", "Portuguese", "Dutch", "Turkish", "Russian")
"""Languages in which a comma stands for the decimal point everywhere, as in Spanish it does not."""


def with_types(
    table: pl.DataFrame,
    what: str = "interactions",
    keep_text: Sequence[str] = (),
    given: Sequence[str] = (),
) -> tuple[pl.DataFrame, list[Finding]]:
    """Turn text columns into numbers or truth values where every cell is one or says nothing;
    codes such as `01234` and ids stay text.

    Args:
        given: columns as the file has them.
    """
    found: dict[str, pl.Series] = {}
    findings: list[Finding] = []
    table, points = _with_points(table, what, given)
    findings += points
    for name, dtype in table.schema.items():
        if dtype != pl.Utf8:
            continue
        column = nothing(table[name], ("",))
        if name in keep_text or name.endswith("_id"):
            found[name] = column
        elif name in PROSE:
            found[name] = column
        elif what == "items" and name in TAG_NAMES:
            found[name] = nothing(column, NO_TEXT)
        else:
            found[name], finding = _typed(column, what)
            findings += [finding] if finding else []
    return table.with_columns(**found) if found else table, findings


def _with_points(
    table: pl.DataFrame, what: str, given: Sequence[str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Numbers such as `1,659` with a point, where other columns show that a comma stands for one:
    of one number in three digits behind a comma nobody can tell.
    """
    texts = [
        nothing(table[c]).drop_nulls() for c, dtype in table.schema.items() if dtype == pl.Utf8
    ]
    numbers = [text for text in texts if len(text) and holds(text, r"^[+-]?\d*[.,]?\d+$").all()]
    if any(holds(text, r"\.").any() for text in numbers):
        return table, []
    is_shown = any(holds(text, r",(\d{1,2}|\d{4,})$").any() for text in numbers)
    if not is_shown and spoken([*table.columns, *given]) not in COMMA_LANGUAGES:
        return table, []
    changed, findings = list[pl.Series](), list[Finding]()
    for text in (t for t in numbers if holds(t, r"^[+-]?\d{1,3},\d{3}$").all()):
        changed.append(table[text.name].str.replace(",", ".", literal=True))
        read = (
            f"{text.name} such as {text[0]!r} was read as {float(text[0].replace(',', '.')):.15g}"
        )
        why = f"{read}, since a comma stands for the decimal point in other columns"
        if not is_shown:
            why = f"{read}, since a comma stands for the decimal point in the language of the table"
        findings.append(_noted("number_form", why, what))
    return table.with_columns(changed), findings


def _typed(column: pl.Series, what: str) -> tuple[pl.Series, Finding | None]:
    """A column as numbers or truth values, or as text with nulls; and what must be said of it."""
    truth = as_truth(column)
    if truth is not None:
        return truth, None
    text = nothing(column)
    stated = len(text) - text.null_count()
    if not stated or text.str.contains(r"^[+-]?0\d").any():
        return nothing(column, NO_TEXT), None
    if (marked := _marked(column, text, what)) is not None:
        return marked
    numbers = as_numbers(text)
    numbers = numbers.zip_with(numbers.is_finite(), pl.Series([None], dtype=pl.Float64))
    read = len(numbers) - numbers.null_count()
    if read < stated and (found := measured(text)) is not None:
        return _with_unit(column, text, *found, what)
    if read < stated:
        return _nearly_numbers(column, text, numbers, what)
    finding = None
    if (odd := odd_number(text)) is not None:
        first = float(numbers.filter((text == odd).fill_null(False))[0])
        finding = _noted(
            "number_form", f"{column.name} such as {odd!r} was read as {first:.15g}", what
        )
    return _whole(numbers), finding


def _marked(column: pl.Series, text: pl.Series, what: str) -> tuple[pl.Series, Finding] | None:
    """A column of which every cell is blank or the same word for yes, as boxes are ticked: blank is
    no.
    """
    words = text.drop_nulls().unique()
    if len(words) != 1 or not text.null_count() or words[0].lower() not in {*YES_NO, "x", "1"}:
        return None
    why = f"{column.name} says {words[0]!r} or nothing: read as yes and no"
    return text.is_not_null().alias(column.name), _noted("number_form", why, what)


def _whole(numbers: pl.Series) -> pl.Series:
    """Numbers as whole ones where all of them are."""
    whole = bool((numbers == numbers.round()).all()) and bool((numbers.abs() < 2**53).all())
    return numbers.cast(pl.Int64) if whole else numbers


def _with_unit(
    column: pl.Series, text: pl.Series, numbers: pl.Series, units: Sequence[str], what: str
) -> tuple[pl.Series, Finding | None]:
    """Numbers with one unit as numbers; with several they cannot be compared and stay text. A plain
    number before its unit (`149 mmHg`) can be read in one way only, so nothing is said of it.
    """
    name = column.name
    if len(units) > 1:
        listed = ", ".join(repr(unit) for unit in units[:4])
        why = f"{name} is read as text: its numbers are of several units ({listed}); use one"
        return nothing(column, NO_TEXT), _noted("mixed_columns", why, what)
    if text.drop_nulls().str.contains(rf"^\d+(\.\d+)? ?{re.escape(units[0])}$").all():
        return _whole(numbers), None
    shown = str(text.drop_nulls()[0])
    first = float(numbers.drop_nulls()[0])
    return _whole(numbers), _noted(
        "number_form", f"{name} such as {shown!r} was read as {first:.15g}", what
    )


def _nearly_numbers(
    column: pl.Series, text: pl.Series, numbers: pl.Series, what: str
) -> tuple[pl.Series, Finding | None]:
    """Numbers with gaps where the cells that are none say a word or two without digits, such as
    `prefer not to say`; else text, which is said where most are numbers.
    """
    name, looks = column.name, numbers.is_not_null() | holds(text, LIKE_NUMBERS)
    odd, known = text.filter(~looks & text.is_not_null()), text.filter(looks)
    are_many = known.n_unique() > MIN_NUMBERS
    least = HALF if are_many else MOSTLY
    stated = len(odd) + len(known)
    if not len(odd) or len(known) < least * stated:
        return nothing(column, NO_TEXT), None
    are_words = odd.n_unique() <= MAX_WORDS and not odd.str.contains(r"\d").any()
    if are_words and are_many and numbers.count() >= MANY * stated:
        why = f"{name} is read as numbers: cells such as {odd[0]!r} are gaps"
        return _whole(numbers), _noted("mixed_columns", why, what, len(odd))
    why = f"{name} is read as text: {len(odd):,} of its cells are no numbers (such as {odd[0]!r})"
    return nothing(column, NO_TEXT), _noted("mixed_columns", why, what)


def _noted(rule: str, why: str, table: str, rows: int = 0) -> Finding:
    return Finding(rule=rule, rows=rows, action="noted", why=why, table=table)


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
            weak = {**WEAK, **WEAKEST} if called in WORDS else WEAK
            parted, mark = _by_what_recurs(bars, weak if is_named else STRONG)
            if mark is not None:
                columns[name] = parted
                findings += [_parted(name, mark)] if mark != "|" else []
    return table.with_columns(**columns) if columns else table, findings


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
    return _noted("tags", why, "items")


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
WEAKEST = {"&": r"\s*&\s*", " ": r"\s+"}
"""Marks that names of categories have, too."""
WORDS = ("tags", "tag", "keywords", "keyword", "标签", "关键词")
"""Columns of single words, as their files call them."""
MAX_TAG = 30
"""Letters of a tag, at most, in a column that is not called so."""
_RANGE = r"^\D{0,3}\d{1,3}(,\d{3})*\s*(\+|([-–—~至]|to|bis)\s*\D{0,3}\d{1,3}(,\d{3})+\+?)\D{0,3}$"
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
