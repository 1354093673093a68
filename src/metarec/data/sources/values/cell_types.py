"""Convert text columns to numbers and truth values where their cells are such; other text stays
text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

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
from metarec.data.errors import BadInput
from metarec.data.findings import Finding, noted
from metarec.data.frames import widened
from metarec.data.names.column_matching import spoken
from metarec.data.policy_values import UNITS, converted, numbers_of, unit_in

PROSE = ("title", "text", "name", "description")
"""Columns that always stay text."""
TAG_NAMES = ("categories", "category", "genres", "genre", "tags", "keywords", "topics")
"""Columns of tags, with several in a cell."""
MOSTLY, MANY, HALF = 0.95, 0.75, 0.5
"""Minimum shares of numbers in a column for a finding on its other cells: the first where the
numbers are few distinct ones, the last where they are more. From the second on, a few words are
missing cells.
"""
LIKE_NUMBERS = r"^[^\w\s]?\s?\d[\d.,]*\s?[^\w\s]?$"
"""Pattern of a number, with an optional sign of currency before or after it."""
MAX_WORDS, MIN_NUMBERS = 3, 4
"""Maximum number of distinct words that may stand for missing numbers, and the number of distinct
numbers that must be exceeded.
"""


_TYPES = frozenset(("S", "N", "BOOL", "NULL"))
"""Type names of DynamoDB."""


MAX_FIELDS = 1_000
"""Maximum number of columns that objects become."""


def _n_fields(dtype: pl.DataType) -> int:
    """Return the number of columns that a column of this type becomes."""
    if not isinstance(dtype, pl.Struct):
        return 1
    inner: list[Any] = list(dtype.to_schema().values())
    return sum(map(_n_fields, inner))


def flat(table: pl.DataFrame) -> pl.DataFrame:
    """Replace columns of objects by columns of their fields: `{"user": {"id": 7}}` becomes
    `user_id`. Numbers are as `widened` returns them.

    Raises:
        BadInput: if there are more than `MAX_FIELDS` fields: then ids are names of fields, or the
            file is no table.
    """
    count = sum(map(_n_fields, table.schema.values()))
    if count > MAX_FIELDS and count > table.width:
        raise BadInput(
            f"a row has {count:,} fields in objects, at most {MAX_FIELDS:,} are read; write one "
            f"row for each event, with ids as values"
        )
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
"""Languages in which the decimal mark is a comma in all countries; in Spanish it is not."""


def with_types(
    table: pl.DataFrame,
    what: str = "interactions",
    keep_text: Sequence[str] = (),
    file_columns: Sequence[str] = (),
) -> tuple[pl.DataFrame, list[Finding]]:
    """Convert text columns to numbers or truth values where every stated cell is one; a few
    distinct words among many numbers become missing. Ids and codes such as `01234` stay text.
    Return the table and findings.

    Args:
        what: `interactions`, `items` or `users`.
        keep_text: columns that stay text.
        file_columns: names of the columns in the file.
    """
    typed: dict[str, pl.Series] = {}
    findings: list[Finding] = []
    table, points = _with_points(table, what, file_columns)
    findings += points
    for name, dtype in table.schema.items():
        if dtype != pl.Utf8:
            continue
        column = nothing(table[name], ("",))
        if name in keep_text or name.endswith("_id"):
            typed[name] = column
        elif name in PROSE:
            typed[name] = column
        elif what == "items" and name in TAG_NAMES:
            typed[name] = nothing(column, NO_TEXT)
        else:
            typed[name], finding = _typed(column, what)
            findings += [finding] if finding else []
    return table.with_columns(**typed) if typed else table, findings


def _with_points(
    table: pl.DataFrame, what: str, file_columns: Sequence[str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Replace the comma in numbers such as `1,659` by a point, where other columns or the language
    of the table show that it is a decimal comma. One such number alone is ambiguous. Return the
    table and findings.
    """
    texts = [
        nothing(table[c]).drop_nulls() for c, dtype in table.schema.items() if dtype == pl.Utf8
    ]
    numbers = [text for text in texts if len(text) and holds(text, r"^[+-]?\d*[.,]?\d+$").all()]
    if any(holds(text, r"\.").any() for text in numbers):
        return table, []
    is_shown = any(holds(text, r",(\d{1,2}|\d{4,})$").any() for text in numbers)
    if not is_shown and spoken([*table.columns, *file_columns]) not in COMMA_LANGUAGES:
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
        findings.append(noted("number_form", why, what))
    return table.with_columns(changed), findings


def _typed(column: pl.Series, what: str) -> tuple[pl.Series, Finding | None]:
    """Return a column as numbers or truth values, or as text with nulls; and a finding or None."""
    truth = as_truth(column)
    if truth is not None:
        return truth, None
    text = nothing(column)
    stated = len(text) - text.null_count()
    if not stated or text.str.contains(r"^[+-]?0\d").any():
        return nothing(column, NO_TEXT), None
    if (ticked := _ticked(column, text, what)) is not None:
        return ticked
    numbers = as_numbers(text)
    numbers = numbers.zip_with(numbers.is_finite(), pl.Series([None], dtype=pl.Float64))
    read = len(numbers) - numbers.null_count()
    if read < stated and (measure := measured(text)) is not None:
        return _with_unit(column, text, *measure, what)
    if read < stated:
        return _nearly_numbers(column, text, numbers, what)
    finding = None
    if (odd := odd_number(text)) is not None:
        first = float(numbers.filter((text == odd).fill_null(False))[0])
        finding = noted(
            "number_form", f"{column.name} such as {odd!r} was read as {first:.15g}", what
        )
    return _whole(numbers), finding


def _ticked(column: pl.Series, text: pl.Series, what: str) -> tuple[pl.Series, Finding] | None:
    """Return a column of ticks, one mark or nothing per cell, as truth values with a finding; None
    for others.
    """
    if (ticks := as_ticks(text)) is None:
        return None
    why = f"{column.name} says {text.drop_nulls()[0]!r} or nothing: read as yes and no"
    return ticks, noted("number_form", why, what)


def _whole(numbers: pl.Series) -> pl.Series:
    """Convert numbers to integers if all are whole."""
    are_whole = bool((numbers == numbers.round()).all()) and bool((numbers.abs() < 2**53).all())
    return numbers.cast(pl.Int64) if are_whole else numbers


def _with_unit(
    column: pl.Series, text: pl.Series, numbers: pl.Series, units: Sequence[str], what: str
) -> tuple[pl.Series, Finding | None]:
    """Return numbers with units as numbers if they have one unit, as text if they have several; and
    a finding. A plain number before its unit (`149 mmHg`) has only one reading and needs no
    finding.
    """
    name = column.name
    if (in_name := _in_unit_of_name(name, text, numbers, units)) is not None:
        place = int(in_name.is_not_null().arg_max() or 0)
        why = f"{name} such as {text[place]!r} was read as {in_name[place]:.15g}"
        return _whole(in_name), noted("number_form", why, what)
    if len(units) > 1:
        listed = ", ".join(repr(unit) for unit in units[:4])
        why = f"{name} is read as text: its numbers are of several units ({listed}); use one"
        return nothing(column, NO_TEXT), noted("mixed_columns", why, what)
    if text.drop_nulls().str.contains(rf"^\d+(\.\d+)? ?{re.escape(units[0])}$").all():
        return _whole(numbers), None
    odd = text.is_not_null() & text.cast(pl.Float64, strict=False).is_null()
    example, first = str(text.filter(odd)[0]), float(numbers.filter(odd)[0])
    return _whole(numbers), noted(
        "number_form", f"{name} such as {example!r} was read as {first:.15g}", what
    )


def _in_unit_of_name(
    name: str, text: pl.Series, numbers: pl.Series, units: Sequence[str]
) -> pl.Series | None:
    """Convert numbers to the unit at the end of the column's name (`sodium_mg`), where cells have
    other units of the same dimension (`1.2 g`); None where none must or not all can be converted.
    """
    unit_of_name, named = unit_in(name), [unit.casefold() for unit in units]
    if unit_of_name is None or set(named) <= {unit_of_name, ""}:
        return None
    if len(named) == 1:
        in_unit_of_name = numbers * converted(1.0, named[0], unit_of_name)
        return None if named[0] not in UNITS else _if_read(in_unit_of_name, text)
    in_unit = pl.Series(name, numbers_of(text.to_list(), unit_of_name), pl.Float64)
    return None if not {*named} <= {*UNITS, ""} else _if_read(in_unit, text)


def _if_read(numbers: pl.Series, text: pl.Series) -> pl.Series | None:
    """Return the numbers if every stated cell is one; else None."""
    without_nan = numbers.fill_nan(None).alias(text.name)
    return without_nan if without_nan.null_count() == text.null_count() else None


def _nearly_numbers(
    column: pl.Series, text: pl.Series, numbers: pl.Series, what: str
) -> tuple[pl.Series, Finding | None]:
    """Return a column with some cells that are no numbers. A few distinct words without digits,
    such as `prefer not to say`, become missing; other columns stay text, with a finding where most
    cells are numbers.
    """
    name, looks = column.name, numbers.is_not_null() | holds(text, LIKE_NUMBERS)
    odd, numeric = text.filter(~looks & text.is_not_null()), text.filter(looks)
    are_many = numeric.n_unique() > MIN_NUMBERS
    least = HALF if are_many else MOSTLY
    n_stated = len(odd) + len(numeric)
    if not len(odd) or len(numeric) < least * n_stated:
        return nothing(column, NO_TEXT), None
    are_words = odd.n_unique() <= MAX_WORDS and not odd.str.contains(r"\d").any()
    if are_words and are_many and numbers.count() >= MANY * n_stated:
        why = f"{name} is read as numbers: cells such as {odd[0]!r} are gaps"
        return _whole(numbers), noted("mixed_columns", why, what, len(odd))
    why = f"{name} is read as text: {len(odd):,} of its cells are no numbers (such as {odd[0]!r})"
    return nothing(column, NO_TEXT), noted("mixed_columns", why, what)
