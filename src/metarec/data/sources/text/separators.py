"""How cells of a text table are parted: by one character, by `::`, or by runs of spaces."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

MAX_LINE = 1 << 24
"""Characters; no line of a text table may be longer."""
SEPARATORS = ("\t", ",", ";", "|")
LOOKED_AT = 1 << 14
"""Bytes by which it is known how cells are parted."""
_DOUBLE = "::"
_CELL = re.compile(r'"(?:[^"\\]|\\.|"")*"|[^\s"]\S*')


def separator_of(header: str) -> str:
    """Which separator a line of names has most of."""
    return max(SEPARATORS, key=lambda s: (header.count(s), s == ","))


def parted_by_one(source: Path | bytes) -> tuple[Path | bytes, str | None]:
    """A table whose cells are parted by `::` or by runs of spaces, parted by one character, and
    which; any other as it is, and None.
    """
    lines = [line for line in beginning(source).split("\n") if line.strip()]
    if len(lines) < 2:
        return source, None
    even = max((_times(lines, separator) for separator in SEPARATORS), default=0)
    if _times(lines, _DOUBLE) > even:
        content = content_of(source)
        one = next(c for c in ("\t", "\x1f") if c.encode() not in content)
        return content.replace(_DOUBLE.encode(), one.encode()), one
    if even or separator_of(lines[0]) in lines[0] or not _are_by_spaces(lines):
        return source, None
    return _by_tabs(content_of(source)), "\t"


def _times(lines: Sequence[str], separator: str) -> int:
    """How often a separator stands in each line; 0 where that differs."""
    counts = {line.count(separator) for line in lines}
    return counts.pop() if len(counts) == 1 else 0


def _are_by_spaces(lines: Sequence[str]) -> bool:
    """Whether every line has as many words; the names may be one fewer where rows are numbered, as
    R writes them.
    """
    names, *rows = (_CELL.findall(line) for line in lines)
    widths = {len(row) for row in rows}
    if len(widths) > 1 or min(widths) < 2:
        return False
    return len(names) in widths or (len(names) + 1 in widths and are_numbers_of_rows(rows))


def are_numbers_of_rows(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first cells count from 0 or 1."""
    first = [row[0].strip('"') for row in rows]
    return first in ([str(n + start) for n in range(len(first))] for start in (0, 1))


def _by_tabs(content: bytes) -> bytes:
    if b'"' in content:
        lines = content.decode("utf-8", errors="replace").split("\n")
        return "\n".join("\t".join(_CELL.findall(line)) for line in lines).encode()
    return b"\n".join(b"\t".join(line.split()) for line in content.split(b"\n"))


def beginning(source: Path | bytes) -> str:
    """The first lines of a table."""
    start = start_of(source, LOOKED_AT)
    text = start.decode("utf-8", errors="replace").replace("\r\n", "\n")
    return text if len(start) < LOOKED_AT else text.rpartition("\n")[0]


def start_of(source: Path | bytes, size: int = 4096) -> bytes:
    """The first bytes of a file."""
    if isinstance(source, bytes):
        return source[:size]
    with source.open("rb") as file:
        return file.read(size)


def content_of(source: Path | bytes) -> bytes:
    """All bytes of a file."""
    return source if isinstance(source, bytes) else source.read_bytes()


def first_line_of(source: Path | bytes) -> str:
    """The first line of a text in UTF-8."""
    opened = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with opened as lines:
        return lines.readline(MAX_LINE).decode("utf-8", errors="replace").rstrip("\r\n")
