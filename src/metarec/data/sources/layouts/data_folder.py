"""Read a data folder, with `interactions.*` and optional `items.*`, `users.*`, `friends.*` and
`searches.*` or with files of other names, and single files of events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from metarec.data.events.rows import RawTable
from metarec.data.findings import Finding
from metarec.data.sources.canonical_tables import Reading, tables_of
from metarec.data.sources.columns.signed_out_users import signed_in_elsewhere
from metarec.data.sources.files.file_roles import TABLES, Files, files_of
from metarec.data.sources.files.kind_by_file_name import kind_of_name, name_of, refusing
from metarec.data.sources.files.legends import with_legend
from metarec.data.sources.files.refusal_files import refused_events
from metarec.data.sources.files.single_file import read_table
from metarec.data.tables import Tables, merge


def read_folder(folder: Path, reading: Reading) -> Tables:
    """Read a data folder.

    Raises:
        BadInput: if no file holds events, two files may each be the same table, or a file cannot be
            read.
    """
    files, joined, of_files, acts, refusals, legends, further, keys = _files(folder, reading)
    events, sides = files.pop("interactions"), _side_tables(files, reading)
    name, raw = folder.resolve().name, joined.raw if joined else _raw_of(events, reading)
    raw = with_legend((raw[0].rename(keys), *raw[1:]), legends)
    first = _with_kind_by_name(reading, events, sides["items"] is not None) if acts else reading
    tables = tables_of(raw, sides.pop("items"), sides.pop("users"), first, name, **sides)
    further_tables = [
        tables_of(
            _raw_of(p, reading),
            None,
            None,
            _with_kind_by_name(reading, p, not first.is_whole),
            name,
        )
        for p in acts[1:]
    ]
    if further is not None:
        called = (p for p in (further.many, further.one) if kind_of_name(name_of(p), reading.kinds))
        beside = _with_kind_by_name(reading, next(called, further.many), True)
        further_tables.append(tables_of(further.raw, None, None, beside, name))
    refused, left = _refused(refusals, raw, reading)
    further_tables += [
        tables_of(rows, None, None, _with_kind_by_name(reading, p, True), name)
        for p, rows in refused
    ]
    tables = merge([tables, *further_tables], name)
    rows, notes = signed_in_elsewhere(tables.interactions) if acts else (tables.interactions, [])
    notes = [*of_files, *left, *tables.findings, *notes]
    return replace(tables, interactions=rows, findings=notes)


def _files(folder: Path, reading: Reading) -> Files:
    """Return which file of a folder holds which table."""
    calls = partial(kind_of_name, kinds=reading.kinds)
    refuse = partial(refusing, kinds=reading.kinds)
    return files_of(folder, reading.synonyms, reading.encoding, calls, refuse)


def _refused(
    files: Sequence[Path], events: RawTable, reading: Reading
) -> tuple[list[tuple[Path, RawTable]], list[Finding]]:
    """Return events from files of refusals, such as `refunds.csv`, and a finding on the files whose
    rows cannot be joined to the events.
    """
    joined = {
        path: refused_events(_raw_of(path, reading), path, events, reading.synonyms)
        for path in files
    }
    listed = ", ".join(path.name for path, rows in joined.items() if rows is None)
    why = (
        f"not read, since no key of theirs names events: {listed}; put the users into them, or say "
        "of each event in a column of its own what became of it"
    )
    left = [Finding(rule="columns", rows=0, action="noted", why=why)]
    return [(p, rows) for p, rows in joined.items() if rows is not None], left if listed else []


def _raw_of(path: Path, reading: Reading) -> RawTable:
    return read_table(path, reading.encoding, reading.names)


def _with_kind_by_name(reading: Reading, path: Path, has_items: bool) -> Reading:
    """Return the reading for one of several files, whose name states the kind of its events."""
    return replace(reading, kind_by_name=name_of(path), is_whole=not has_items)


def read_sides(folder: Path, reading: Reading) -> Tables:
    """Read the items, users, friends and searches of a data folder, without its events."""
    files = _files(folder, reading).tables
    sides = _side_tables(files, reading)
    return tables_of(None, sides.pop("items"), sides.pop("users"), reading, folder.name, **sides)


def _side_tables(files: Mapping[str, Path], reading: Reading) -> dict[str, RawTable | None]:
    """Return table -> raw table, None where the folder has none, for all tables but the events."""
    names = {"items": reading.item_names, "users": reading.user_names}
    return {
        name: read_table(files[name], reading.encoding, names.get(name)) if name in files else None
        for name in TABLES[1:]
    }


def read_event_file(path: Path, reading: Reading) -> Tables:
    """Read one file of events. Its name states their kind if it is a negative kind."""
    name = reading.kind_by_name or refusing(name_of(path), reading.kinds)
    reading = replace(reading, kind_by_name=name)
    return tables_of(_raw_of(path, reading), None, None, reading, name_of(path))
