"""Files that hold several tables: workbooks, a table a sheet, archives of files, and dumps of
databases; laid into a folder that lasts as long as they are read.
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
"""Bytes that the files of an archive may have together."""
AS_CSV = (
    "save it as CSV UTF-8 in your spreadsheet program (File, Save As), or in Python: "
    "pandas.read_excel(PATH).to_csv('events.csv', index=False)"
)
"""What to do with a workbook that cannot be read."""
_ZIP, _OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
"""How archives and newer workbooks begin, and older workbooks."""
_TABLES = ("interactions", "items", "users", "friends", "searches")


@contextmanager
def laid_out(path: Path) -> Iterator[tuple[Path, list[Finding]]]:
    """The folder of the tables that a file holds, or the one file of its only table, and what to
    say of it; a file that holds one table itself as it is.

    Raises:
        BadInput: if it cannot be read, or holds no table.
    """
    form = _form_of(path)
    if form is None:
        yield path, []
        return
    with TemporaryDirectory(prefix="metarec-") as scratch:
        folder = Path(scratch) / (path.name.split(".")[0] or "tables")
        folder.mkdir()
        lay = {"workbook": _of_workbook, "archive": _of_archive, "dump": write_tables}[form]
        found = lay(path, folder)
        where = inmost(folder)
        try:
            yield where, found
        except BadInput as error:
            raise BadInput(str(error).replace(str(where), str(path))) from error


def holds_tables(path: Path) -> bool:
    """Whether a file is a workbook, an archive or a dump."""
    return _form_of(path) is not None


def _form_of(path: Path) -> str | None:
    """What a file is by how it begins, and by its ending where it begins like both."""
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
        return "workbook"  # which is cut off, as reading it says
    if start == _ZIP and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        is_workbook = any(name.startswith("xl/workbook") for name in names)
        return "workbook" if is_workbook else "archive"
    return "archive" if suffix in ARCHIVE_SUFFIXES else None


def _of_workbook(path: Path, folder: Path) -> list[Finding]:
    """Write each sheet that holds something as text, and say which they are."""
    fastexcel = require("fastexcel", "excel")
    try:
        book = fastexcel.read_excel(path)
        sheets = {name: _cells(book, name) for name in book.sheet_names}
    except (fastexcel.FastExcelError, OSError, ValueError) as error:
        said = str(error).strip().splitlines()[0]
        raise BadInput(f"{path} cannot be read as a workbook ({said}); {AS_CSV}") from error
    found = {name: cells for name, cells in sheets.items() if cells is not None and cells.height}
    if not found:
        raise BadInput(f"{path} has no sheet with rows")
    for name, cells in found.items():
        stem = re.sub(r"[^\w .-]", "_", name) if len(found) > 1 else folder.name
        text = cells.write_csv(include_header=False).encode()
        text = re.sub(rb"(?m)^,+$", b"", text)  # rows without cells
        lower = stem.lower()
        (folder / f"{lower if lower in _TABLES else stem}.csv").write_bytes(text)
    if len(found) == 1:
        return []
    why = f"each sheet of {path.name} was read as a table: {', '.join(found)}"
    return [Finding(rule="columns", rows=0, action="noted", why=why)]


def _cells(book: Any, name: str) -> pl.DataFrame | None:
    """A sheet's cells as text; None where it is hidden or empty."""
    sheet = book.load_sheet(name, header_row=None, dtypes="string")
    if sheet.visible != "visible" or not sheet.width:
        return None
    cells: pl.DataFrame = sheet.to_polars()
    return cells.select(c for c in cells.columns if cells[c].null_count() < cells.height)


def _of_archive(path: Path, folder: Path) -> list[Finding]:
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
    if size > MAX_UNPACKED:
        raise BadInput(
            f"{path} holds {size:,} bytes, more than {MAX_UNPACKED:,}; unpack it and give the "
            "folder"
        )


def inmost(folder: Path) -> Path:
    """The folder within folders that holds more than another one, or its one table."""
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
