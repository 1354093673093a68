"""Read files compressed by gzip, bzip2, xz or Zstandard, detected by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
from pathlib import Path
from typing import IO, cast

import polars as pl

from metarec.data.errors import BadInput

PACKED = (".gz", ".bz2", ".xz", ".zst")
"""Suffixes of compressed files."""
_BEGINS = {b"\x1f\x8b": "gz", b"BZh": "bz2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zst"}
"""First bytes of a file -> its compression."""


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file to read its bytes, decompressed where needed.

    Raises:
        BadInput: if a file compressed by Zstandard is no UTF-8 text.
    """
    form = _form_of(path)
    if form == "zst":
        return io.BytesIO(_of_zstandard(path))
    if form == "gz":
        return cast("IO[bytes]", gzip.open(path, "rb"))
    if form == "bz2":
        return bz2.open(path, "rb")
    return lzma.open(path, "rb") if form == "xz" else path.open("rb")


def is_packed(path: Path) -> bool:
    """Whether a file is compressed, by its first bytes."""
    return _form_of(path) is not None


def all_bytes(path: Path) -> bytes:
    """Return all bytes of a file, decompressed."""
    with open_bytes(path) as file:
        return file.read()


def _form_of(path: Path) -> str | None:
    """Return the compression of a file; None for an uncompressed one."""
    with path.open("rb") as file:
        start = file.read(8)
    return next((form for mark, form in _BEGINS.items() if start.startswith(mark)), None)


def _of_zstandard(path: Path) -> bytes:
    """Return the bytes of a text compressed by Zstandard. Polars decompresses it, since Python can
    only from version 3.14 on.
    """
    try:
        lines = pl.read_csv(
            path, has_header=False, separator="\x01", quote_char=None, infer_schema=False
        )
    except pl.exceptions.PolarsError as error:
        raise BadInput(
            f"{path} is packed by Zstandard and cannot be read as UTF-8 text; unpack it (zstd -d)"
        ) from error
    return "\n".join(lines.to_series().fill_null("")).encode()
