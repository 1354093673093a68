"""Convert text files to UTF-8 and detect their encoding; guesses are returned as findings."""

from __future__ import annotations

import codecs
from pathlib import Path

from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.sources.text.compression import all_bytes, is_packed, open_bytes
from metarec.data.sources.text.encoding_guess import written_in

BYTES_AT_ONCE = 1 << 22
"""Number of bytes read at a time."""
MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks -> encoding; where one mark begins with another, the longer one is first."""
PAIRED = ("gb18030", "big5", "cp932", "euc_jp", "euc_kr")
"""Encodings with two bytes per character."""
MIN_UTF8 = 0.1
"""Minimum share of lines valid in UTF-8, among those with non-ASCII bytes, for a file to have mixed
encodings. Below it, such lines are valid by chance.
"""


def as_utf8(path: Path, encoding: str | None = None) -> tuple[Path | bytes, list[Finding]]:
    """Return the path of a text file that is UTF-8 and uncompressed, else its bytes in UTF-8; and
    findings.

    Args:
        encoding: encoding of the file; None detects it.

    Raises:
        BadInput: if the encoding is unknown, or the file cannot be decoded by it.
    """
    source_encoding = encoding_of(path) if encoding is None else _named(path, encoding)
    if source_encoding == "utf-8":
        return (all_bytes(path) if is_packed(path) else path), []
    content = all_bytes(path)
    if encoding is None and (mixed := _by_lines(path, content, source_encoding)) is not None:
        return mixed
    try:
        text = content.decode(source_encoding)
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not written in {source_encoding.removesuffix('-sig')} "
            f"(byte {error.start:,}); name another encoding"
        ) from error
    return text.removeprefix("\ufeff").encode(), [] if source_encoding == "utf-8-sig" else [
        _finding(path, source_encoding)
    ]


def _named(path: Path, encoding: str) -> str:
    """Return the encoding that the user named; `utf-8-sig` where the file is not plain UTF-8.

    Raises:
        BadInput: if the encoding is unknown.
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
    """Decode a file of mixed encodings, such as concatenated exports, line by line. Return its
    bytes in UTF-8 and a finding; None where too few of the lines with non-ASCII bytes are UTF-8.
    """
    if other.startswith(("utf-16", "utf-32")):
        return None
    lines = content.removeprefix(codecs.BOM_UTF8).split(b"\n")
    high = [number for number, line in enumerate(lines) if not line.isascii()]
    odd = [number for number in high if _as_text(lines[number]) is None]
    surely = [number for number in high if _is_surely_utf8(lines[number], other)]
    is_marked = other == "utf-8-sig"
    if not odd or not (is_marked or len(surely) >= MIN_UTF8 * len(high)):
        return None
    legacy = written_in(b"\n".join(lines[number] for number in odd))
    for number in odd:
        lines[number] = lines[number].decode(legacy, errors="replace").encode()
    why = (
        f"{path.name} is UTF-8 but for {len(odd):,} of its lines, which were read as {legacy} "
        f"(e.g. line {odd[0] + 1:,}); if letters are wrong there, write all lines in one encoding"
    )
    return b"\n".join(lines), [Finding(rule="encoding", rows=0, action="noted", why=why)]


def _is_surely_utf8(line: bytes, other: str) -> bool:
    """Whether a line is UTF-8 and not so by chance: two bytes may be a pair of another encoding."""
    text = _as_text(line)
    return text is not None and (other not in PAIRED or any(c > "\u07ff" for c in text))


def _as_text(line: bytes) -> str | None:
    """Return a line decoded from UTF-8; None where that fails."""
    try:
        return line.decode()
    except UnicodeDecodeError:
        return None


def _finding(path: Path, encoding: str) -> Finding:
    """Return the finding on a file in another encoding than UTF-8."""
    return Finding(
        rule="encoding",
        rows=0,
        action="noted",
        why=f"{path.name} was read as {encoding}, not UTF-8; if letters are wrong, say which "
        f'encoding it is in a TOML file (encoding = "...")',
    )


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file: by its byte order mark, else UTF-8 if all of it is valid,
    else a guess.
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
    """Return which UTF-16 a text without a byte order mark is in, by the zeros in its bytes; else
    None.
    """
    sample = start[:2000]
    if len(sample) < 4:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) < 0.3 * len(sample) / 2:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"
