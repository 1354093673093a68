"""Read text in which backslashes escape quotes, separators and line breaks, as MySQL, Spark and PHP
write it, instead of doubled quotes.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl

from metarec.data.findings import Finding

AT_ONCE = 1 << 22
"""Number of bytes read at a time."""
HIDDEN = {b"\x01": "\\", b"\x02": '"', b"\x04": "\n", b"\x05": "\t", b"\x06": "\r"}
"""Control character -> the escaped character that it replaces until the cells are split; `_PARTS`
replaces the separator.
"""
_PARTS = b"\x03"
_LETTERS = {b"n": b"\x04", b"t": b"\x05", b"r": b"\x06"}
"""Letter after a backslash -> control character, used where all backslashes are escapes."""
_ESCAPES = b"\"'\\ntrN0bZ\r\n"


class Escapes:
    """Escapes of a text with a given separator."""

    def __init__(self, separator: str) -> None:
        self.separator = separator
        self._part = separator.encode()

    def are_in(self, source: Path | bytes) -> bool:
        """Whether more lines show escapes by backslashes than doubled quotes."""
        with _opened(source) as file:
            if not any(b"\\" in part for part in iter(lambda: file.read(AT_ONCE), b"")):
                return False
            file.seek(0)
            width, balance = file.readline().count(self._part), 0
            for line in file:
                balance += self._shown(line.rstrip(b"\r\n"), width) if b"\\" in line else 0
        return balance > 0

    def _shown(self, line: bytes, width: int) -> int:
        """Return 1 for a line that shows escapes by backslashes, -1 for the contrary, else 0."""
        part = re.escape(self._part)
        if re.search(rb'\\""[^"' + part + rb"]", line):
            return -1
        opened = rb"(?:^|" + part + rb') *"(?:[^"\\]|\\[^"])*\\"'
        if re.search(opened + rb'(?:[^"' + part + rb']|"(?:' + part + rb"|$))", line):
            return 1
        if re.search(rb'(?<!\\)"|[{\[]', line):  # JSON, and cells of other lines
            return 0
        if b'\\"' in line or b"\\'" in line:
            return 1
        held, escaped = line.count(self._part), line.count(b"\\" + self._part)
        return 0 if not escaped else int(held - escaped == width) - int(held == width)

    def hidden(self, content: bytes) -> bytes:
        """Replace escaped characters by control characters, so that any reader splits the cells
        correctly.
        """
        content = content.replace(b"\\\\", b"\x01")
        escapable = _ESCAPES + self._part
        is_all = not re.search(rb"\\[^" + re.escape(escapable) + rb"]", content)
        content = content.replace(b'\\"', b"\x02").replace(b"\\'", b"'")
        content = content.replace(b"\\" + self._part, _PARTS)
        content = content.replace(b"\\\r\n", b"\x04").replace(b"\\\n", b"\x04")
        for letter, mark in _LETTERS.items() if is_all else ():
            content = content.replace(b"\\" + letter, mark)
        return content

    def shown(self, table: pl.DataFrame) -> pl.DataFrame:
        """Return a table with the hidden characters restored."""
        marks = {**HIDDEN, _PARTS: self.separator}
        hidden = [mark.decode() for mark in marks]
        return table.with_columns(pl.all().str.replace_many(hidden, list(marks.values())))


def escapes_finding(place: str) -> Finding:
    """Return the finding on a file with escapes by backslashes."""
    why = f"backslashes of {place} before quotes, separators and ends of lines are no letters"
    return Finding(rule="escapes", rows=0, action="noted", why=why)


def _opened(source: Path | bytes) -> io.BufferedIOBase:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
