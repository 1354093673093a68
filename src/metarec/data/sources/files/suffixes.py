"""Endings of files, by which it is known how to read them."""

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
"""Endings of the files a table can be read from."""


_PUT_ASIDE = re.compile(r"\.log[-._]\d[\d._-]*(?=\.(gz|bz2|xz|zst)$|$)")
"""The number or day behind the ending of such a log."""


def suffix_of(path: Path) -> str:
    """The ending that says how to read a file, in lower case: `.csv.gz` as well as `.csv`, and
    `.log` of a log that was put aside, `tracking.log-20240215` or `tracking.log.1`.
    """
    suffixes = Path(_PUT_ASIDE.sub(".log", path.name.lower())).suffixes[-2:]
    return "".join(suffixes if suffixes and suffixes[-1] in PACKED else suffixes[-1:])


def bare_suffix(path: Path) -> str:
    """The ending of what may be packed: `.csv` of `.csv.gz`."""
    suffix = suffix_of(path)
    return next((suffix.removesuffix(p) for p in PACKED if suffix.endswith(p)), suffix)
