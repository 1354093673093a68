"""Extract files with several tables into a temporary folder: workbooks (one table per sheet),
archives, and database dumps.
"""

from __future__ import annotations

import platform
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.sources.files.sql_dumps import is_dump, write_tables
from metarec.data.sources.files.suffixes import (
    ARCHIVE_SUFFIXES,
    SUFFIXES,
    WORKBOOK_SUFFIXES,
    suffix_of,
)
from metarec.runtime.extras import require

MAX_UNPACKED = 1 << 36
"""Maximum number of bytes of all files of an archive."""
AS_CSV = (
    "save it as CSV UTF-8 in your spreadsheet program (File, Save As), or in Python: "
    "pandas.read_excel(PATH).to_csv('events.csv', index=False)"
)
"""Advice for workbooks that cannot be read."""
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""First bytes of archives and newer workbooks, and of older workbooks."""
_TABLES = ("interactions", "items", "users", "friends", "searches")


@contextmanager
def unpacked_tables(path: Path) -> Iterator[tuple[Path, list[Finding]]]:
    """Yield the folder of a file's tables, or the file of its only table, and findings; a file with
    a table of its own unchanged. The folder is removed at the end.

    Raises:
        BadInput: if the file cannot be read or holds no table.
    """
    form = _form_of(path)
    if form is None:
        yield path, []
        return
    with TemporaryDirectory(prefix="metarec-") as scratch:
        folder = Path(scratch) / (path.name.split(".")[0] or "tables")
        folder.mkdir()
        unpack = {"workbook": _of_workbook, "archive": _of_archive, "dump": write_tables}[form]
        findings = unpack(path, folder)
        where = innermost_folder(folder)
        try:
            yield where, findings
        except BadInput as error:
            raise BadInput(str(error).replace(str(where), str(path))) from error


def holds_tables(path: Path) -> bool:
    """Whether a file is a workbook, an archive or a dump."""
    return _form_of(path) is not None


def _form_of(path: Path) -> str | None:
    """Return `workbook`, `archive` or `dump`, by the first bytes of a file and by its suffix; None
    for other files.
    """
    if not path.is_file():
        return None
    if is_dump(path):
        return "dump"
    suffix = suffix_of(path)
    with path.open("rb") as file:
        start = file.read(4)
    if suffix in WORKBOOK_SUFFIXES or start == _OLE:
        return "workbook"
    if start == _ZIP and suffix not in ARCHIVE_SUFFIXES and not zipfile.is_zipfile(path):
        return "workbook"  # a truncated file, which reading it reports
    if start == _ZIP and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        is_workbook = any(name.startswith("xl/workbook") for name in names)
        return "workbook" if is_workbook else "archive"
    return "archive" if suffix in ARCHIVE_SUFFIXES else None


def _of_workbook(path: Path, folder: Path) -> list[Finding]:
    """Write each visible sheet with rows as CSV, and return a finding that lists them.

    Raises:
        BadInput: if the workbook cannot be read or has no such sheet.
    """
    fastexcel = require("fastexcel", "excel")
    try:
        book = fastexcel.read_excel(path)
        sheets = {name: _cells(book, name) for name in book.sheet_names}
    except (fastexcel.FastExcelError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BadInput(f"{path} cannot be read as a workbook ({reason}); {AS_CSV}") from error
    filled_sheets = {
        name: cells for name, cells in sheets.items() if cells is not None and cells.height
    }
    if not filled_sheets:
        raise BadInput(f"{path} has no sheet with rows")
    for name, cells in filled_sheets.items():
        stem = re.sub(r"[^\w .-]", "_", name) if len(filled_sheets) > 1 else folder.name
        text = cells.write_csv(include_header=False).encode()
        text = re.sub(rb"(?m)^,+$", b"", text)  # rows without cells
        lower = stem.lower()
        (folder / f"{lower if lower in _TABLES else stem}.csv").write_bytes(text)
    if len(filled_sheets) == 1:
        return []
    why = f"each sheet of {path.name} was read as a table: {', '.join(filled_sheets)}"
    return [Finding(rule="columns", rows=0, action="noted", why=why)]


def _cells(book: Any, name: str) -> pl.DataFrame | None:
    """Return the cells of a sheet as text, without empty columns; None for a hidden or empty
    sheet.
    """
    sheet = book.load_sheet(name, header_row=None, dtypes="string")
    if sheet.visible != "visible" or not sheet.width:
        return None
    cells: pl.DataFrame = sheet.to_polars()
    return cells.select(c for c in cells.columns if cells[c].null_count() < cells.height)


def _of_archive(path: Path, folder: Path) -> list[Finding]:
    """Extract an archive.

    Raises:
        BadInput: if it is too large, or cannot be extracted safely.
    """
    if not (zipfile.is_zipfile(path) or hasattr(tarfile, "data_filter")):
        # Before 3.11.4 a member of a tar file could be written outside the folder.
        raise BadInput(
            f"{path} cannot be unpacked safely by Python {platform.python_version()}; unpack it "
            "and give the folder"
        )
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                _check_size(path, sum(entry.file_size for entry in archive.infolist()))
                archive.extractall(folder)
        else:
            with tarfile.open(path) as archive:
                _check_size(path, sum(entry.size for entry in archive))
                archive.extractall(folder, filter="data")
    except (  # zipfile raises RuntimeError for a password, NotImplementedError for a method
        *(zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError),
        *(OSError, EOFError, RuntimeError, NotImplementedError),
    ) as error:
        raise BadInput(f"{path} cannot be unpacked: {error}") from error
    return []


def _check_size(path: Path, size: int) -> None:
    """Refuse archives larger than `MAX_UNPACKED`."""
    if size > MAX_UNPACKED:
        raise BadInput(
            f"{path} holds {size:,} bytes, more than {MAX_UNPACKED:,}; unpack it and give the "
            "folder"
        )


def innermost_folder(folder: Path) -> Path:
    """Return the innermost folder that holds more than one folder, or its only table."""
    while True:
        entries = [p for p in folder.iterdir() if not p.name.startswith((".", "__MACOSX"))]
        folders = [p for p in entries if p.is_dir() and "=" not in p.name]
        tables = [p for p in entries if p.is_file() and suffix_of(p) in SUFFIXES]
        if len(folders) == 1 and not tables:
            folder = folders[0]
        elif len(tables) == 1 and not folders and len(entries) == 1:
            return tables[0]
        else:
            return folder
