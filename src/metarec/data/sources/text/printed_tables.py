"""Read tables as programs print them: columns of fixed widths below a line of dashes (sqlcmd,
SQL*Plus, mysql), and lines each in quotes as a whole.
"""

from __future__ import annotations

import re
from pathlib import Path

from metarec.data.findings import Finding
from metarec.data.sources.text.separators import SEPARATORS, content_of, leading_lines

_RULER = re.compile(r"^ *(?:-{2,}(?: +-{2,})+|\+(?:-{2,}\+){2,}) *\r?$")
"""Pattern of a line of dashes."""
_FOOTER = re.compile(r"^\W*[\d,]+ (rows?|records?|lines?)\b.*$", re.IGNORECASE)
"""Pattern of lines below such a table: `(60 rows affected)`."""
MIN_ALIGNED = 0.95
"""Minimum share of the first lines with gaps at the positions of the gaps between dashes."""
_QUOTED = re.compile(r'^"((?:[^"]|"")*)"\r?$')
"""Pattern of a line in quotes."""


def in_columns(source: Path | bytes, name: str) -> tuple[bytes, int, list[Finding]] | None:
    """Return a table of fixed widths with tabs between its cells, the number of lines removed above
    its header, and findings; None for other tables.
    """
    lines = leading_lines(source).split("\n")
    ruler = next((n for n, line in enumerate(lines) if n and _RULER.match(line)), None)
    if ruler is None or len(lines[ruler - 1].split()) < 2:
        return None
    starts = [run.start() for run in re.finditer("-+", lines[ruler])]
    below = [line for line in lines[ruler + 1 :] if line.strip() and not _FOOTER.match(line)]
    below = [line for line in below if not _RULER.match(line)]
    gaps = ("", " ", "|")
    aligned = sum(all(line[at - 1 : at] in gaps for at in starts[1:]) for line in below)
    if not below or aligned < MIN_ALIGNED * len(below):
        return None
    every = content_of(source).decode("utf-8", errors="replace").replace("\r\n", "\n").split("\n")
    names, rows = every[ruler - 1], every[ruler + 1 :]
    kept = [r for r in rows if r.strip() and r != names and not _RULER.match(r)]
    footers = [r for r in kept if _FOOTER.match(r)]
    ends = [*starts[1:], None]
    cells = [
        [line[a:b].replace("\t", " ").strip(" |") for a, b in zip(starts, ends, strict=True)]
        for line in [names, *(r for r in kept if not _FOOTER.match(r))]
    ]
    why = f"columns of {name} are as wide as the dashes below their names"
    findings = [Finding(rule="columns", rows=0, action="noted", why=why)]
    if footers:
        why = f"lines such as {footers[0].strip()!r} of {name} are no rows"
        findings.append(Finding(rule="sums", rows=len(footers), action="removed", why=why))
    return "\n".join(map("\t".join, cells)).encode(), ruler - 1, findings


def without_whole_quotes(source: Path | bytes) -> Path | bytes:
    """Remove the quotes where each line is in quotes as a whole, `"1,2,3"`; other text stays
    unchanged.
    """
    lines = [line for line in leading_lines(source).split("\n") if line.strip()]
    if len(lines) < 2 or not all(map(_QUOTED.match, lines)):
        return source
    if not any(mark in lines[0] for mark in SEPARATORS):
        return source
    text = content_of(source).decode("utf-8", errors="replace")
    return "\n".join(_unquoted(line) for line in text.split("\n")).encode()


def _unquoted(line: str) -> str:
    """Return a line without the quotes around it."""
    quoted = _QUOTED.match(line)
    return line if quoted is None else quoted[1].replace('""', '"')
