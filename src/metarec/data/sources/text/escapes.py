"""Backslashes before quotes, separators and ends of lines, as databases write them (MySQL, Spark,
PHP), where other programs double the quotes.
"""

from __future__ import annotations

import io
import re
from pathlib import Path

import polars as pl

from metarec.data.findings import Finding

AT_ONCE = 1 << 22
HIDDEN = {b"\x01": "\\", b"\x02": '"', b"\x04": "\n", b"\x05": "\t", b"\x06": "\r"}
"""What stands for an escaped character until the cells are known; the separator's is `_PARTS`."""
_PARTS = b"\x03"
_LETTERS = {b"n": b"\x04", b"t": b"\x05", b"r": b"\x06"}
"""What letters say after a backslash, where nothing else is written with one."""
_ESCAPES = b"\"'\\ntrN0bZ\r\n"


class Escapes:
    """How to read a text whose backslashes escape."""

    def __init__(self, separator: str) -> None:
        self.separator = separator
        self._part = separator.encode()

    def are_in(self, source: Path | bytes) -> bool:
        """Whether more lines show that backslashes escape than that quotes are doubled."""
        with _opened(source) as file:
            if not any(b"\\" in part for part in iter(lambda: file.read(AT_ONCE), b"")):
                return False
            file.seek(0)
            width, shown = file.readline().count(self._part), 0
            for line in file:
                shown += self._shown(line.rstrip(b"\r\n"), width) if b"\\" in line else 0
        return shown > 0

    def _shown(self, line: bytes, width: int) -> int:
        """1 where a line shows it, -1 where it shows the contrary, else 0."""
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
        """The content with other characters for the escaped ones, for a reader that knows none."""
        content = content.replace(b"\\\\", b"\x01")
        known = _ESCAPES + self._part
        is_all = not re.search(rb"\\[^" + re.escape(known) + rb"]", content)
        content = content.replace(b'\\"', b"\x02").replace(b"\\'", b"'")
        content = content.replace(b"\\" + self._part, _PARTS)
        content = content.replace(b"\\\r\n", b"\x04").replace(b"\\\n", b"\x04")
        for letter, mark in _LETTERS.items() if is_all else ():
            content = content.replace(b"\\" + letter, mark)
        return content

    def shown(self, table: pl.DataFrame) -> pl.DataFrame:
        """Cells with the characters that were hidden."""
        marks = {**HIDDEN, _PARTS: self.separator}
        hidden = [mark.decode() for mark in marks]
        return table.with_columns(pl.all().str.replace_many(hidden, list(marks.values())))


def escapes_told(place: str) -> Finding:
    """What to say where backslashes were read so."""
    why = f"backslashes of {place} before quotes, separators and ends of lines are no letters"
    return Finding(rule="escapes", rows=0, action="noted", why=why)


def _opened(source: Path | bytes) -> io.BufferedIOBase:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")
