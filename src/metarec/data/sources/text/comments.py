"""Remove comments from text tables: lines that begin with `#`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from metarec.data.events.rows import EXAMPLES
from metarec.data.findings import Finding

AT_ONCE = 1 << 22
"""Number of bytes read at a time."""
_BEGINS = re.compile(rb"#\s|#+[^\d\s#]")
"""Pattern of the beginning of a comment; `#1001` is an id."""


def has_marks(source: Path | bytes) -> bool:
    """Whether a line begins with `#`."""
    if isinstance(source, bytes):
        return source.startswith(b"#") or b"\n#" in source
    last = b"\n"
    with source.open("rb") as file:
        while part := file.read(AT_ONCE):
            if b"\n#" in last + part:
                return True
            last = part[-1:]
    return False


_FIELDS = re.compile(r"^#Fields:[ \t]*(\S.*?)\s*$", re.MULTILINE)
_FROM_TO = re.compile(r"^(c|s|cs|sc)-")
"""Prefix of a name in W3C logs: whether the client or the server states the cell."""


def fields_of(start: str) -> list[str] | None:
    """Return the names of columns from the comment `#Fields:`, as in W3C logs of web servers; else
    None.
    """
    if (match := _FIELDS.search(start)) is None:
        return None
    names = match[1].split()
    bare = [_FROM_TO.sub("", name) for name in names]
    return [b if bare.count(b) == 1 else name for name, b in zip(names, bare, strict=True)]


def without_comments(
    source: Path | bytes, separators: Sequence[str], name: str
) -> tuple[Path | bytes, int, list[Finding]]:
    """Return the text without comments, the number of lines removed at its beginning, and findings.
    Later comments become empty lines, so that line numbers stay right.
    """
    if not has_marks(source):
        return source, 0, []
    content = source if isinstance(source, bytes) else source.read_bytes()
    lines = content.split(b"\n")
    comments = _comments(lines, separators)
    if not comments:
        return source, 0, []
    why = f"lines of {name} that begin with '#' are comments: {_shown(lines[comments[0]])}"
    examples = [f"line {n + 1:,} of {name}: {_shown(lines[n])}" for n in comments[:EXAMPLES]]
    finding = Finding(
        rule="comments", rows=len(comments), action="removed", why=why, examples=[*examples]
    )
    above = next(n for n, at in enumerate([*comments, -1]) if n != at)
    for at in comments:
        lines[at] = b""
    return b"\n".join(lines[above:]), above, [finding]


def _comments(lines: Sequence[bytes], separators: Sequence[str]) -> list[int]:
    """Return the positions of comments: lines that begin with `#` outside quotes. Where one of them
    has as many cells as the header or most rows, only those above the header with another number of
    cells are comments.
    """
    marked, others, is_quoted = list[int](), list[bytes](), False
    for number, line in enumerate(lines):
        if line.startswith(b"#") and not is_quoted:
            marked.append(number)
        elif line.strip():
            others.append(line)
        is_quoted ^= bool(line.count(b'"') % 2)
    first = others[0] if others else b""
    cut = max((s.encode() for s in separators), key=first.count)
    usual = Counter(line.count(cut) for line in others[1:]).most_common(1)  # rows may be short
    widths = {first.count(cut), *(width for width, _ in usual)} - {0}
    if any(lines[n].count(cut) in widths for n in marked):  # then only those above the names are
        above = range(lines.index(first))
        marked = [n for n in marked if n in above and lines[n].count(cut) not in widths]
    return [n for n in marked if _BEGINS.match(lines[n])] if first else []


def _shown(line: bytes, max_chars: int = 40) -> str:
    """Return a line as quoted text for a message, shortened."""
    text = line.decode("utf-8", errors="replace").strip()
    return repr(text if len(text) <= max_chars else text[:max_chars] + "...")
