"""Memory-mapped arrays of a safetensors file, read page by page on first access.

Processes that map the same file share its pages, so a second worker of the service needs no second
copy of a model. Writes to such an array are private to the process (copy on write): the file never
changes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from metarec.runtime.rows import FilePages

DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "U16": "<u2",
    "I16": "<i2",
    "F16": "<f2",
    "U32": "<u4",
    "I32": "<i4",
    "F32": "<f4",
    "U64": "<u8",
    "I64": "<i8",
    "F64": "<f8",
}
"""Type in the file -> NumPy type; types unknown to NumPy are left out."""


def mapped_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file whose header was already checked."""
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(start - 8))
    pages = FilePages.of(path)
    header.pop("__metadata__", None)
    return {name: _array(pages, start, facts) for name, facts in header.items()}


def _array(pages: FilePages, start: int, header: dict[str, Any]) -> np.ndarray:
    """Return one array of the mapped file; it is copied only if its bytes are unaligned."""
    first, last = header["data_offsets"]
    dtype = np.dtype(DTYPES[header["dtype"]])
    count, place = (last - first) // dtype.itemsize, start + first
    if not count:
        return np.zeros(header["shape"], dtype)
    if place % dtype.itemsize:  # unaligned, as other writers may leave it
        copied = np.frombuffer(pages[place : start + last], np.uint8).copy()
        return copied.view(dtype).reshape(header["shape"])
    return np.frombuffer(pages, dtype, count, place).reshape(header["shape"])
