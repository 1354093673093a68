"""Decide which file of a folder holds which table, by the names of the files or their columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.names.column_matching import key_of, rename
from metarec.data.names.column_names import (
    CHINESE_ITEM_NOUNS,
    CHINESE_USER_NOUNS,
    ITEM_NOUNS,
    STAND_IN_COLUMNS,
    STAND_INS,
    SYNONYMS,
    USER_NOUNS,
    plain,
)
from metarec.data.names.languages import names_in_languages
from metarec.data.sources.files.folder_files import advice_on_folder, columns_of, listing, tables_in
from metarec.data.sources.files.joined_files import Joined, joined_events, refuse_torn
from metarec.data.sources.files.keys_by_cells import keys_by_cells
from metarec.data.sources.files.kind_by_file_name import name_of
from metarec.data.sources.files.legends import legend_of
from metarec.data.sources.files.partitions import pieces_of, put_together, values_of
from metarec.data.sources.files.suffixes import SUFFIXES, WORKBOOK_SUFFIXES

TABLES = ("interactions", "items", "users", "friends", "searches")
"""Tables of a data folder, and names of their files."""
MAX_FILES = 20
"""Maximum number of files whose columns are read; larger folders are not folders of tables."""
_LAYER = re.compile(r"^(app|tbl|dim|fact|raw|stg|dbo|public|db|export)[_\W]+", re.IGNORECASE)
"""Pattern of prefixes of tables of one program or layer."""


@cache
def _nouns(table: str) -> frozenset[str]:
    """Return the names of files of users or items, as `plain` returns them."""
    names = {
        "items": (
            *(*ITEM_NOUNS, *CHINESE_ITEM_NOUNS, *SYNONYMS["item_id"]),
            *("bookmark", "catalog", "catalogue", "目录"),
        ),
        "users": (*USER_NOUNS, *STAND_INS, *CHINESE_USER_NOUNS, *SYNONYMS["user_id"]),
    }
    return names_in_languages(table) | {plain(n) for n in names[table]}


def table_file(folder: Path, stem: str) -> Path | None:
    """Return the file of a folder that is named like a table; None without one.

    Raises:
        BadInput: if there are two.
    """
    files = sorted(
        p for s in (*SUFFIXES, *WORKBOOK_SUFFIXES) if (p := folder / f"{stem}{s}").is_file()
    )
    if len(files) > 1:
        raise BadInput(f"{folder} holds {' and '.join(p.name for p in files)}; keep one of them")
    return files[0] if files else None


class Files(NamedTuple):
    """Which file of a folder holds which table."""

    tables: dict[str, Path]
    """Table -> file. Where two files hold the events together, the file of which each row is an
    event.
    """
    joined: Joined | None
    """The events, where several files hold them together."""
    findings: list[Finding]
    """Findings on the choice of files."""
    acts: Sequence[Path] = ()
    """All files of events, where there are several, each named like a kind."""
    refusals: Sequence[Path] = ()
    """Files named like negative kinds that have items but no users: `refunds.csv`."""
    legends: Mapping[Path, Mapping[str, str]] = MappingProxyType({})
    """File of codes of kinds -> code -> kind."""
    further: Joined | None = None
    """Events that two further files hold together: orders and their lines beside reviews."""
    keys: Mapping[str, str] = MappingProxyType({})
    """Column of the events -> `user_id` or `item_id`, where the cells and not the name tell."""


def files_of(
    folder: Path,
    synonyms: Mapping[str, Sequence[str]] | None = None,
    encoding: str | None = None,
    are_acts: Callable[[str], object] = lambda _name: False,
    refuse: Callable[[str], object] = lambda _name: False,
) -> Files:
    """Return the file of each table of a folder. Without a file named `interactions`, the events
    are in the file with ids of both users and items, in two files that share a key, or in all files
    named like kinds; files with ids of either, of friends, or with queries are the other tables.

    Args:
        synonyms: further names of columns, from a domain pack.
        encoding: encoding of text files; None detects it.
        are_acts: whether a name is that of a kind, such as `purchases`.
        refuse: whether a name is that of a negative kind, such as `refunds`.

    Raises:
        BadInput: if no file holds events, or several may be the same table.
    """
    synonyms = synonyms or {}
    named = {table: file for table in TABLES if (file := table_file(folder, table)) is not None}
    others = [p for p in tables_in(folder) if p not in named.values()]
    pieces = [] if "interactions" in named else pieces_of(folder, others)
    if pieces and _are_events(folder, pieces, synonyms):
        beside = [p for p in others if p not in pieces][:MAX_FILES]
        can_be = {p: _can_be(p, synonyms) for p in beside}
        if not any("interactions" in tables for tables in can_be.values()):
            return _with_joined(named, can_be, put_together(folder, pieces, encoding))
    others = others if len(others) <= MAX_FILES else []
    refusals = [p for p in others if refuse(name_of(p)) and _can_be(p, synonyms) == {"items"}]
    legends = {p: codes for p in others if (codes := legend_of(p, are_acts))}
    others = [p for p in others if p not in refusals and p not in legends]
    events = named.get("interactions")
    if events is not None and _holds_events(events, synonyms):
        notes = _note_on_other_events(events, others, synonyms)
        return Files(named, None, notes, (), refusals, legends)
    files = _by_columns(folder, named, others, synonyms, encoding, are_acts)
    return files._replace(refusals=refusals, legends=legends)


def _by_columns(
    folder: Path,
    named: Mapping[str, Path],
    others: Sequence[Path],
    synonyms: Mapping[str, Sequence[str]],
    encoding: str | None,
    are_acts: Callable[[str], object],
) -> Files:
    """Return the files of tables, where some are not named like one, by their columns; the events
    may be in two files together, or in several by kind.
    """
    can_be = {p: _can_be(p, synonyms) for p in others}
    guessed = _guessed({p: tables - set(named) for p, tables in can_be.items()})
    events = named.get("interactions")
    if not _are_known_events(guessed.get("interactions", []), synonyms):
        files = [events, *others] if events is not None else others
        if (joined := joined_events(files, synonyms, encoding)) is not None:
            return _with_joined(named, can_be, joined)
        if (keyed := _by_cells(named, can_be, synonyms, encoding)) is not None:
            return keyed
        refuse_torn(files, synonyms, encoding)
    if events is not None:
        return Files({**named}, None, [])
    if "interactions" not in guessed:
        raise BadInput(
            f"{folder} holds no interactions.parquet, .csv or .jsonl (it holds "
            f"{listing(folder)}); name the file of events so, or give it alone, or say in a TOML "
            f"file which is which{advice_on_folder(folder, others)}"
        )
    return _with_all(folder, named, others, guessed, (synonyms, encoding, are_acts))


def _with_all(
    folder: Path,
    named: Mapping[str, Path],
    others: Sequence[Path],
    guessed: Mapping[str, list[Path]],
    reading_options: tuple[Mapping[str, Sequence[str]], str | None, Callable[[str], object]],
) -> Files:
    """Return the files of tables where some file has both users and items, and further events."""
    synonyms, encoding, are_acts = reading_options
    acts = guessed["interactions"]
    files_by_table, further = _beside(
        guessed, [p for p in others if p not in acts], synonyms, encoding
    )
    acts = acts if len(acts) > 1 and all(are_acts(name_of(p)) for p in acts) else []
    several = next((fs for t, fs in files_by_table.items() if len(fs) > 1 and fs is not acts), None)
    if several is not None:
        raise BadInput(
            f"{folder}: {' and '.join(p.name for p in several)} may each be the table; name one "
            f"of them interactions, items or users, or say in a TOML file which is which"
        )
    tables = {table: files[0] for table, files in files_by_table.items()}
    parts = [] if further is None else [further.many, further.one, further.between]
    left = [p for p in others if p not in (*tables.values(), *acts, *parts)]
    beside = {t: path for t, path in tables.items() if path not in acts}
    notes = [*_note_on_kinds(acts), *_notes_on(beside, left)]
    return Files({**named, **tables}, None, notes, acts, further=further)


def _beside(
    guessed: Mapping[str, list[Path]],
    others: Sequence[Path],
    synonyms: Mapping[str, Sequence[str]],
    encoding: str | None,
) -> tuple[dict[str, list[Path]], Joined | None]:
    """Return table -> files, and the events that two remaining files hold together: orders and
    their lines beside reviews.
    """
    sides = {t: files for t, files in guessed.items() if t != "interactions"}
    left = [p for p in others if [p] not in sides.values()]
    further = _further(others, synonyms, encoding) if len(left) > 1 else None
    if further is None:
        return {**guessed}, None
    parts = (further.many, further.one, further.between)
    remaining = {t: [p for p in files if p not in parts] for t, files in guessed.items()}
    return {t: files for t, files in remaining.items() if files}, further


def _further(
    left: Sequence[Path], synonyms: Mapping[str, Sequence[str]], encoding: str | None
) -> Joined | None:
    """Return the events that two further files hold together; None where the join is ambiguous, and
    a finding names them as not read.
    """
    try:
        return joined_events(left, synonyms, encoding) if len(left) > 1 else None
    except BadInput:  # a finding names the files as not read
        return None


def _are_events(
    folder: Path, pieces: Sequence[Path], synonyms: Mapping[str, Sequence[str]]
) -> bool:
    """Whether the columns common to all files include users and items."""
    try:
        columns = [{*columns_of(path), *values_of(folder, path)} for path in pieces]
    except BadInput:
        return False
    return _has_keys(sorted(set.intersection(*columns)), "interactions", synonyms)


def _by_cells(
    named: Mapping[str, Path],
    can_be: Mapping[Path, set[str]],
    synonyms: Mapping[str, Sequence[str]],
    encoding: str | None,
) -> Files | None:
    """Return the files of tables where one file holds events whose ids of users or items are known
    by their cells; None where none does, or several.
    """
    candidates = list[Files]()
    for path in can_be if "interactions" not in named else [named["interactions"]]:
        others = {p: tables - set(named) for p, tables in can_be.items() if p != path}
        of_sides = {t: ps[0] for t, ps in _guessed(others).items() if len(ps) == 1}
        tables = {**named, **of_sides, "interactions": path}
        sides = {t: p for t, p in tables.items() if t in ("items", "users")}
        keys, notes = keys_by_cells(path, sides, synonyms, encoding)
        if keys:
            left = [p for p in others if p not in tables.values()]
            candidates.append(Files(tables, None, [*notes, *_notes_on(of_sides, left)], keys=keys))
    return candidates[0] if len(candidates) == 1 else None


def _with_joined(
    named: Mapping[str, Path], can_be: Mapping[Path, set[str]], joined: Joined
) -> Files:
    """Return the files of tables where several files hold the events together."""
    parts = (joined.many, joined.one, joined.between)
    remaining = {p: t - set(named) for p, t in can_be.items() if p not in parts}
    tables = {t: ps[0] for t, ps in _guessed(remaining).items() if len(ps) == 1}
    tables.pop("interactions", None)
    file_by_table = {**named, **tables, "interactions": joined.many}
    left = [p for p in remaining if p not in tables.values()]
    return Files(file_by_table, joined, _notes_on(tables, left))


def _note_on_kinds(acts: Sequence[Path]) -> list[Finding]:
    """Return a finding on files named like kinds."""
    names = ", ".join(path.name for path in acts)
    why = f"each of {names} was read as events of the kind that it is called like"
    return [Finding(rule="kinds", rows=0, action="noted", why=why)] if acts else []


def _note_on_other_events(
    events: Path, others: Sequence[Path], synonyms: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """Return a finding on files that have users and items too, beside the one named
    `interactions`.
    """
    left = [p.name for p in others if "interactions" in _can_be(p, synonyms)]
    why = (
        f"not read, since {events.name} holds the events: {', '.join(left)}; if they hold others, "
        "name each under [[sources]] in a TOML file"
    )
    return [Finding(rule="columns", rows=0, action="noted", why=why)] if left else []


def _notes_on(file_by_table: Mapping[str, Path], left: Sequence[Path]) -> list[Finding]:
    """Return findings on files chosen by their columns, and on files that were not read."""
    whys = []
    if file_by_table:
        listed_tables = ", ".join(
            f"{path.name} as {table}" for table, path in file_by_table.items()
        )
        whys.append(f"read by their columns, since no file is called interactions: {listed_tables}")
    if left:
        listed = ", ".join(path.name for path in left)
        whys.append(f"not read, since their columns do not say which table they are: {listed}")
    return [Finding(rule="columns", rows=0, action="noted", why=why) for why in whys]


def _holds_events(path: Path, synonyms: Mapping[str, Sequence[str]]) -> bool:
    """Whether a file has users and items, or cannot be read, which reading it reports."""
    try:
        columns = columns_of(path)
    except BadInput:
        return True  # reading it reports the error better
    return _has_keys(columns, "interactions", synonyms) and not _has_stand_in(columns, synonyms)


def _are_known_events(events: Sequence[Path], synonyms: Mapping[str, Sequence[str]]) -> bool:
    """Whether there are files of events, and their users are neither sessions nor devices."""
    return bool(events) and not any(_has_stand_in(columns_of(path), synonyms) for path in events)


def _has_stand_in(columns: Sequence[str], synonyms: Mapping[str, Sequence[str]]) -> bool:
    """Whether the only users of a table are sessions or devices."""
    user = key_of(columns, "user_id", synonyms)
    return user is not None and plain(user) in STAND_IN_COLUMNS


def _guessed(can_be: Mapping[Path, set[str]]) -> dict[str, list[Path]]:
    """Return table -> files. A file with ids of both users and items holds events; where several
    do, those named like users or items hold these.
    """
    both = [path for path, tables in can_be.items() if "interactions" in tables]
    files_by_table: dict[str, list[Path]] = {}
    for path, tables in can_be.items():
        sides = tables - {"interactions"}
        table = "interactions" if path in both else next(iter(sides)) if len(sides) == 1 else None
        called = _called(path)
        if (len(sides) == 2 and path not in both) or (len(both) > 1 and called in sides):
            table = called
        if table is not None:
            files_by_table.setdefault(table, []).append(path)
    return files_by_table


def _called(path: Path) -> str | None:
    """Return `items` or `users` if a file is named like one of them; else None."""
    name = plain(_LAYER.sub("", path.name.split(".")[0]))
    tables = [t for t in ("items", "users") if {name, name.removesuffix("s")} & _nouns(t)]
    return tables[0] if len(tables) == 1 else None


def _can_be(path: Path, synonyms: Mapping[str, Sequence[str]]) -> set[str]:
    """Return the tables that a file may be, by its columns. A file without items but with friends
    or queries holds friends or searches, unless it is named like users.
    """
    try:
        columns = columns_of(path)
    except BadInput:
        return set()
    has = {table for table in TABLES if _has_keys(columns, table, synonyms)}
    relations = has & {"friends", "searches"}
    if relations and "interactions" not in has and _called(path) != "users":
        return relations if len(relations) == 1 else set()
    return has - relations


def _has_keys(columns: Sequence[str], table: str, synonyms: Mapping[str, Sequence[str]]) -> bool:
    """Whether columns include those that a table needs."""
    try:
        rename(columns, table, "", None, synonyms)
    except BadInput:
        return False
    return True
