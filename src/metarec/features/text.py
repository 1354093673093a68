"""Items and users written as text, so that one encoder can encode any catalog.

A template names columns; the default one is built from the known columns that a catalog has, in the
order in which a user would describe an item: name, maker, category, description.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from metarec.data.schema import BadInput, Catalog

NAME_COLUMNS = ("title", "name", "subtitle")
MAKER_COLUMNS = (
    "authors",
    "author",
    "artist",
    "director",
    "creator",
    "brand",
    "publisher",
    "instructor",
)
TAG_COLUMNS = ("categories", "category", "genres", "genre", "tags", "keywords", "topics")
BODY_COLUMNS = ("text", "description", "plot", "summary", "abstract", "overview", "body")
TEXT_COLUMNS = NAME_COLUMNS + MAKER_COLUMNS + TAG_COLUMNS + BODY_COLUMNS
"""Columns read as text, in the order of the default template."""

USER_FIELDS = ("profile", "liked", "disliked")
"""Fields of a template for users: attributes (`age: 31, gender: F`), and liked and disliked titles
joined by semicolons.
"""
HISTORY_ITEMS = 20
"""Number of latest items in the text of a history, about the input length of a small encoder."""


def item_text(catalog: Catalog, template: str | None = None) -> list[str]:
    """Return one text for each item, in catalog order; the empty string for an item without any.

    Args:
        catalog: items and their content.
        template: such as `"{title} by {authors}. {text}"`; missing values are left out. By default
            the known text columns in order, with tags separated by commas and parts that repeat an
            earlier one dropped.

    Raises:
        BadInput: if the template is malformed or names a column the catalog lacks.
    """
    frame = catalog.frame
    if template is None:
        parts = _default_parts(frame)
        if not parts:
            return [""] * frame.height
        written = pl.concat_str(parts, separator=". ", ignore_nulls=True)
    else:
        written = _filled(template, frame.schema)
    return frame.select(_tidied(written).fill_null("").alias("text"))["text"].to_list()


def profile_text(profile: Mapping[str, Any]) -> str:
    """Return a user's attributes as text (`age: 31, gender: F`); empty where nothing is known."""
    stated = (
        (name, value) for name, value in profile.items() if value is not None and str(value).strip()
    )
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in stated)


def history_text(
    titles: Sequence[str], liked: Sequence[bool] | None = None, most: int = HISTORY_ITEMS
) -> str:
    """Return a user's history as text, the latest item first (an encoder that truncates then drops
    the oldest).

    Args:
        titles: title of each item of the history, oldest first.
        liked: whether each was liked; by default all were.
        most: maximum number of items, the latest ones.
    """
    good, bad = _latest(titles, liked, most)
    sentences = [f"Liked: {good}" if good else "", f"Disliked: {bad}" if bad else ""]
    return ". ".join(part for part in sentences if part)


def user_text(
    profile: Mapping[str, Any],
    titles: Sequence[str],
    liked: Sequence[bool] | None = None,
    template: str | None = None,
) -> str:
    """Return profile and recent history as one text: the input of `u* = encoder(u)`; the empty
    string where nothing is known.

    Args:
        profile: attributes, as in `profile_text`.
        titles: title of each item of the history, oldest first.
        liked: whether each was liked; by default all were.
        template: such as `"{profile}. Likes {liked}, not {disliked}"`, checked by
            `check_user_template`.
    """
    profile_words = profile_text(profile)
    if template is None:
        return ". ".join(part for part in (profile_words, history_text(titles, liked)) if part)
    good, bad = _latest(titles, liked, HISTORY_ITEMS)
    return (
        template.format(profile=profile_words, liked=good, disliked=bad)
        if profile_words or good or bad
        else ""
    )


def check_user_template(template: str) -> None:
    """Check that a template for users can be filled.

    Raises:
        BadInput: if it is malformed, names a field other than `USER_FIELDS`, or names none.
    """
    names = [name for _, name, _, _ in _pieces(template, "user") if name is not None]
    odd = next((name for name in names if name not in USER_FIELDS), None)
    fields = ", ".join(f"{{{name}}}" for name in USER_FIELDS)
    if odd is not None:
        raise BadInput(f"user template {template!r} names {odd!r}; there are {fields}")
    if not names:
        raise BadInput(
            f"user template {template!r} says the same of everyone; let it hold some of {fields}"
        )


def _latest(titles: Sequence[str], liked: Sequence[bool] | None, max_items: int) -> tuple[str, str]:
    """Return the latest liked and disliked titles, newest first, each joined by semicolons."""
    marks = [True] * len(titles) if liked is None else list(liked)
    latest = list(zip(titles, marks, strict=True))[::-1][:max_items]
    good, bad = (
        "; ".join(title for title, mark in latest if mark is kind) for kind in (True, False)
    )
    return good, bad


def _default_parts(frame: pl.DataFrame) -> list[pl.Expr]:
    """Return expressions for the known columns present; parts equal to an earlier one are null."""
    names = [
        c
        for c in TEXT_COLUMNS
        if c in frame.columns and frame[c].dtype in (pl.Utf8, pl.List(pl.Utf8), pl.Categorical)
    ]
    parts: list[pl.Expr] = []
    for position, name in enumerate(names):
        part = _as_text(name, frame[name].dtype)
        for earlier in names[:position]:
            said_before = _as_text(earlier, frame[earlier].dtype).eq(part).fill_null(value=False)
            part = pl.when(said_before).then(None).otherwise(part)
        parts.append(part)
    return parts


def _as_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """Return one column as text: lists and `a|b;c` tags joined by commas, blanks as null."""
    column = (
        pl.col(name).list.join(", ") if dtype == pl.List(pl.Utf8) else pl.col(name).cast(pl.Utf8)
    )
    if name in TAG_COLUMNS:
        column = column.str.replace_all(r"\s*[|;]\s*", ", ")
    column = column.str.strip_chars(" \t\r\n.")
    return pl.when(column.str.len_chars() > 0).then(column)


def _filled(template: str, columns: Mapping[str, pl.DataType]) -> pl.Expr:
    """Return a template as one expression, empty where a value is missing."""
    written: list[pl.Expr] = []
    pieces = _pieces(template, "item")
    if all(name is None for _, name, _, _ in pieces):
        raise BadInput(
            f"item template {template!r} says the same of every item; let it hold some of "
            f"{', '.join(f'{{{name}}}' for name in columns)}"
        )
    for literal, name, _, _ in pieces:
        if literal:
            written.append(pl.lit(literal))
        if name is not None and name not in columns:
            raise BadInput(
                f"item template names the column {name!r}, which the catalog lacks (columns: "
                f"{', '.join(columns)})"
            )
        if name is not None:
            column = (
                pl.col(name).list.join(", ")
                if columns[name] == pl.List(pl.Utf8)
                else pl.col(name).cast(pl.Utf8)
            )
            written.append(column.fill_null(""))
    return pl.concat_str(written) if written else pl.lit("")


def _pieces(template: str, of: str) -> list[tuple[str, str | None, str | None, str | None]]:
    """Parse a template into tuples (literal, name, format, conversion)."""
    try:
        return list(string.Formatter().parse(template))
    except ValueError as error:
        example = "title" if of == "item" else USER_FIELDS[0]
        raise BadInput(
            f"{of} template {template!r} is malformed ({error}); write names as {{{example}}}"
        ) from error


def _tidied(text: pl.Expr) -> pl.Expr:
    """Replace control characters and runs of white space by one space."""
    return text.str.replace_all(r"[\s\p{Cc}]+", " ").str.strip_chars()
