"""Read delimited text line by line, for tables with surplus cells in rows or unpaired quotes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from metarec.data.errors import BadInput
from metarec.data.events.rows import EXAMPLES, Place, RawTable
from metarec.data.findings import Finding
from metarec.data.sources.text.separators import content_of

MAX_QUOTED_LINES = 1000
"""Maximum number of lines of one quoted cell."""
MAX_ROWS_IN_A_CELL = 20
"""Maximum number of lines within a quoted cell that look like rows."""


def unique(names: Sequence[str]) -> list[str]:
    """Return names with a number where a name recurs."""
    distinct: list[str] = []
    for name in names:
        number, free = 2, name
        while free in distinct:
            free, number = f"{name}_{number}", number + 1
        distinct.append(free)
    return distinct


@dataclass
class _Lines:
    """Rows read so far, and the lines on which they begin."""

    width: int
    cells: list[list[str]] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    surplus: list[tuple[int, int]] = field(default_factory=list)
    """Line number and number of cells of each row with surplus cells."""
    lone_quotes: int = 0

    def add(self, row: list[str], line: int) -> None:
        """Add a row; surplus cells are allowed if they are empty."""
        while len(row) > self.width and not row[-1].strip():
            row.pop()
        if len(row) > self.width:
            self.surplus.append((line, len(row)))
            return
        self.cells.append(row + [""] * (self.width - len(row)))
        self.at.append(line)


def read_lines(
    source: Path | bytes, separator: str, columns: Sequence[str] | None, name: str
) -> RawTable:
    """Return the table, the line on which each row begins, and findings on rows that do not fit.

    Raises:
        BadInput: if every row has surplus cells.
    """
    content = content_of(source)
    lines = re.split("\r\n|\n|\r", content.decode("utf-8", errors="replace"))
    names = list(columns) if columns else _cells(lines[0], separator)[0]
    parsed = _Lines(len(names))
    for row, line, has_lone_quote in _rows(lines, int(columns is None), separator, len(names)):
        parsed.add(row, line + 1)
        parsed.lone_quotes += has_lone_quote
    if not parsed.cells and parsed.surplus:
        raise BadInput(
            f"{name}: every row has more cells than there are names ({len(names)}; line "
            f"{parsed.surplus[0][0]:,} has {parsed.surplus[0][1]}); is a name missing in the first "
            f"line, or are cells with {separator!r} not quoted?"
        )
    data: dict[str, Any] = {
        n: [row[place] for row in parsed.cells] for place, n in enumerate(unique(names))
    }
    table = pl.DataFrame(data, schema=dict.fromkeys(data, pl.Utf8))
    place = Place(name, "line", 0, pl.Series(parsed.at, dtype=pl.Int64))
    return table, place, _line_findings(parsed, name)


def _rows(
    lines: list[str], start: int, separator: str, width: int
) -> Iterator[tuple[list[str], int, bool]]:
    """Return the cells of each row, the line it begins on, and whether a quote in it is text."""
    position = start
    while position < len(lines):
        line, begun = lines[position], position
        position += 1
        if not line.strip():
            continue
        if '"' not in line:
            yield line.split(separator), begun, False
            continue
        cells, open_from = _cells(line, separator)
        if open_from is None:
            yield cells, begun, False
            continue
        end = _end_of_quote(lines, begun, separator, width)
        if end is None:
            yield _cells(line, separator, is_text_from=open_from)[0], begun, True
        else:
            position = end + 1
            yield _cells("\n".join(lines[begun:position]), separator)[0], begun, False


def _end_of_quote(lines: list[str], begun: int, separator: str, width: int) -> int | None:
    """Return the line on which a quoted cell of several lines ends; None where the quote is
    unpaired: never closed, or followed by too many lines that are rows by themselves.
    """
    joined = lines[begun]
    rows = int(len(joined.split(separator)) == width)
    for end in range(begun + 1, min(begun + MAX_QUOTED_LINES, len(lines))):
        joined += "\n" + lines[end]
        rows += len(lines[end].split(separator)) == width
        if rows > MAX_ROWS_IN_A_CELL and 2 * rows > end - begun + 1:
            return None
        if '"' not in lines[end]:
            continue
        if _cells(joined, separator)[1] is None:
            return end if 2 * rows <= end - begun + 1 else None
    return None


def _cells(
    line: str, separator: str, is_text_from: int | None = None
) -> tuple[list[str], int | None]:
    """Return the cells of a line, without their quotes, and the position of an unclosed quote; None
    without one.

    Args:
        is_text_from: position of a quote that is text.
    """
    quoted = _quoted(separator)
    cells: list[str] = []
    position, unclosed = 0, None
    while True:
        blanks = re.compile(" *").match(line, position)
        opened = blanks.end()  # type: ignore[union-attr]  # no blank is a match, too
        if line.startswith('"', opened) and opened != is_text_from:
            closed = next((m for q in quoted if (m := q.match(line, opened))), None)
            if closed is not None:
                cells.append(closed[1].replace('""', '"'))
                if closed.end() == len(line):
                    return cells, unclosed
                position = closed.end() + 1
                continue
            unclosed = opened if unclosed is None else unclosed
        end = line.find(separator, position)
        if end < 0:
            cells.append(line[position:])
            return cells, unclosed
        cells.append(line[position:end])
        position = end + 1


@cache
def _quoted(separator: str) -> tuple[re.Pattern[str], ...]:
    """Patterns of a quoted cell up to its separator: with doubled quotes inside, or with no
    separator inside.
    """
    end = rf'" *(?={re.escape(separator)}|\Z)'
    return (
        re.compile(rf'"([^"]*(?:""[^"]*)*){end}'),
        re.compile(rf'"([^\n{re.escape(separator)}]*[^"\n{re.escape(separator)}]){end}'),
    )


def _line_findings(parsed: _Lines, name: str) -> list[Finding]:
    """Return findings on rows with surplus cells and on unpaired quotes."""
    findings = []
    if parsed.surplus:
        findings.append(
            Finding(
                rule="unreadable_rows",
                rows=len(parsed.surplus),
                action="removed",
                why=f"more cells than the {parsed.width} names; quote cells that hold a separator",
                examples=[f"line {n:,} of {name}: {k} cells" for n, k in parsed.surplus[:EXAMPLES]],
            )
        )
    if parsed.lone_quotes:
        findings.append(
            Finding(
                rule="unclosed_quotes",
                rows=parsed.lone_quotes,
                action="noted",
                why=f"quotes in {name} do not pair up and were read as text",
            )
        )
    return findings
