"""List the suffixes of files, which decide how the files are read."""

from __future__ import annotations

import re
from pathlib import Path

from metarec.data.sources.text.compression import PACKED

TEXT_SUFFIXES = (".csv", ".tsv", ".txt", ".dat", ".data", ".log")
JSON_SUFFIXES = (".jsonl", ".ndjson", ".json", ".geojson")
ARROW_SUFFIXES = (".feather", ".arrow", ".ipc")
PARQUET_SUFFIXES = (".parquet", ".pq")
WORKBOOK_SUFFIXES = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tgz", *(f".tar{packed}" for packed in PACKED[:3]))
UNPACKED = (*PARQUET_SUFFIXES, *ARROW_SUFFIXES, *TEXT_SUFFIXES, *JSON_SUFFIXES)
SUFFIXES = (
    *UNPACKED,
    *(s + packed for packed in PACKED for s in (*TEXT_SUFFIXES, *JSON_SUFFIXES)),
)
"""Suffixes of files that a table can be read from, without archives and workbooks."""


_PUT_ASIDE = re.compile(r"\.log[-._]\d[\d._-]*(?=\.(gz|bz2|xz|zst)$|$)")
"""Pattern of the number or date after the suffix of a rotated log."""


def suffix_of(path: Path) -> str:
    """Return the suffix of a file in lower case: `.csv`, `.csv.gz`, and `.log` of a rotated log
    such as `tracking.log-20240215` or `tracking.log.1`.
    """
    suffixes = Path(_PUT_ASIDE.sub(".log", path.name.lower())).suffixes[-2:]
    return "".join(suffixes if suffixes and suffixes[-1] in PACKED else suffixes[-1:])


def bare_suffix(path: Path) -> str:
    """Return the suffix of a file without that of its compression: `.csv` of `.csv.gz`."""
    suffix = suffix_of(path)
    return next((suffix.removesuffix(p) for p in PACKED if suffix.endswith(p)), suffix)
