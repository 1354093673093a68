"""The product's own form: a folder with `interactions.*` and perhaps `items.*`, `users.*`,
`friends.*` and `searches.*`; or one file of events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from metarec.data.cleaning_config import CleaningConfig
from metarec.data.columns import rename
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.places import checked_degrees
from metarec.data.relations import Relations
from metarec.data.schema import BadInput
from metarec.data.sources.files import SUFFIXES, read_table, with_numbers
from metarec.data.tables import Tables, side_findings
from metarec.data.validity import Place, id_text, valid_events


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the columns of a source are to be understood; everything may be left out."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Canonical name -> column of the events."""
    item_columns: Mapping[str, str] = field(default_factory=dict)
    """Canonical name -> column of the items."""
    user_columns: Mapping[str, str] = field(default_factory=dict)
    """Canonical name -> column of the users."""
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Further names by canonical name, from a domain pack."""
    kinds: Kinds = field(default_factory=Kinds.default)
    """What each kind of event says."""
    kind: str | None = None
    """The kind of every event, for a source of one kind without such a column."""
    context: Sequence[str] | None = None
    """Columns of the events to keep as context; None keeps all."""
    rules: CleaningConfig = field(default_factory=CleaningConfig)
    """How strictly rows are read."""


def read_folder(folder: Path, reading: Reading) -> Tables:
    """Read a data folder.

    Raises:
        BadInput: if there is no file of events, there are two, or one cannot be read.
    """
    events = table_file(folder, "interactions")
    if events is None:
        raise BadInput(
            f"{folder} holds no interactions.parquet, .csv or .jsonl (it holds {_listing(folder)})"
        )
    sides = _side_tables(folder)
    return tables_of(
        read_table(events),
        sides.pop("items"),
        sides.pop("users"),
        reading,
        folder.resolve().name,
        **sides,
    )


def read_sides(folder: Path, reading: Reading) -> Tables:
    """Items, users, friends and searches of a data folder, without its events."""
    sides = _side_tables(folder)
    return tables_of(None, sides.pop("items"), sides.pop("users"), reading, folder.name, **sides)


def _side_tables(folder: Path) -> dict[str, RawTable | None]:
    files = {name: table_file(folder, name) for name in SIDES}
    return {name: None if file is None else read_table(file) for name, file in files.items()}


def read_event_file(path: Path, reading: Reading) -> Tables:
    """Read one file of events."""
    return tables_of(read_table(path), None, None, reading, path.name.split(".")[0])


def table_file(folder: Path, stem: str) -> Path | None:
    """The file of a folder that holds a table, None if there is none.

    Raises:
        BadInput: if two files claim to.
    """
    found = sorted(p for s in SUFFIXES if (p := folder / f"{stem}{s}").is_file())
    if len(found) > 1:
        raise BadInput(f"{folder} holds {' and '.join(p.name for p in found)}; keep one of them")
    return found[0] if found else None


SIDES = ("items", "users", "friends", "searches")
RawTable = tuple[pl.DataFrame, Place, list[Finding]]


def tables_of(
    events: RawTable | None,
    items: RawTable | None,
    users: RawTable | None,
    reading: Reading,
    name: str,
    *,
    friends: RawTable | None = None,
    searches: RawTable | None = None,
) -> Tables:
    """Raw tables with names of their own -> checked tables with canonical names and types."""
    if events is not None and searches is None and _are_searches(events, reading):
        events, searches = None, events
    frame, findings = _events(events, reading)
    item_frame, item_findings = _side(items, "items", reading)
    user_frame, user_findings = _side(users, "users", reading)
    return Tables(
        interactions=frame,
        items=item_frame,
        users=user_frame,
        name=name,
        findings=[*findings, *item_findings, *user_findings],
        relations=Relations.of(
            *(
                _relation(raw, table, reading)
                for raw, table in ((friends, "friends"), (searches, "searches"))
            )
        ),
        kinds=reading.kinds,
    )


def _are_searches(raw: RawTable, reading: Reading) -> bool:
    """Whether a table of events has queries in place of items."""
    columns = raw[0].columns
    try:
        rename(columns, "interactions", "", reading.columns, reading.synonyms)
    except BadInput:
        try:
            rename(columns, "searches", "", reading.columns, reading.synonyms)
        except BadInput:
            return False
        return True
    return False


def _relation(raw: RawTable | None, table: str, reading: Reading) -> pl.DataFrame | None:
    if raw is None:
        return None
    frame, place, _ = raw
    mapping = {c: n for c, n in reading.columns.items() if n in frame.columns}
    frame = frame.rename(rename(frame.columns, table, place.name, mapping, reading.synonyms))
    ids = [c for c in ("user_id", "friend_id") if c in frame.columns]
    return frame.with_columns(id_text(pl.col(c), frame.schema[c]).alias(c) for c in ids)


def _events(raw: RawTable | None, reading: Reading) -> tuple[pl.DataFrame, list[Finding]]:
    if raw is None:  # one of several sources may bring items or users only
        return pl.DataFrame(schema={"user_id": pl.Utf8, "item_id": pl.Utf8}), []
    frame, place, findings = raw
    frame = frame.rename(
        rename(frame.columns, "interactions", place.name, reading.columns, reading.synonyms)
    )
    if reading.kind is not None:
        frame = frame.with_columns(pl.lit(reading.kind).alias("kind"))
    if reading.context is not None:
        frame = frame.select(*_canonical(frame, place, reading.context))
    frame, invalid = valid_events(frame, place, reading.rules)
    return with_numbers(frame, keep_text=("kind",)), [*findings, *invalid]


def _canonical(frame: pl.DataFrame, place: Place, context: Sequence[str]) -> list[str]:
    missing = [c for c in context if c not in frame.columns]
    if missing:
        raise BadInput(
            f"{place.name}: no context column {missing[0]!r} among {', '.join(frame.columns)}"
        )
    own = [
        c
        for c in ("user_id", "item_id", "timestamp", "seq_pos", "value", "kind")
        if c in frame.columns
    ]
    return [*own, *(c for c in context if c not in own)]


def _side(
    raw: RawTable | None, table: str, reading: Reading
) -> tuple[pl.DataFrame | None, list[Finding]]:
    if raw is None:
        return None, []
    frame, place, findings = raw
    key = "item_id" if table == "items" else "user_id"
    mapping = reading.item_columns if table == "items" else reading.user_columns
    frame = frame.rename(rename(frame.columns, table, place.name, mapping, reading.synonyms))
    frame = with_numbers(frame.with_columns(id_text(pl.col(key), frame.schema[key]).alias(key)))
    frame, more = side_findings(frame, key, place.name)
    frame, odd = checked_degrees(frame, table, place.name)
    return frame, [*findings, *more, *odd]


def _listing(folder: Path, most: int = 8) -> str:
    names = sorted(p.name for p in folder.iterdir())
    return (
        "nothing"
        if not names
        else ", ".join(names[:most])
        + (f" and {len(names) - most} more" if len(names) > most else "")
    )
