"""Bytes of a text file as UTF-8, whatever they were written in; what was assumed is said."""

from __future__ import annotations

import codecs
from pathlib import Path

from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.sources.text.compression import all_bytes, is_packed, open_bytes
from metarec.data.sources.text.encoding_guess import written_in

BYTES_AT_ONCE = 1 << 22
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; the longer ones first where one begins like another."""
PAIRED = ("gb18030", "big5", "cp932", "euc_jp", "euc_kr")
"""Encodings of pairs of bytes."""
MIN_UTF8 = 0.1
"""Share of the lines beyond ASCII that are UTF-8, from which on a file is of several encodings: in
another encoding such lines are chance.
"""


def as_utf8(path: Path, encoding: str | None = None) -> tuple[Path | bytes, list[Finding]]:
    """A text file, packed or not, as what holds it in UTF-8: its path where it is that already,
    else its bytes.

    Args:
        encoding: what the file is written in; None finds it out and says so.

    Raises:
        BadInput: if the encoding has no such name, or is not the file's.
    """
    found = encoding_of(path) if encoding is None else _named(path, encoding)
    if found == "utf-8":
        return (all_bytes(path) if is_packed(path) else path), []
    content = all_bytes(path)
    if encoding is None and (mixed := _by_lines(path, content, found)) is not None:
        return mixed
    try:
        text = content.decode(found)
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not written in {found.removesuffix('-sig')} (byte {error.start:,}); "
            f"name another encoding"
        ) from error
    return text.removeprefix("\ufeff").encode(), [] if found == "utf-8-sig" else [
        _finding(path, found)
    ]


def _named(path: Path, encoding: str) -> str:
    """The encoding that the user named; UTF-8 only where the file is that.

    Raises:
        BadInput: if there is none of that name.
    """
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise BadInput(
            f"no encoding {encoding!r}; there are utf-8, cp1252, gb18030, utf-16, ..."
        ) from error
    is_other = name == "utf-8" and encoding_of(path) != "utf-8"
    return "utf-8-sig" if is_other else encoding if name != "utf-8" else name


def _by_lines(path: Path, content: bytes, other: str) -> tuple[bytes, list[Finding]] | None:
    """A file of which some lines are UTF-8 and some are not, as when exports are put one behind the
    other: each line by itself; None where too few of those beyond ASCII are UTF-8.
    """
    if other.startswith(("utf-16", "utf-32")):
        return None
    lines = content.removeprefix(codecs.BOM_UTF8).split(b"\n")
    high = [number for number, line in enumerate(lines) if not line.isascii()]
    odd = [number for number in high if _as_text(lines[number]) is None]
    told = [number for number in high if _is_told(lines[number], other)]
    is_marked = other == "utf-8-sig"
    if not odd or not (is_marked or len(told) >= MIN_UTF8 * len(high)):
        return None
    found = written_in(b"\n".join(lines[number] for number in odd))
    for number in odd:
        lines[number] = lines[number].decode(found, errors="replace").encode()
    why = (
        f"{path.name} is UTF-8 but for {len(odd):,} of its lines, which were read as {found} (e.g. "
        f"line {odd[0] + 1:,}); if letters are wrong there, write all lines in one encoding"
    )
    return b"\n".join(lines), [Finding(rule="encoding", rows=0, action="noted", why=why)]


def _is_told(line: bytes, other: str) -> bool:
    """Whether a line is UTF-8 not by chance: two bytes may be another encoding's pair."""
    text = _as_text(line)
    return text is not None and (other not in PAIRED or any(c > "\u07ff" for c in text))


def _as_text(line: bytes) -> str | None:
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def _finding(path: Path, encoding: str) -> Finding:
    return Finding(
        rule="encoding",
        rows=0,
        action="noted",
        why=f"{path.name} was read as {encoding}, not UTF-8; if letters are wrong, say which "
        f'encoding it is in a TOML file (encoding = "...")',
    )


def encoding_of(path: Path) -> str:
    """What a text file is written in: by its mark, else UTF-8 where all of it is, else by what its
    bytes look like.
    """
    with open_bytes(path) as file:
        start = file.read(BYTES_AT_ONCE)
        marked = next((name for mark, name in MARKS if start.startswith(mark)), None)
        if marked is not None:
            return marked
        if (wide := _without_mark(start)) is not None:
            return wide
        decoder = codecs.getincrementaldecoder("utf-8")()
        part = start
        try:
            while part:
                decoder.decode(part)
                part = file.read(BYTES_AT_ONCE)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return written_in(all_bytes(path))
    return "utf-8"


def _without_mark(start: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of Latin text is zero."""
    sample = start[:2000]
    if len(sample) < 4:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) < 0.3 * len(sample) / 2:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"
