"""Tables that lie beside a TOML file and that it does not name: nobody means to leave them out
without a word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from metarec.data.findings import Finding
from metarec.data.sources.roles import TABLES
from metarec.data.sources.suffixes import SUFFIXES, WORKBOOK_SUFFIXES


def unread_tables(path: Path, sources: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """What to say of items, users, friends and searches beside a file whose sources name none."""
    folder, findings = path.parent, list[Finding]()
    if any((folder / str(one["path"])).resolve() == folder.resolve() for one in _by_path(sources)):
        return []
    named = {(folder / str(file)).resolve() for one in sources for file in one.values()}
    for table in TABLES[1:]:
        beside = (folder / f"{table}{suffix}" for suffix in (*SUFFIXES, *WORKBOOK_SUFFIXES))
        file = next((one for one in beside if one.is_file() and one.resolve() not in named), None)
        if file is None or any(table in one for one in sources):
            continue
        why = (
            f"{file.name} lies beside {path.name} and is not read, since no source there names "
            f'{table}; add {table} = "{file.name}" to one'
        )
        findings.append(Finding(rule="sources", rows=0, action="noted", why=why, table=table))
    return findings


def _by_path(sources: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [one for one in sources if "path" in one]
