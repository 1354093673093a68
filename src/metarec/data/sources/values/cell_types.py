"""Cells of a table as what they are: numbers, truth values, tags; text stays text."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from metarec.data.cells.parsing import (
    NO_TEXT,
    as_numbers,
    holds,
    nothing,
    odd_number,
)
from metarec.data.cells.truth import as_ticks, as_truth
from metarec.data.cells.units import measured
from metarec.data.findings import Finding
from metarec.data.frames import widened
from metarec.data.names.column_matching import spoken
from metarec.data.policy_values import UNITS, converted, numbers_of, unit_in

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


_TYPES = frozenset(("S", "N", "BOOL", "NULL"))


def flat(table: pl.DataFrame) -> pl.DataFrame:
    """Objects in cells as columns of their own: `{"user": {"id": 7}}` has a column `user_id`;
    numbers as `widened`.
    """
    while nested := [name for name, dtype in table.schema.items() if dtype == pl.Struct]:
        name, taken = nested[0], set(table.columns)
        fields = table[name].struct.unnest()
        if not fields.width:  # `{}` in every row
            table = table.drop(name)
            continue
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
    if (ticks := as_ticks(text)) is None:
        return None
    why = f"{column.name} says {text.drop_nulls()[0]!r} or nothing: read as yes and no"
    return ticks, _noted("number_form", why, what)


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
    if (in_name := _in_unit_of_name(name, text, numbers, units)) is not None:
        place = int(in_name.is_not_null().arg_max() or 0)
        why = f"{name} such as {text[place]!r} was read as {in_name[place]:.15g}"
        return _whole(in_name), _noted("number_form", why, what)
    if len(units) > 1:
        listed = ", ".join(repr(unit) for unit in units[:4])
        why = f"{name} is read as text: its numbers are of several units ({listed}); use one"
        return nothing(column, NO_TEXT), _noted("mixed_columns", why, what)
    if text.drop_nulls().str.contains(rf"^\d+(\.\d+)? ?{re.escape(units[0])}$").all():
        return _whole(numbers), None
    odd = text.is_not_null() & text.cast(pl.Float64, strict=False).is_null()
    shown, first = str(text.filter(odd)[0]), float(numbers.filter(odd)[0])
    return _whole(numbers), _noted(
        "number_form", f"{name} such as {shown!r} was read as {first:.15g}", what
    )


def _in_unit_of_name(
    name: str, text: pl.Series, numbers: pl.Series, units: Sequence[str]
) -> pl.Series | None:
    """Numbers in the unit that the column's name ends in (`sodium_mg`), where cells name others of
    the same thing (`1.2 g`); None where there is nothing to convert or it cannot be.
    """
    wanted, named = unit_in(name), [unit.casefold() for unit in units]
    if wanted is None or set(named) <= {wanted, ""}:
        return None
    if len(named) == 1:
        found = numbers * converted(1.0, named[0], wanted)
        return None if named[0] not in UNITS else _if_read(found, text)
    in_unit = pl.Series(name, numbers_of(text.to_list(), wanted), pl.Float64)
    return None if not {*named} <= {*UNITS, ""} else _if_read(in_unit, text)


def _if_read(numbers: pl.Series, text: pl.Series) -> pl.Series | None:
    """Numbers, where every stated cell is one."""
    found = numbers.fill_nan(None).alias(text.name)
    return found if found.null_count() == text.null_count() else None


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
