"""Text tables: CSV, TSV and their like, every cell as text; rows that do not fit are counted, never
shifted.

Polars reads tables that are as they should be. Where a row has more cells than there are names, or
quotes do not pair up, every line is looked at by itself.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from metarec.data.errors import BadInput
from metarec.data.event_rows import EXAMPLES, Place
from metarec.data.findings import Finding
from metarec.data.parsing import BLANK
from metarec.data.sources.blocks import are_blocks, read_blocks
from metarec.data.sources.comments import fields_of, without_comments
from metarec.data.sources.encoding import as_utf8
from metarec.data.sources.escapes import Escapes, escapes_told
from metarec.data.sources.headings import headings_of
from metarec.data.sources.separators import (
    SEPARATORS,
    beginning,
    content_of,
    first_line_of,
    parted_by_one,
    separator_of,
    start_of,
)
from metarec.data.sources.strays import has_strays, nameless, short_rows, without_strays

MAX_QUOTED_LINES = 1000
"""Lines that one quoted cell may go over."""
MAX_ROWS_IN_A_CELL = 20
"""Lines in a row that are rows by themselves: a quoted cell holds no more of them."""
OTHER_FORMS = (b"PAR1", b"SQLite format 3", b"%PDF")
"""How Parquet, databases and documents begin."""


_SERVER_LOG = re.compile(r'\S+\s\S+\s\S+\s\[\d\d/\w{3}/\d{4}:[^]]+\]\s+"')
"""How a line of Apache's or nginx's log begins."""


def read_delimited(
    path: Path,
    separator: str | None = None,
    columns: Sequence[str] | None = None,
    encoding: str | None = None,
) -> tuple[pl.DataFrame, Place, list[Finding]]:
    """Read a text table with every cell as text, without the spaces around it. Too short rows end
    in empty cells; rows with surplus cells are left out and counted.

    Args:
        separator: None takes comma, tab, semicolon or bar, whichever the first line has most of,
            or `::` or spaces, where every line is parted so.
        columns: names, for a file without a line of names.
        encoding: what the file is written in; None finds it out.
    """
    _refuse_other_forms(start_of(path), path.name)
    source, findings = as_utf8(path, encoding)
    source, said = _prepared(source, path.name)
    columns = columns or fields_of(beginning(source))
    source, skipped, comments = without_comments(source, SEPARATORS, path.name)
    findings = [*findings, *comments]
    if separator is None and columns is None and are_blocks(source):
        rows, place, more = read_blocks(source, path.name)
        return rows, place, [*findings, *more]
    if separator is None and said is None:
        source, said = parted_by_one(source)
    parted = (said,) if said is not None else SEPARATORS
    above = None if columns or separator else headings_of(beginning(source), parted, path.name)
    if above is not None:
        source, columns = _below(source, above.before), above.names
        findings = [*findings, above.finding]
    first = first_line_of(source)
    _refuse_server_log(first, path.name)
    separator = separator or said or separator_of(first)
    place = Place(path.name, "line", 2 if columns is None else 1)
    escapes = Escapes(separator) if Escapes(separator).are_in(source) else None
    if escapes is not None:
        source = escapes.hidden(content_of(source))
        findings = [*findings, escapes_told(path.name)]
    table = _as_it_should_be(source, separator, columns)
    if table is None:
        table, place, more = _line_by_line(source, separator, columns, path.name)
        findings += more
    place = replace(place, first=place.first + skipped + (above.before if above else 0))
    names = [c.strip().strip('"\ufeff').strip() for c in table.columns]
    table = table.rename(dict(zip(table.columns, _unique(names), strict=True)))
    table = table.select(_bare(pl.col(c)) for c in table.columns)
    table = escapes.shown(table) if escapes is not None else table
    findings = [*findings, *short_rows(table.lazy(), source, separator, columns is None, path.name)]
    table, place, strays = without_strays(table, names, place)
    return table.drop(nameless(table.lazy())), place, [*findings, *strays]


def _refuse_server_log(line: str, name: str) -> None:
    if _SERVER_LOG.match(line):
        raise BadInput(
            f"{name} is the log of a web server: it says neither who acted nor on what, only "
            "addresses and requests; write a row for each act first (user_id, item_id, timestamp)"
        )


def _refuse_other_forms(start: bytes, name: str) -> None:
    if start.startswith(OTHER_FORMS):
        raise BadInput(
            f"{name} is no text table (it begins with {start[:4]!r}); name it by its form"
        )


def _prepared(source: Path | bytes, name: str) -> tuple[Path | bytes, str | None]:
    """A text table without what a spreadsheet writes before it (`sep=;`) and with ends of lines
    as elsewhere; and the separator that it says.

    Raises:
        BadInput: if the file is no text.
    """
    start = start_of(source)
    _refuse_other_forms(start, name)
    if b"\r" in start and b"\n" not in start:
        content = content_of(source)
        source = start = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if (said := re.match(rb'"?sep=(.)"?[;,\t]*\r?\n', start)) is None:
        return source, None
    content = content_of(source)
    return content[said.end() :], said[1].decode()


def _below(source: Path | bytes, lines: int) -> bytes:
    """A table without its first lines."""
    content = content_of(source)
    return content.split(b"\n", lines)[lines]


def first_line(path: Path) -> str:
    """The first line of a text file, packed or not."""
    return first_line_of(as_utf8(path)[0])


def _bare(column: pl.Expr) -> pl.Expr:
    text = column.str.strip_chars(BLANK)
    return pl.when(~text.is_in(["", r"\N"])).then(text)  # databases write the latter


def _unique(names: Sequence[str]) -> list[str]:
    """Names with a number where one comes again."""
    found: list[str] = []
    for name in names:
        number, free = 2, name
        while free in found:
            free, number = f"{name}_{number}", number + 1
        found.append(free)
    return found


def _as_it_should_be(
    source: Path | bytes, separator: str, columns: Sequence[str] | None
) -> pl.DataFrame | None:
    """The table where no row has surplus cells and quotes, if any, hold no lines together."""
    has_quotes, lines, has_blanks = _looked_through(source)
    if has_blanks:
        return None
    try:
        table = pl.read_csv(
            source,
            separator=separator,
            has_header=columns is None,
            infer_schema=False,
            new_columns=list(columns) if columns else None,
            quote_char='"' if has_quotes else None,
        )
    except pl.exceptions.PolarsError:
        return None
    if columns is not None and table.width != len(columns):
        return None
    is_whole = not has_quotes or table.height == lines - (columns is None)
    return table if is_whole else None


def sunk_as_it_should_be(source: Path, target: Path) -> tuple[pl.LazyFrame, list[Finding]] | None:
    """Write a UTF-8 table as Parquet in memory that does not grow with it: its scan, and what must
    be said of it; None where it is not as it should be and must be looked at line by line.
    """
    has_quotes, lines, has_blanks = _looked_through(source)
    if has_blanks or headings_of(beginning(source), SEPARATORS, source.name) is not None:
        return None
    if are_blocks(source) or parted_by_one(source)[1] is not None:
        return None
    if without_comments(source, SEPARATORS, source.name)[2]:
        return None
    separator = separator_of(first_line_of(source))
    if Escapes(separator).are_in(source):
        return None
    scan = pl.scan_csv(
        source,
        separator=separator,
        infer_schema=False,
        quote_char='"' if has_quotes else None,
    )
    try:
        scan.select(_bare(pl.all())).sink_parquet(target)
        sunk = pl.scan_parquet(target)
        rows = sunk.select(pl.len()).collect().item()
        if has_strays(sunk) or (has_quotes and rows != lines - 1):
            return None
        findings = short_rows(sunk, source, separator, True, source.name)
        return sunk.drop(nameless(sunk)), findings
    except pl.exceptions.PolarsError:
        return None


def _looked_through(source: Path | bytes) -> tuple[bool, int, bool]:
    """Whether there is a quote, how many lines there are, and whether one of them is blank."""
    opened = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    has_quotes, has_blanks, lines, last = False, False, 0, b""
    with opened as file:
        while part := file.read(1 << 22):
            has_quotes = has_quotes or b'"' in part
            lines += part.count(b"\n")
            joined = last + part
            has_blanks = has_blanks or b"\n\n" in joined or b"\n\r\n" in joined
            last = joined[-2:]
    return has_quotes, lines + (last[-1:] != b"\n"), has_blanks


@dataclass
class _Lines:
    """Rows found so far, with the lines they begin on."""

    width: int
    cells: list[list[str]] = field(default_factory=list)
    at: list[int] = field(default_factory=list)
    surplus: list[tuple[int, int]] = field(default_factory=list)
    """Line and number of cells of each row with too many."""
    lone_quotes: int = 0

    def add(self, row: list[str], line: int) -> None:
        """Take a row; cells beyond the last name are allowed where they are empty."""
        while len(row) > self.width and not row[-1].strip():
            row.pop()
        if len(row) > self.width:
            self.surplus.append((line, len(row)))
            return
        self.cells.append(row + [""] * (self.width - len(row)))
        self.at.append(line)


def _line_by_line(
    source: Path | bytes, separator: str, columns: Sequence[str] | None, name: str
) -> tuple[pl.DataFrame, Place, list[Finding]]:
    content = content_of(source)
    lines = re.split("\r\n|\n|\r", content.decode("utf-8", errors="replace"))
    names = list(columns) if columns else _cells(lines[0], separator)[0]
    found = _Lines(len(names))
    for row, line, has_lone_quote in _rows(lines, int(columns is None), separator, len(names)):
        found.add(row, line + 1)
        found.lone_quotes += has_lone_quote
    if not found.cells and found.surplus:
        raise BadInput(
            f"{name}: every row has more cells than there are names ({len(names)}; line "
            f"{found.surplus[0][0]:,} has {found.surplus[0][1]}); is a name missing in the first "
            f"line, or are cells with {separator!r} not quoted?"
        )
    data: dict[str, Any] = {
        n: [row[place] for row in found.cells] for place, n in enumerate(_unique(names))
    }
    table = pl.DataFrame(data, schema=dict.fromkeys(data, pl.Utf8))
    place = Place(name, "line", 0, pl.Series(found.at, dtype=pl.Int64))
    return table, place, _line_findings(found, name)


def _rows(
    lines: list[str], start: int, separator: str, width: int
) -> Iterator[tuple[list[str], int, bool]]:
    """Cells of each row, the line it begins on, and whether it has a quote that is text."""
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
    """The line on which a quoted cell that goes over several lines is closed; None where its quote
    is a lone one: never closed, or most of the lines are rows by themselves.
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
    """Cells of a line, quoted ones without their quotes; and where a quote is opened and not
    closed, None if there is none.

    Args:
        is_text_from: a quote opened there is text.
    """
    quoted = _quoted(separator)
    cells: list[str] = []
    position, unclosed = 0, None
    while True:
        opened = re.compile(" *").match(line, position).end()  # type: ignore[union-attr]  # always
        if line.startswith('"', opened) and opened != is_text_from:
            whole = next((m for q in quoted if (m := q.match(line, opened))), None)
            if whole is not None:
                cells.append(whole[1].replace('""', '"'))
                if whole.end() == len(line):
                    return cells, unclosed
                position = whole.end() + 1
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
    """A quoted cell up to its separator: quotes inside it doubled, or else no separator inside."""
    end = rf'" *(?={re.escape(separator)}|\Z)'
    return (
        re.compile(rf'"([^"]*(?:""[^"]*)*){end}'),
        re.compile(rf'"([^\n{re.escape(separator)}]*[^"\n{re.escape(separator)}]){end}'),
    )


def _line_findings(found: _Lines, name: str) -> list[Finding]:
    findings = []
    if found.surplus:
        findings.append(
            Finding(
                rule="unreadable_rows",
                rows=len(found.surplus),
                action="removed",
                why=f"more cells than the {found.width} names; quote cells that hold a separator",
                examples=[f"line {n:,} of {name}: {k} cells" for n, k in found.surplus[:EXAMPLES]],
            )
        )
    if found.lone_quotes:
        findings.append(
            Finding(
                rule="unclosed_quotes",
                rows=found.lone_quotes,
                action="noted",
                why=f"quotes in {name} do not pair up and were read as text",
            )
        )
    return findings
