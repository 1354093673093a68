"""Detect how the cells of a text table are separated: by one character, `::`, or runs of spaces."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path

MAX_LINE = 1 << 24
"""Maximum number of bytes read of a first line."""
SEPARATORS = ("\t", ",", ";", "|")
LOOKED_AT = 1 << 14
"""Number of bytes by which the separator is detected."""
_DOUBLE = "::"
_CELL = re.compile(r'"(?:[^"\\]|\\.|"")*"|[^\s"]\S*')


def separator_of(header: str) -> str:
    """Return the most frequent separator in a header."""
    return max(SEPARATORS, key=lambda s: (header.count(s), s == ","))


def with_single_separator(source: Path | bytes) -> tuple[Path | bytes, str | None]:
    """Convert a table separated by `::` or runs of spaces to one separated by a single character.
    Return it and that character; any other table unchanged, and None.
    """
    lines = [line for line in leading_lines(source).split("\n") if line.strip()]
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
    """Return the number of separators per line; 0 where lines differ."""
    counts = {line.count(separator) for line in lines}
    return counts.pop() if len(counts) == 1 else 0


def _are_by_spaces(lines: Sequence[str]) -> bool:
    """Whether all lines have the same number of words. The header may have one fewer where rows are
    numbered, as R writes it.
    """
    names, *rows = (_CELL.findall(line) for line in lines)
    widths = {len(row) for row in rows}
    if len(widths) > 1 or min(widths) < 2:
        return False
    return len(names) in widths or (len(names) + 1 in widths and are_numbers_of_rows(rows))


def are_numbers_of_rows(rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first cells count up from 0 or 1."""
    first = [row[0].strip('"') for row in rows]
    return first in ([str(n + start) for n in range(len(first))] for start in (0, 1))


def _by_tabs(content: bytes) -> bytes:
    """Replace runs of spaces by tabs, but not within quotes."""
    if b'"' in content:
        lines = content.decode("utf-8", errors="replace").split("\n")
        return "\n".join("\t".join(_CELL.findall(line)) for line in lines).encode()
    return b"\n".join(b"\t".join(line.split()) for line in content.split(b"\n"))


def leading_lines(source: Path | bytes) -> str:
    """Return the first whole lines of a text, about `LOOKED_AT` bytes."""
    start = start_of(source, LOOKED_AT)
    text = start.decode("utf-8", errors="replace").replace("\r\n", "\n")
    return text if len(start) < LOOKED_AT else text.rpartition("\n")[0]


def start_of(source: Path | bytes, size: int = 4096) -> bytes:
    """Return the first bytes of a file."""
    if isinstance(source, bytes):
        return source[:size]
    with source.open("rb") as file:
        return file.read(size)


def content_of(source: Path | bytes) -> bytes:
    """Return all bytes of a file."""
    return source if isinstance(source, bytes) else source.read_bytes()


def first_line_of(source: Path | bytes) -> str:
    """Return the first line of a text in UTF-8."""
    opened = io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with opened as lines:
        return lines.readline(MAX_LINE).decode("utf-8", errors="replace").rstrip("\r\n")
