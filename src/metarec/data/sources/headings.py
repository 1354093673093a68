"""What spreadsheets write above a table: lines of a title, and names over two lines, the upper of
which holds for several columns.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from metarec.data.findings import Finding
from metarec.data.sources.separators import are_numbers_of_rows

MAX_TITLES = 8
"""Lines before the names, at most."""
_A_NUMBER = re.compile(r"^[\W_]*\d[\d\s.,:/Tt+-]*\W*$")
"""A cell of a row rather than of names: a number, a day, a time."""
MIN_ROWS = 4
"""Rows of ratings by which columns without names are known, at least."""
_A_RATING = re.compile(r"(10|\d)([.,][05]0*)?")
_A_TIME = re.compile(r"[3-9]\d{8}|[1-4]\d{9}(\d{3}){0,3}|\d{4}-\d\d-\d\d([ T].*)?")
"""Seconds (or parts of them) after 1979, or a date."""
_ASIN = re.compile(r"B0\w{8}|\d{9}[\dX]")
_REVIEWER = re.compile(r"A[0-9A-Z]{9,27}")
"""How Amazon's ids of items and of users look, whose newer tables have the item first."""


@dataclass(frozen=True, kw_only=True)
class Headings:
    """How many lines of a text come before its rows, and what the columns are called."""

    before: int
    """Lines to leave out before the line of names, or of which the names are made."""
    names: Sequence[str] | None
    """Names made of two lines, which are among those left out; None where a line has them."""
    finding: Finding


def headings_of(text: str, separators: Sequence[str], place: str) -> Headings | None:
    """What stands above a table; None where its first line has the names.

    Args:
        text: the beginning of it.
    """
    every = text.split("\n")
    lines = every[: MAX_TITLES + 3]
    separator = max(separators, key=lambda s: max(line.count(s) for line in lines))
    if '"' in text and not all(line.count('"') % 2 == 0 for line in lines):
        return None  # a cell goes over several lines
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    found = _two_lines(rows, place) or _titles(rows, place) or _numbered(rows, place)
    return found or _of_ratings([line.split(separator) for line in every if line.strip()], place)


def _titles(rows: Sequence[list[str]], place: str) -> Headings | None:
    """Lines of one cell at most, and then names."""
    at = next((n for n, row in enumerate(rows) if _filled(row) > 1), 0)
    titles = [cell for row in rows[:at] for cell in row if cell]
    if not titles or not 0 < at <= MAX_TITLES or not _are_names(rows[at]):
        return None
    why = (
        f"{at} {'line' if at == 1 else 'lines'} before the names of {place} "
        f"{'was' if at == 1 else 'were'} left out: {titles[0]!r}"
    )
    return Headings(before=at, names=None, finding=_noted(why))


def _two_lines(rows: Sequence[list[str]], place: str) -> Headings | None:
    """Names with gaps, names below all of them, and then a row that has other cells."""
    if len(rows) < 3 or len(rows[0]) != len(rows[1]) or _filled(rows[0]) < 2:
        return None
    upper, lower = rows[:2]
    has_gaps = "" in upper[:-1] and upper[0] != ""
    is_row = any(_A_NUMBER.match(cell) for row in rows[2:5] for cell in row)
    if not has_gaps or not _are_names(lower) or not is_row:
        return None
    names, above = list[str](), ""
    for cell, below in zip(upper, lower, strict=True):
        above = cell or above
        names.append(below if above.lower() in below.lower() else f"{above} {below}")
    listed = ", ".join(map(repr, names[:4]))
    why = f"two lines of names of {place} were put together: {listed}"
    return Headings(before=2, names=names, finding=_noted(why))


def _numbered(rows: Sequence[list[str]], place: str) -> Headings | None:
    """Names of all columns but the first, which numbers the rows, as R and pandas write it."""
    names, *below = (row for row in rows if row)
    if not _are_names(names) or len(below) < 2 or {len(row) for row in below} != {len(names) + 1}:
        return None
    if not are_numbers_of_rows(below):
        return None
    why = f"the first column of {place} has no name and numbers the rows"
    return Headings(before=1, names=["", *names], finding=_noted(why))


def _of_ratings(rows: Sequence[list[str]], place: str) -> Headings | None:
    """Names for a table of ratings without any, as MovieLens, Yahoo and Amazon publish them: two
    ids, a rating and perhaps a time.
    """
    width = len(rows[0])
    if len(rows) < MIN_ROWS or width not in (3, 4) or {len(row) for row in rows} != {width}:
        return None
    first, second, ratings, *times = (
        [cell.strip(' "\r') for cell in column] for column in zip(*rows, strict=True)
    )
    is_numbered = all(a.isdecimal() and b == f"{int(a) + 1}" for a, b in pairwise(first))
    if "" in (*first, *second) or not _are_ratings(ratings) or is_numbered:
        return None
    if times and not all(map(_A_TIME.fullmatch, times[0])):
        return None
    is_turned = all(map(_ASIN.fullmatch, first)) and all(map(_REVIEWER.fullmatch, second))
    ids = ("item_id", "user_id") if is_turned else ("user_id", "item_id")
    names = [*ids, "value", "timestamp"][:width]
    why = (
        f"{place} has no line of names: its columns were read as {', '.join(names)}, by their "
        'cells; if they are others, say them in a TOML file (names = ["user_id", "item_id", ...])'
    )
    return Headings(before=0, names=names, finding=_noted(why))


def _are_ratings(cells: Sequence[str]) -> bool:
    """Whether cells are whole or half numbers of a scale up to 10, and not all the same."""
    return len(set(cells)) > 1 and all(map(_A_RATING.fullmatch, cells))


def _filled(row: Sequence[str]) -> int:
    return sum(cell != "" for cell in row)


def _are_names(row: Sequence[str]) -> bool:
    """Whether every cell has a text, and none is a number."""
    return len(row) > 1 and all(cell and not _A_NUMBER.match(cell) for cell in row)


def _noted(why: str) -> Finding:
    return Finding(rule="columns", rows=0, action="noted", why=why)
