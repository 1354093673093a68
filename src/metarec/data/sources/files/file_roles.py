"""Which file of a folder holds which table: by its name, else by what its columns are."""

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
from metarec.data.names.languages import all_called
from metarec.data.sources.files.folder_files import columns_of, listing, tables_in, ways_out
from metarec.data.sources.files.joined_files import Joined, joined_events
from metarec.data.sources.files.kind_by_file_name import name_of
from metarec.data.sources.files.legends import legend_of
from metarec.data.sources.files.partitions import pieces_of, put_together, values_of
from metarec.data.sources.files.suffixes import SUFFIXES, WORKBOOK_SUFFIXES

TABLES = ("interactions", "items", "users", "friends", "searches")
"""Tables of a data folder, by the names of their files."""
MAX_FILES = 20
"""Files whose columns are looked at, at most: a folder of more is no folder of tables."""
_LAYER = re.compile(r"^(app|tbl|dim|fact|raw|stg|dbo|public|db|export)[_\W]+", re.IGNORECASE)
"""What stands before the nouns of tables of one program or layer."""


@cache
def _nouns(table: str) -> frozenset[str]:
    """What a file of users or items may be called, as `plain` has it."""
    known = {
        "items": (
            *(*ITEM_NOUNS, *CHINESE_ITEM_NOUNS, *SYNONYMS["item_id"]),
            *("bookmark", "catalog", "catalogue", "目录"),
        ),
        "users": (*USER_NOUNS, *STAND_INS, *CHINESE_USER_NOUNS, *SYNONYMS["user_id"]),
    }
    return all_called(table) | {plain(n) for n in known[table]}


def table_file(folder: Path, stem: str) -> Path | None:
    """The file of a folder that is named like a table, None if there is none.

    Raises:
        BadInput: if two files are.
    """
    found = sorted(
        p for s in (*SUFFIXES, *WORKBOOK_SUFFIXES) if (p := folder / f"{stem}{s}").is_file()
    )
    if len(found) > 1:
        raise BadInput(f"{folder} holds {' and '.join(p.name for p in found)}; keep one of them")
    return found[0] if found else None


class Files(NamedTuple):
    """Which file of a folder holds which table."""

    tables: dict[str, Path]
    """By the table's name; of events that two files hold, the one of whose rows each is one."""
    joined: Joined | None
    """The events, where two files hold them."""
    findings: list[Finding]
    """What must be said of it."""
    acts: Sequence[Path] = ()
    """All files of events, where there are several, each called like what was done."""
    refusals: Sequence[Path] = ()
    """Files that are called like acts that say no, and name items but no users: `refunds.csv`."""
    legends: Mapping[Path, Mapping[str, str]] = MappingProxyType({})
    """Files that say what codes of acts stand for, and what."""
    further: Joined | None = None
    """Events that two more files hold: orders and their lines, beside reviews."""


def files_of(
    folder: Path,
    synonyms: Mapping[str, Sequence[str]] | None = None,
    encoding: str | None = None,
    are_acts: Callable[[str], object] = lambda _name: False,
    refuse: Callable[[str], object] = lambda _name: False,
) -> Files:
    """The file of each table of a folder: where no file is named `interactions`, the one with ids
    of both users and items holds the events, or two do that share a key, or all whose names say
    what was done, and those with ids of either, of friends, or with queries are the other tables.

    Args:
        synonyms: further names of columns, from a domain pack.
        encoding: what text files are written in; None finds it out.
        are_acts: whether a name says what was done, such as `purchases`.
        refuse: whether a name says that something was refused, such as `refunds`.

    Raises:
        BadInput: if no file holds events, or several may.
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
    if events is not None and (not others or _holds_events(events, synonyms)):
        told = _said_of_others(events, others, synonyms)
        return Files(named, None, told, (), refusals, legends)
    found = _by_columns(folder, named, others, synonyms, encoding, are_acts)
    return found._replace(refusals=refusals, legends=legends)


def _by_columns(
    folder: Path,
    named: Mapping[str, Path],
    others: Sequence[Path],
    synonyms: Mapping[str, Sequence[str]],
    encoding: str | None,
    are_acts: Callable[[str], object],
) -> Files:
    """The file of each table, those that are not named like one by their columns; or two that hold
    the events together, or several that each hold one kind of them.
    """
    can_be = {p: _can_be(p, synonyms) for p in others}
    guessed = _guessed({p: tables - set(named) for p, tables in can_be.items()})
    events = named.get("interactions")
    if not _are_said(guessed.get("interactions", []), synonyms):
        files = [events, *others] if events is not None else others
        if (joined := joined_events(files, synonyms, encoding)) is not None:
            return _with_joined(named, can_be, joined)
    if events is not None:
        return Files({**named}, None, [])
    if "interactions" not in guessed:
        raise BadInput(
            f"{folder} holds no interactions.parquet, .csv or .jsonl (it holds "
            f"{listing(folder)}); name the file of events so, or give it alone, or say in a TOML "
            f"file which is which{ways_out(folder, others)}"
        )
    return _with_all(folder, named, others, guessed, (synonyms, encoding, are_acts))


def _with_all(
    folder: Path,
    named: Mapping[str, Path],
    others: Sequence[Path],
    guessed: Mapping[str, list[Path]],
    known: tuple[Mapping[str, Sequence[str]], str | None, Callable[[str], object]],
) -> Files:
    """The file of each table where some name both users and items, and what else holds events."""
    synonyms, encoding, are_acts = known
    acts = guessed["interactions"]
    found, further = _beside(guessed, [p for p in others if p not in acts], synonyms, encoding)
    acts = acts if len(acts) > 1 and all(are_acts(name_of(p)) for p in acts) else []
    several = next((fs for t, fs in found.items() if len(fs) > 1 and fs is not acts), None)
    if several is not None:
        raise BadInput(
            f"{folder}: {' and '.join(p.name for p in several)} may each be the table; name one "
            f"of them interactions, items or users, or say in a TOML file which is which"
        )
    tables = {table: files[0] for table, files in found.items()}
    parts = [] if further is None else [further.many, further.one, further.between]
    left = [p for p in others if p not in (*tables.values(), *acts, *parts)]
    beside = {t: path for t, path in tables.items() if path not in acts}
    said = [*_said_of_acts(acts), *_said_of(beside, left)]
    return Files({**named, **tables}, None, said, acts, further=further)


def _beside(
    guessed: Mapping[str, list[Path]],
    others: Sequence[Path],
    synonyms: Mapping[str, Sequence[str]],
    encoding: str | None,
) -> tuple[dict[str, list[Path]], Joined | None]:
    """The files of each table, and the events that two more hold where some are left over: orders
    and their lines beside reviews.
    """
    sides = {t: files for t, files in guessed.items() if t != "interactions"}
    left = [p for p in others if [p] not in sides.values()]
    further = _further(others, synonyms, encoding) if len(left) > 1 else None
    if further is None:
        return {**guessed}, None
    parts = (further.many, further.one, further.between)
    rest = {t: [p for p in files if p not in parts] for t, files in guessed.items()}
    return {t: files for t, files in rest.items() if files}, further


def _further(
    left: Sequence[Path], synonyms: Mapping[str, Sequence[str]], encoding: str | None
) -> Joined | None:
    """The events that two more files hold surely."""
    try:
        return joined_events(left, synonyms, encoding) if len(left) > 1 else None
    except BadInput:  # it is told that they are not read
        return None


def _are_events(
    folder: Path, pieces: Sequence[Path], synonyms: Mapping[str, Sequence[str]]
) -> bool:
    """Whether the columns that all of some files have name users and items."""
    try:
        columns = [{*columns_of(path), *values_of(folder, path)} for path in pieces]
    except BadInput:
        return False
    return _has_keys(sorted(set.intersection(*columns)), "interactions", synonyms)


def _with_joined(
    named: Mapping[str, Path], can_be: Mapping[Path, set[str]], joined: Joined
) -> Files:
    """The events that several files hold together, and the tables beside them."""
    parts = (joined.many, joined.one, joined.between)
    rest = {p: t - set(named) for p, t in can_be.items() if p not in parts}
    tables = {t: ps[0] for t, ps in _guessed(rest).items() if len(ps) == 1}
    tables.pop("interactions", None)
    found = {**named, **tables, "interactions": joined.many}
    left = [p for p in rest if p not in tables.values()]
    return Files(found, joined, _said_of(tables, left))


def _said_of_acts(acts: Sequence[Path]) -> list[Finding]:
    names = ", ".join(path.name for path in acts)
    why = f"each of {names} was read as events of the kind that it is called like"
    return [Finding(rule="kinds", rows=0, action="noted", why=why)] if acts else []


def _said_of_others(
    events: Path, others: Sequence[Path], synonyms: Mapping[str, Sequence[str]]
) -> list[Finding]:
    """What to say of files that hold events too, beside the one that is called so."""
    left = [p.name for p in others if "interactions" in _can_be(p, synonyms)]
    why = (
        f"not read, since {events.name} holds the events: {', '.join(left)}; if they hold others, "
        "name each under [[sources]] in a TOML file"
    )
    return [Finding(rule="columns", rows=0, action="noted", why=why)] if left else []


def _said_of(found: Mapping[str, Path], left: Sequence[Path]) -> list[Finding]:
    """What to say of files that were found by their columns, and of those left over."""
    whys = []
    if found:
        said = ", ".join(f"{path.name} as {table}" for table, path in found.items())
        whys.append(f"read by their columns, since no file is called interactions: {said}")
    if left:
        listed = ", ".join(path.name for path in left)
        whys.append(f"not read, since their columns do not say which table they are: {listed}")
    return [Finding(rule="columns", rows=0, action="noted", why=why) for why in whys]


def _holds_events(path: Path, synonyms: Mapping[str, Sequence[str]]) -> bool:
    """Whether a file names users and items, as far as can be seen."""
    try:
        columns = columns_of(path)
    except BadInput:
        return True  # which reading it says better
    return _has_keys(columns, "interactions", synonyms) and not _has_stand_in(columns, synonyms)


def _are_said(events: Sequence[Path], synonyms: Mapping[str, Sequence[str]]) -> bool:
    """Whether a file of events is known, and names its users."""
    return bool(events) and not any(_has_stand_in(columns_of(path), synonyms) for path in events)


def _has_stand_in(columns: Sequence[str], synonyms: Mapping[str, Sequence[str]]) -> bool:
    user = key_of(columns, "user_id", synonyms)
    return user is not None and plain(user) in STAND_IN_COLUMNS


def _guessed(can_be: Mapping[Path, set[str]]) -> dict[str, list[Path]]:
    """Table -> files. A file with ids of users and items holds the events; where several do, those
    called like users or items are these.
    """
    both = [path for path, tables in can_be.items() if "interactions" in tables]
    found: dict[str, list[Path]] = {}
    for path, tables in can_be.items():
        own = tables - {"interactions"}
        table = "interactions" if path in both else next(iter(own)) if len(own) == 1 else None
        called = _called(path)
        if (len(own) == 2 and path not in both) or (len(both) > 1 and called in own):
            table = called
        if table is not None:
            found.setdefault(table, []).append(path)
    return found


def _called(path: Path) -> str | None:
    """Which of users and items a file is called like."""
    name = plain(_LAYER.sub("", path.name.split(".")[0]))
    told = [t for t in ("items", "users") if {name, name.removesuffix("s")} & _nouns(t)]
    return told[0] if len(told) == 1 else None


def _can_be(path: Path, synonyms: Mapping[str, Sequence[str]]) -> set[str]:
    """Which tables a file may be, by its columns. One without items that also names a friend or
    a query holds friends or searches, unless it is called like users.
    """
    try:
        columns = columns_of(path)
    except BadInput:
        return set()
    has = {table for table in TABLES if _has_keys(columns, table, synonyms)}
    own = has & {"friends", "searches"}
    if own and "interactions" not in has and _called(path) != "users":
        return own if len(own) == 1 else set()
    return has - own


def _has_keys(columns: Sequence[str], table: str, synonyms: Mapping[str, Sequence[str]]) -> bool:
    try:
        rename(columns, table, "", None, synonyms)
    except BadInput:
        return False
    return True
