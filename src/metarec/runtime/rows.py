"""Adding or changing rows of tables with a million rows without copying them.

A memory-mapped table (`runtime.mapped`) is mapped a second time, with room behind it: pages that
are not written to stay those of the file, shared by all processes, and the original table does not
change. A table in memory, or on a system without this kind of mapping, is copied.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

LEAST = 1 << 25
"""Bytes from which a table is mapped again rather than copied."""
ROOM = 1 << 14
"""Minimum number of rows of room behind a table; unused room takes no memory."""
DENSE = 4
"""Maximum number of rows to multiply for each requested row, see `products_of`."""
_PRIVATE, _FIXED, _ANONYMOUS, _NO_RESERVE = 0x02, 0x10, 0x20, 0x4000
_CAN_MAP = sys.platform == "linux"


class OpenFile:
    """A file that stays open while its pages may be mapped again."""

    def __init__(self, path: Path) -> None:
        """Open the file for reading."""
        self.number = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self.number)


class FilePages(mmap.mmap):
    """Copy-on-write pages of a file that keep a reference to the file."""

    file: OpenFile

    @classmethod
    def of(cls, path: Path) -> FilePages:
        """Map a whole file."""
        file = OpenFile(path)
        pages = cls(file.number, 0, access=mmap.ACCESS_COPY)
        pages.file = file
        return pages

    @property
    def address(self) -> int:
        """Address of the first byte."""
        return int(np.frombuffer(self, np.uint8).ctypes.data)


@dataclass(frozen=True, kw_only=True)
class _Source:
    """Rows of a file, and changes to them."""

    file: OpenFile
    offset: int
    """Offset of the first row in the file, bytes."""
    n_rows: int
    """Number of rows in the file."""
    changed: dict[int, np.ndarray]
    """Row -> its current value."""


def with_rows(table: np.ndarray, rows: np.ndarray, values: np.ndarray, n_rows: int) -> np.ndarray:
    """Return the table [N, ...] with `values` at `rows` and `n_rows` rows in total; the original is
    not changed. New rows that are not in `rows` are 0.
    """
    source = _source_of(table) if _CAN_MAP and table.nbytes >= LEAST else None
    if source is None:
        grown = np.zeros((n_rows, *table.shape[1:]), table.dtype)
        grown[: len(table)] = table
        grown[rows] = values
        return grown
    pairs = zip(rows.tolist(), values, strict=True)
    changed = {**source.changed, **{row: np.array(value) for row, value in pairs}}
    return _mapped(table, _Source(**{**vars(source), "changed": changed}), n_rows)


def _source_of(table: np.ndarray) -> _Source | None:
    """Return the file rows behind a contiguous table; None if it is not memory-mapped."""
    owner: Any = table
    while isinstance(owner, np.ndarray) and owner.base is not None:
        owner = owner.base
    owner = owner.obj if isinstance(owner, memoryview) else owner
    if not table.flags.c_contiguous:
        return None
    if isinstance(owner, FilePages):
        offset = table.ctypes.data - owner.address
        return _Source(file=owner.file, offset=offset, n_rows=len(table), changed={})
    return getattr(owner, "source", None) if isinstance(owner, ctypes.Array) else None


def _mapped(table: np.ndarray, source: _Source, n_rows: int) -> np.ndarray:
    """Map the rows of a file with room behind them, and apply all changes."""
    stride = table.nbytes // len(table)
    page = mmap.ALLOCATIONGRANULARITY
    before = source.offset % page
    in_file = before + source.n_rows * stride
    size = before + max(n_rows, source.n_rows + ROOM) * stride
    address = _map(None, size, _PRIVATE | _ANONYMOUS | _NO_RESERVE, -1, 0)
    memory = (ctypes.c_char * size).from_address(address)
    weakref.finalize(memory, _unmap, address, size).atexit = False  # arrays may outlive it at exit
    _map(address, in_file, _PRIVATE | _FIXED, source.file.number, source.offset - before)
    memory.source = source  # type: ignore[attr-defined]  # for tables made from this one
    count = n_rows * (stride // table.itemsize)
    grown = np.frombuffer(memoryview(memory), table.dtype, count, before).reshape(
        n_rows, *table.shape[1:]
    )
    # The last page of the file's rows also holds bytes that follow them in the file.
    behind = np.frombuffer(memoryview(memory), np.uint8)[in_file : -(-in_file // page) * page]
    behind[...] = 0
    rows = np.fromiter(source.changed, np.int64)
    grown[rows] = np.stack([*source.changed.values()])
    return np.asarray(grown)


def _map(address: int | None, size: int, flags: int, file: int, offset: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *3 * [ctypes.c_int], ctypes.c_long]
    mapped = libc.mmap(address, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, offset)
    if mapped in (None, ctypes.c_void_p(-1).value):
        error = ctypes.get_errno()
        raise OSError(error, "memory cannot be mapped")
    return int(mapped)


def _unmap(address: int, size: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    libc.munmap(address, size)


def rows_of(array: np.ndarray, rows: Int[np.ndarray, "some"]) -> np.ndarray:
    """Return some rows of an array; a view if they are consecutive."""
    if len(rows) and (np.diff(rows) == 1).all():
        return array[int(rows[0]) : int(rows[-1]) + 1]
    return np.asarray(array[rows])


def products_of(
    users: Float[np.ndarray, "users dim"], array: np.ndarray, rows: Int[np.ndarray, "some"]
) -> Float[np.ndarray, "users some"]:
    """Return [B, I] the products of users with some rows of an array [N, D]. If the rows are dense
    between the first and the last, all rows in between are multiplied: gathering scattered rows
    costs more than multiplying.
    """
    first, last = (int(rows.min()), int(rows.max())) if len(rows) else (0, 0)
    if last - first >= DENSE * len(rows):
        return np.asarray(users @ array[rows].T)
    return np.asarray((users @ array[first : last + 1].T).take(rows - first, axis=1))
