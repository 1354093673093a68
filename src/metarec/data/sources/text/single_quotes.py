"""Read tables with text in single quotes, as some databases and statistics programs write it:
`'u1','The ''best'', really',5`.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from metarec.data.sources.text.separators import SEPARATORS, content_of, leading_lines

MIN_LINES = 3
"""Minimum number of lines to detect such quotes."""


def are_single(source: Path | bytes) -> str | None:
    """Return the separator of a table in which a column has all cells below the header in single
    quotes, and all lines have the same number of cells; None for other tables.
    """
    lines = [line for line in leading_lines(source).split("\n") if line.strip()]
    if len(lines) < MIN_LINES or not all("'" in line for line in lines[1:]):
        return None
    return next((s for s in SEPARATORS if s in lines[0] and _are_even(lines, s)), None)


def in_double(source: Path | bytes, separator: str) -> bytes:
    """Return the table with double quotes."""
    text = content_of(source).decode("utf-8", errors="replace")
    written = io.StringIO()
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, quotechar="'")
    csv.writer(written, delimiter=separator, lineterminator="\n").writerows(rows)
    return written.getvalue().encode()


def _are_even(lines: Sequence[str], separator: str) -> bool:
    """Whether all lines have the same number of cells, and some column is in quotes in all rows."""
    text = "\n".join(lines)
    try:
        cells = list(csv.reader(io.StringIO(text), delimiter=separator, quotechar="'"))
    except csv.Error:
        return False
    names, rows = cells[0] if cells else [], cells[1:]
    if len(names) < 2 or any(len(row) != len(names) for row in rows):
        return False
    quoted = [_quoted(line, separator) for line in lines[1:]]
    return len(rows) == len(quoted) and bool(set.intersection(*quoted))


def _quoted(line: str, separator: str) -> set[int]:
    """Return the positions of the cells of a line that are in single quotes."""
    quoted, at, number = set[int](), 0, 0
    while at <= len(line):
        end = line.find(separator, at)
        if line.startswith("'", at):
            end = at + 1
            while (end := line.find("'", end)) >= 0 and line.startswith("''", end):
                end += 2
            end = len(line) if end < 0 else end + 1
            if line.startswith(separator, end) or not line[end:].strip():
                quoted.add(number)
            end = line.find(separator, end)
        at, number = (end if end >= 0 else len(line)) + 1, number + 1
    return quoted
