"""Detect lines above a table as in spreadsheets: titles, and headers of two lines, the upper of
which spans several columns.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from metarec.data.findings import Finding, noted
from metarec.data.sources.text.headerless import names_by_cells
from metarec.data.sources.text.separators import are_numbers_of_rows

MAX_TITLES = 8
"""Maximum number of lines above the header."""
_A_NUMBER = re.compile(r"^[\W_]*\d[\d\s.,:/Tt+-]*\W*$")
"""Pattern of cells that are no names: numbers, dates and times."""


@dataclass(frozen=True, kw_only=True)
class Headings:
    """Number of lines above the rows, and the names of the columns."""

    before: int
    """Number of lines to remove: those above the header, or those that the names are made of."""
    names: Sequence[str] | None
    """Names made of removed lines or of the cells; None where a remaining line has them."""
    finding: Finding
    separator: str | None = None
    """Separator of a table without a header, whose first line alone may not show it."""


def headings_of(text: str, separators: Sequence[str], place: str) -> Headings | None:
    """Return what is above a table; None where its first line is the header.

    Args:
        text: the beginning of the table.
    """
    every = text.split("\n")
    lines = every[: MAX_TITLES + 3]
    if not any(line.strip() for line in lines):
        return None  # an empty file is told where its rows are read
    separator = _separator_in(lines, separators)
    if '"' in text and not all(line.count('"') % 2 == 0 for line in lines):
        # a cell goes over several lines, or quotes are text
        return _without_names(every, ("\t",), place) if separator == "\t" else None
    rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=separator)]
    headings = _two_lines(rows, place) or _two_below(rows, place) or _titles(rows, place)
    headings = headings or _numbered(rows, place)
    headings = headings or _below_other_rows(rows, place)
    return headings or _without_names(every, separators, place)


def _separator_in(lines: Sequence[str], separators: Sequence[str]) -> str:
    """Return the separator: the most frequent one of the first line if no line has fewer of it,
    else the one most frequent in any line.
    """
    filled = [line for line in lines if line.strip()]
    counts = {s: filled[0].count(s) for s in separators} if filled else {}
    candidate = max(counts, key=counts.__getitem__, default="")
    if counts.get(candidate) and all(line.count(candidate) >= counts[candidate] for line in filled):
        return candidate
    return max(separators, key=lambda s: max(line.count(s) for line in lines))


def _titles(rows: Sequence[list[str]], place: str) -> Headings | None:
    """Return the headings of a table below lines of at most one cell each; None for others."""
    at = next((n for n, row in enumerate(rows) if _filled(row) > 1), 0)
    titles = [cell for row in rows[:at] for cell in row if cell]
    if not 0 < at <= MAX_TITLES or not _are_names(rows[at]):
        return None
    titles = titles or [""]
    why = (
        f"{at} {'line' if at == 1 else 'lines'} before the names of {place} "
        f"{'was' if at == 1 else 'were'} left out: {titles[0]!r}"
    )
    return Headings(before=at, names=None, finding=noted("columns", why))


def _below_other_rows(rows: Sequence[list[str]], place: str) -> Headings | None:
    """Return the headings of a table below a title and rows of other widths, such as the name of
    the account; None for others.
    """
    width = len(rows[-2]) if len(rows) > 3 else 0
    at = next((n for n, row in enumerate(rows) if len(row) == width and _are_names(row)), 0)
    below, above = [row for row in rows[at:] if row], [row for row in rows[:at] if row]
    if not above or len(above[0]) > 1 or any(len(row) >= width for row in above):
        return None
    if len(below) < 3 or any(len(row) != width for row in below[:-1]):
        return None
    why = f"{at} lines before the names of {place} were left out: {above[0][0]!r}"
    return Headings(before=at, names=None, finding=noted("columns", why))


def _two_lines(rows: Sequence[list[str]], place: str) -> Headings | None:
    """Return the headings of a table with two lines of names, the upper with gaps or with the same
    name above neighbors; else None. A cell of the lower line may be empty below a name.
    """
    if len(rows) < 3 or len(rows[0]) != len(rows[1]) or _filled(rows[0]) < 2:
        return None
    upper, lower = rows[:2]
    has_gaps = "" in upper[:-1] and upper[0] != ""
    is_row = any(_A_NUMBER.match(cell) for row in rows[2:5] for cell in row)
    is_named = all(cell or above for cell, above in zip(lower, upper, strict=True))
    is_named &= _are_names([cell for cell in lower if cell])
    if not (has_gaps or _spans(rows)) or not is_named or not is_row:
        return None
    names, above = list[str](), ""
    for cell, below in zip(upper, lower, strict=True):
        above = cell or above
        is_said = above.lower() in below.lower()
        names.append(below if is_said else f"{above} {below}".rstrip())
    listed = ", ".join(map(repr, names[:4]))
    why = f"two lines of names of {place} were put together: {listed}"
    return Headings(before=2, names=names, finding=noted("columns", why))


def _spans(rows: Sequence[list[str]]) -> bool:
    """Whether the first line has the same name above neighbors that the second line tells apart,
    and no cell of the second line comes again below it.
    """
    upper, lower, *below = rows
    same = [n for n, cell in enumerate(upper[1:], 1) if cell and cell == upper[n - 1]]
    is_apart = all(lower[n] and lower[n] != lower[n - 1] for n in same)
    cells = [{row[n] for row in below if n < len(row)} for n in range(len(lower))]
    again = any(cell in known for cell, known in zip(lower, cells, strict=True) if cell)
    return bool(same) and is_apart and not again


def _two_below(rows: Sequence[list[str]], place: str) -> Headings | None:
    """Return the headings of a table with two lines of names below lines of at most one cell each;
    else None.
    """
    at = next((n for n, row in enumerate(rows) if _filled(row) > 1), 0)
    found = _two_lines(rows[at:], place) if 0 < at <= MAX_TITLES else None
    return None if found is None else replace(found, before=found.before + at)


def _numbered(rows: Sequence[list[str]], place: str) -> Headings | None:
    """Return the headings of a table whose rows are numbered in a column without a name, as R and
    pandas write it; None for others.
    """
    names, *below = (row for row in rows if row)
    if not _are_names(names) or len(below) < 2 or {len(row) for row in below} != {len(names) + 1}:
        return None
    if not are_numbers_of_rows(below):
        return None
    why = f"the first column of {place} has no name and numbers the rows"
    return Headings(before=1, names=["", *names], finding=noted("columns", why))


def _without_names(lines: Sequence[str], separators: Sequence[str], place: str) -> Headings | None:
    """Return the headings of a table without a header, by its cells; None where they do not
    identify the columns.
    """
    lines = [line for line in lines if line.strip()]
    separator = max(separators, key=lambda s: min((line.count(s) for line in lines), default=0))
    if separator != "\t" and any('"' in line for line in lines):
        try:
            cells = list(csv.reader(lines, delimiter=separator))
        except csv.Error:  # no text at all
            return None
    else:
        cells = [line.split(separator) for line in lines]
    rows = [[cell.strip(' "\r') for cell in row] for row in cells]
    if (names := names_by_cells(rows)) is None:
        return None
    why = (
        f"{place} has no line of names: its columns were read as {', '.join(names)}, by their "
        'cells; if they are others, say them in a TOML file (names = ["user_id", "item_id", ...])'
    )
    return Headings(before=0, names=names, finding=noted("columns", why), separator=separator)


def _filled(row: Sequence[str]) -> int:
    """Return the number of cells that are not empty."""
    return sum(cell != "" for cell in row)


def _are_names(row: Sequence[str]) -> bool:
    """Whether no cell is empty or a number."""
    return len(row) > 1 and all(cell and not _A_NUMBER.match(cell) for cell in row)
