"""Files of published protocols: read as their authors wrote them, or refused by name."""

from __future__ import annotations

import json
from math import isfinite
from pathlib import Path

from metarec.data.arguments import shown
from metarec.data.schema import BadInput


def json_of(file: Path) -> dict[str, list[str]]:
    """Read a JSON object of lists; all values become text.

    Raises:
        BadInput: if the file holds something else.
    """
    text = text_of(file)
    try:
        content = json.loads(text)
    except ValueError as error:
        raise BadInput(
            f"{file} is not the file of that name: {error}; perhaps it is cut short: fetch the "
            "file again"
        ) from error
    if not isinstance(content, dict) or not content:
        raise BadInput(
            f"{file} is not the file of that name: an object of lists is expected, got "
            f"{shown(content)}; fetch the file again"
        )
    for name, row in content.items():
        if not isinstance(row, list) or any(isinstance(one, list | dict) for one in row):
            raise BadInput(
                f"{file} is not the file of that name: {name!r} must be a list of ids or numbers, "
                f"got {shown(row)}; fetch the file again"
            )
    return {str(name): list(map(str, row)) for name, row in content.items()}


def ratings_of(items: Path, values: Path) -> dict[str, dict[str, float]]:
    """Read user -> item -> rating from two files: the items of each user, and their ratings.

    Raises:
        BadInput: if they do not hold the same ratings, or a rating is no finite number.
    """
    rated, stated = json_of(items), json_of(values)
    if rated.keys() != stated.keys():
        odd = sorted(rated.keys() ^ stated.keys())
        raise _unequal(items, values, f"user {odd[0]!r} is in one of them alone")
    ratings: dict[str, dict[str, float]] = {}
    for user, row in rated.items():
        if len(row) != len(stated[user]):
            difference = f"user {user!r} has {len(row)} items and {len(stated[user])} ratings"
            raise _unequal(items, values, difference)
        try:
            numbers = [float(value) for value in stated[user]]
        except ValueError as error:
            raise BadInput(
                f"{values}: a rating of user {user!r}: {error}; fetch the file again"
            ) from error
        if not all(map(isfinite, numbers)):
            raise BadInput(
                f"{values}: a rating of user {user!r} is not finite; fetch the file again"
            )
        ratings[user] = dict(zip(row, numbers, strict=True))
    return ratings


def _unequal(items: Path, values: Path, difference: str) -> BadInput:
    return BadInput(
        f"{items} and {values.name} do not hold the same ratings: {difference}; fetch both"
    )


def rows_of_words(file: Path, least: int, most: int | None = None) -> list[list[str]]:
    """Read the words of each line that is not blank.

    Raises:
        BadInput: if there is no line, or one has fewer words than `least` or more than `most`.
    """
    rows = []
    for number, line in enumerate(text_of(file).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if len(words) < least or (most is not None and len(words) > most):
            expected = f"{least}" if most == least else f"{least} or more"
            raise BadInput(
                f"{file} line {number}: {expected} words are expected, got {len(words)}; perhaps "
                f"the file is another one or cut short: fetch the file again"
            )
        rows.append(words)
    if not rows:
        raise BadInput(f"{file} is empty; fetch the file again")
    return rows


def cells_of(file: Path, least: int) -> list[list[str]]:
    """Read the cells between `::` of each line that is not blank.

    Raises:
        BadInput: if there is no line, or one has fewer cells than `least`.
    """
    rows = []
    for number, line in enumerate(text_of(file).splitlines(), 1):
        row = line.split("::")
        if not line.strip():
            continue
        if len(row) < least:
            raise BadInput(
                f"{file} line {number}: {least} cells or more between `::` are expected, got "
                f"{len(row)}; perhaps the file is another one or cut short: fetch the file again"
            )
        rows.append(row)
    if not rows:
        raise BadInput(f"{file} is empty; fetch the file again")
    return rows


def text_of(file: Path) -> str:
    """Read a file as text.

    Raises:
        BadInput: if it cannot be read.
    """
    if file.is_dir():
        raise BadInput(f"{file} is a folder; name the file in it")
    if not file.exists():
        raise BadInput(f"{file} is missing; fetch all files of the table")
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{file} cannot be read: {error}; fetch the file again") from error
