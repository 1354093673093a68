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


def as_utf8(path: Path, encoding: str | None = None) -> tuple[Path | bytes, list[Finding]]:
    """A text file, packed or not, as what holds it in UTF-8: its path where it is that already,
    else its bytes.

    Args:
        encoding: what the file is written in; None finds it out and says so.

    Raises:
        BadInput: if the encoding has no such name, or is not the file's.
    """
    found = encoding or encoding_of(path)
    if found == "utf-8":
        return (all_bytes(path) if is_packed(path) else path), []
    try:
        text = all_bytes(path).decode(found)
    except LookupError as error:
        raise BadInput(
            f"no encoding {found!r}; there are utf-8, cp1252, gb18030, utf-16, ..."
        ) from error
    except UnicodeDecodeError as error:
        raise BadInput(
            f"{path} is not written in {found} (byte {error.start:,}); name another encoding"
        ) from error
    return text.removeprefix("\ufeff").encode(), [] if found == "utf-8-sig" else [
        _finding(path, found)
    ]


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
