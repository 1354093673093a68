"""Read delimited text such as CSV and TSV, every cell as text. Rows that do not fit are counted,
never shifted.

Polars reads regular tables. Tables with surplus cells in a row or with unpaired quotes are read
line by line.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from metarec.data.cells.parsing import BLANK
from metarec.data.errors import BadInput
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.sources.text.comments import fields_of, without_comments
from metarec.data.sources.text.encoding import as_utf8
from metarec.data.sources.text.escapes import Escapes, escapes_finding
from metarec.data.sources.text.header_lines import headings_of
from metarec.data.sources.text.line_by_line import read_lines, unique
from metarec.data.sources.text.printed_tables import in_columns, without_whole_quotes
from metarec.data.sources.text.rating_blocks import are_blocks, read_blocks
from metarec.data.sources.text.separators import (
    LOOKED_AT,
    SEPARATORS,
    content_of,
    first_line_of,
    leading_lines,
    separator_of,
    start_of,
    with_single_separator,
)
from metarec.data.sources.text.single_quotes import are_single, in_double
from metarec.data.sources.text.stray_rows import (
    has_strays,
    short_rows,
    unnamed_columns,
    without_another,
    without_strays,
)

OTHER_FORMS = (b"PAR1", b"SQLite format 3", b"%PDF")
"""First bytes of Parquet files, SQLite databases and PDF documents."""


_BLANK_QUOTED = re.compile(r'[,;|\t] +"')
"""Pattern of a quoted cell after blanks, whose quotes polars would read as text."""
_SERVER_LOG = re.compile(r'\S+\s\S+\s\S+\s\[\d\d/\w{3}/\d{4}:[^]]+\]\s+"')
"""Pattern of the beginning of a line in a log of Apache or nginx."""


def read_delimited(
    path: Path,
    separator: str | None = None,
    columns: Sequence[str] | None = None,
    encoding: str | None = None,
) -> RawTable:
    """Read delimited text with every cell as text, without surrounding spaces. Short rows are
    filled with empty cells; rows with surplus cells are left out and counted.

    Args:
        separator: None detects it: `::` or runs of spaces where all lines are split evenly by them,
            else the one of comma, tab, semicolon and bar that is most frequent in the header.
        columns: names, for a file without a header.
        encoding: encoding of the file; None detects it.

    Raises:
        BadInput: if the file is not delimited text, or cannot be decoded.
    """
    _refuse_other_forms(start_of(path), path.name)
    source, findings = as_utf8(path, encoding)
    if separator is None and columns is None and are_blocks(source):
        rows, place, notes = read_blocks(source, path.name)
        return rows, place, [*findings, *notes]
    text = _text_of(source, path.name, separator, columns)
    source, separator, columns = text.source, text.separator, text.columns
    findings = [*findings, *text.findings]
    place = Place(path.name, "line", 2 if columns is None else 1)
    escapes = Escapes(separator) if Escapes(separator).are_in(source) else None
    if escapes is not None:
        source = escapes.hidden(content_of(source))
        findings = [*findings, escapes_finding(path.name)]
    table = _by_polars(source, separator, columns)
    by_lines = table is None
    if table is None:
        table, place, notes = read_lines(source, separator, columns, path.name)
        findings += notes
    place = replace(place, first=place.first + text.before)
    names = [c.strip().strip('"\ufeff').strip() for c in table.columns]
    table = table.rename(dict(zip(table.columns, unique(names), strict=True)))
    table = table.select(_stripped(pl.col(c)) for c in table.columns)
    table, formulas = _without_formula_signs(table, source, path.name)
    findings = [*findings, *formulas]
    table = escapes.shown(table) if escapes is not None else table
    findings = [*findings, *short_rows(table.lazy(), source, separator, columns is None, path.name)]
    table, place, strays = without_strays(table, names, place)
    if by_lines:
        table, place, others = without_another(table, names, place)
        strays += others
    return table.drop(unnamed_columns(table.lazy())), place, [*findings, *strays]


@dataclass(frozen=True, kw_only=True)
class _Text:
    """Text of a table without the lines above it."""

    source: Path | bytes
    separator: str
    columns: Sequence[str] | None
    """Names of the columns, where no line has them."""
    before: int
    """Number of lines removed at its beginning."""
    findings: list[Finding]


def _text_of(
    source: Path | bytes, name: str, separator: str | None, columns: Sequence[str] | None
) -> _Text:
    """Return the text of a table: its quoting made standard, comments and lines above the header
    removed, and its separator detected.
    """
    source, stated = _with_standard_lines(source, name)
    source, findings = without_whole_quotes(source), list[Finding]()
    if columns is None and (ruled := in_columns(source, name)) is not None:
        source, before, findings = ruled
        return _Text(source=source, separator="\t", columns=None, before=before, findings=findings)
    if columns is None and (single := are_single(source)) is not None:
        source = in_double(source, single)
        why = f"texts of {name} stand in single quotes"
        findings.append(Finding(rule="quotes", rows=0, action="noted", why=why))
    columns = columns or fields_of(leading_lines(source))
    source, before, comments = without_comments(source, SEPARATORS, name)
    findings += comments
    if separator is None and stated is None:
        source, stated = with_single_separator(source)
    candidates = (stated,) if stated is not None else SEPARATORS
    above = None if columns or separator else headings_of(leading_lines(source), candidates, name)
    if above is not None:
        stated = stated or above.separator
        source, columns = _without_first_lines(source, above.before), above.names
        findings, before = [*findings, above.finding], before + above.before
    first = first_line_of(source)
    _refuse_server_log(first, name)
    separator = separator or stated or separator_of(first)
    return _Text(
        source=source, separator=separator, columns=columns, before=before, findings=findings
    )


def _refuse_server_log(line: str, name: str) -> None:
    """Refuse logs of web servers, which have neither users nor items."""
    if _SERVER_LOG.match(line):
        raise BadInput(
            f"{name} is the log of a web server: it says neither who acted nor on what, only "
            "addresses and requests; write a row for each event first (user_id, item_id, timestamp)"
        )


def _refuse_other_forms(start: bytes, name: str) -> None:
    """Refuse files that are no text, by their first bytes."""
    if start.startswith(OTHER_FORMS):
        raise BadInput(
            f"{name} is no text table (it begins with {start[:4]!r}); name it by its form"
        )


def _with_standard_lines(source: Path | bytes, name: str) -> tuple[Path | bytes, str | None]:
    r"""Return a text with `\n` as the end of lines and without the line `sep=;` of spreadsheets,
    and the separator which that line states.

    Raises:
        BadInput: if the file is no text.
    """
    start = start_of(source)
    _refuse_other_forms(start, name)
    if b"\r" in start and b"\n" not in start:
        content = content_of(source)
        source = start = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if (stated := re.match(rb'"?sep=(.)"?[;,\t]*\r?\n', start)) is None:
        return source, None
    content = content_of(source)
    return content[stated.end() :], stated[1].decode()


def _without_first_lines(source: Path | bytes, lines: int) -> bytes:
    """Return a text without its first lines."""
    content = content_of(source)
    return content.split(b"\n", lines)[lines]


def first_line(path: Path) -> str:
    """Return the first line of a text file, decompressed and decoded."""
    return first_line_of(as_utf8(path)[0])


def _stripped(column: pl.Expr) -> pl.Expr:
    r"""Expression of a column without surrounding spaces; empty cells and `\N`, which databases
    write for null, are null.
    """
    text = column.str.strip_chars(BLANK)
    return pl.when(~text.is_in(["", r"\N"])).then(text)  # databases write the latter


_FORMULA = r'^="(.*)"$'
"""Pattern of a cell that a spreadsheet must not convert: `="00123"`."""


def _without_formula_signs(
    table: pl.DataFrame, source: Path | bytes, name: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Remove `="` and `"` around cells, which keep spreadsheets from converting them. Return the
    table and findings.
    """
    if b'="' not in start_of(source, LOOKED_AT):
        return table, []
    odd = [c for c in table.columns if table[c].str.contains(_FORMULA).any()]
    if not odd:
        return table, []
    example = table[odd[0]].filter(table[odd[0]].str.contains(_FORMULA).fill_null(False))[0]
    table = table.with_columns(pl.col(c).str.replace(_FORMULA, "$1") for c in odd)
    why = f"cells of {name} such as {example!r} are read without the sign and the quotes"
    return table, [Finding(rule="quotes", rows=0, action="noted", why=why)]


def _by_polars(
    source: Path | bytes, separator: str, columns: Sequence[str] | None
) -> pl.DataFrame | None:
    """Read a table by polars; None where it must be read line by line: where a row has surplus
    cells, a line is blank, or quoted cells contain line breaks.
    """
    has_quotes, lines, has_blanks = _scanned(source)
    if has_blanks or (has_quotes and _BLANK_QUOTED.search(leading_lines(source))):
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


def written_as_parquet(source: Path, target: Path) -> tuple[pl.LazyFrame, list[Finding]] | None:
    """Write a UTF-8 table as Parquet, in memory that does not depend on its size. Return its scan
    and findings; None where the table must be read by `read_delimited`.
    """
    has_quotes, lines, has_blanks = _scanned(source)
    if has_blanks or headings_of(leading_lines(source), SEPARATORS, source.name) is not None:
        return None
    if are_blocks(source) or with_single_separator(source)[1] is not None:
        return None
    if in_columns(source, source.name) is not None or without_whole_quotes(source) is not source:
        return None
    if without_comments(source, SEPARATORS, source.name)[2]:
        return None
    separator = separator_of(first_line_of(source))
    if are_single(source) is not None or Escapes(separator).are_in(source):
        return None
    if b'="' in start_of(source, LOOKED_AT) or _BLANK_QUOTED.search(leading_lines(source)):
        return None
    scan = pl.scan_csv(
        source,
        separator=separator,
        infer_schema=False,
        quote_char='"' if has_quotes else None,
    )
    try:
        scan.select(_stripped(pl.all())).sink_parquet(target)
        sunk = pl.scan_parquet(target)
        rows = sunk.select(pl.len()).collect().item()
        if has_strays(sunk) or (has_quotes and rows != lines - 1):
            return None
        findings = short_rows(sunk, source, separator, True, source.name)
        return sunk.drop(unnamed_columns(sunk)), findings
    except pl.exceptions.PolarsError:
        return None


def _scanned(source: Path | bytes) -> tuple[bool, int, bool]:
    """Return whether a text has quotes, its number of lines, and whether one of them is blank."""
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
