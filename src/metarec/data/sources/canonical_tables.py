"""A source's tables as they are read -> events, items, users, friends and searches with canonical
names, types, kinds and times: the way through all rooms, in the order in which they are asked.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from metarec.data.cells.entities import without_entities
from metarec.data.cells.parsing import id_text
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.errors import BadInput
from metarec.data.events.rows import Place
from metarec.data.events.validity import refuse_if_unreadable, valid_events
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.names.column_matching import rename, renamed, spoken
from metarec.data.names.languages import names_in
from metarec.data.places import checked_degrees, with_points
from metarec.data.relations import Relations
from metarec.data.sources.acts.kind_columns import likely_kind, with_kind
from metarec.data.sources.acts.order_states import one_an_order
from metarec.data.sources.acts.step_times import by_steps
from metarec.data.sources.columns.friend_lists import friends_within, without_no_ties
from metarec.data.sources.columns.id_columns import (
    likely_ids,
    without_empty_ids,
    without_row_ids,
)
from metarec.data.sources.columns.id_joins import better_key
from metarec.data.sources.columns.inconsistent_item_columns import nearly_of_items
from metarec.data.sources.columns.item_and_user_columns import belonging_to, taken_out
from metarec.data.sources.columns.signed_out_users import with_signed_out
from metarec.data.sources.columns.titles import with_short_titles, with_titles
from metarec.data.sources.files.kind_by_file_name import kind_called
from metarec.data.sources.rows.event_shapes import one_row_an_event
from metarec.data.sources.rows.id_lists import look_alikes, one_row_each
from metarec.data.sources.rows.log_envelopes import only_events, opened, without_itemless
from metarec.data.sources.rows.queries import queries_apart
from metarec.data.sources.values.cell_types import flat, with_types
from metarec.data.sources.values.missing_codes import without_codes
from metarec.data.sources.values.quantities import (
    with_amounts,
    with_returns,
    without_emptied,
)
from metarec.data.sources.values.rating_aspects import with_aspects
from metarec.data.sources.values.rating_columns import with_grades
from metarec.data.sources.values.tags import with_tags
from metarec.data.sources.values.time_columns import with_moment
from metarec.data.sources.values.time_zones import zones_told
from metarec.data.sources.values.unrated_zeros import without_zeros
from metarec.data.tables import Tables, side_findings


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
    kind_by_name: str | None = None
    """What a source is called, such as `clicks`: the kind of its events where nothing else says
    one.
    """
    context: Sequence[str] | None = None
    """Columns of the events to keep as context; None keeps all."""
    time_format: str | None = None
    """How dates are written, as `strftime` has it; None understands what can be read in one way."""
    encoding: str | None = None
    """What text files are written in; None finds it out and says so."""
    names: Sequence[str] | None = None
    """Names of the events' columns, for a file without a line of names."""
    item_names: Sequence[str] | None = None
    """The same for items."""
    user_names: Sequence[str] | None = None
    """The same for users."""
    rules: CleaningConfig = field(default_factory=CleaningConfig)
    """How strictly rows are read."""
    is_whole: bool = True
    """Whether no other source brings items or users: columns of events may then be theirs."""


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
    events, searches = _with_queries(events, searches, reading)
    frame, findings, named = _events(events, reading, items is not None or not reading.is_whole)
    if events is not None and reading.is_whole and reading.context is None:
        frame, items, users, nearly = _unflattened(frame, items, users, events[1])
        findings += nearly
        reading = replace(reading, synonyms=_in_their_language(events[0], reading))
    item_frame, item_findings = _side(items, "items", reading)
    user_frame, user_findings = _side(users, "users", reading)
    user_frame, circle, more = friends_within(user_frame, frame, reading.user_columns)
    ties, gone = _relation(friends, "friends", reading)
    findings += [*more, *gone]
    findings += [*item_findings, *user_findings]
    for table, given in (("interactions", events), ("items", items), ("users", users)):
        findings += [] if given is None else _doubled(given, table)
    for key, side in (("item_id", item_frame), ("user_id", user_frame)):
        frame, more = better_key(frame, side, key, reading.columns, named)
        findings += more
    return Tables(
        interactions=frame,
        items=item_frame,
        users=user_frame,
        name=name,
        findings=findings,
        relations=Relations.of(ties, _relation(searches, "searches", reading)[0]).then(
            Relations.of(circle)
        ),
        kinds=reading.kinds,
    )


def _with_queries(
    events: RawTable | None, searches: RawTable | None, reading: Reading
) -> tuple[RawTable | None, RawTable | None]:
    """Events and searches, where a table holds the latter alone or beside the former."""
    if events is None:
        return events, searches
    events = only_events(events)
    if searches is not None:
        return events, searches
    if _are_searches(events, reading):
        return None, events
    return queries_apart(events, reading.columns, reading.synonyms)


def _in_their_language(events: pl.DataFrame, reading: Reading) -> dict[str, Sequence[str]]:
    """Further names of columns, also those of the language that the events' are in: columns that
    were taken out of them may not tell it alone.
    """
    further, given = names_in(spoken(events.columns)), reading.synonyms
    return {n: (*given.get(n, ()), *further.get(n, ())) for n in {**given, **further}}


def _unflattened(
    frame: pl.DataFrame, items: RawTable | None, users: RawTable | None, place: Place
) -> tuple[pl.DataFrame, RawTable | None, RawTable | None, list[Finding]]:
    """Events without columns that belong to items or users of which there is no table, these as
    tables, and what to say of columns that nearly do.
    """
    sides = {"item_id": items, "user_id": users}
    found = {
        key: belonging_to(frame, key, other)
        for key, other in (("item_id", "user_id"), ("user_id", "item_id"))
        if sides[key] is None
    }
    nearly, more = list[str](), list[Finding]()
    if "item_id" in found:
        rest = frame.drop(itertools.chain(*found.values()))
        rest, nearly, more = nearly_of_items(rest, place.name)
        frame = frame.with_columns(rest.select(nearly))
        found["item_id"] += nearly
    for key, columns in found.items():
        if columns:
            frame, side, said = taken_out(frame, key, columns, place.name, told=nearly)
            sides[key] = (side, place, said)
    return frame, sides["item_id"], sides["user_id"], more


def _doubled(raw: RawTable, table: str) -> list[Finding]:
    """Columns of one name, of which only the first keeps it."""
    frame, place, _ = raw
    again = [c for c in frame.columns if (first := _first_of(c)) != c and first in frame.columns]
    return [
        Finding(
            rule="columns",
            rows=0,
            action="noted",
            why=f"{place.name} has two columns {_first_of(c)!r}: the first is read as that, the "
            f"other is called {c!r}",
            table=table,
        )
        for c in again
    ]


def _first_of(column: str) -> str:
    """The name that a column would have, were it not there already."""
    return re.sub(r"_duplicated_\d+$", "", column)


def _are_searches(raw: RawTable, reading: Reading) -> bool:
    """Whether a table of events has queries in place of items."""
    columns = raw[0].columns
    try:
        renamed(columns, "interactions", "", reading.columns, reading.synonyms)
    except BadInput:
        try:
            rename(columns, "searches", "", reading.columns, reading.synonyms)
        except BadInput:
            return False
        return True
    return False


def _relation(
    raw: RawTable | None, table: str, reading: Reading
) -> tuple[pl.DataFrame | None, list[Finding]]:
    if raw is None:
        return None, []
    frame, place, _ = raw
    mapping = {c: n for c, n in reading.columns.items() if n in frame.columns}
    frame = frame.rename(rename(frame.columns, table, place.name, mapping, reading.synonyms))
    ids = [c for c in ("user_id", "friend_id") if c in frame.columns]
    frame = frame.with_columns(id_text(frame[c]) for c in ids)
    return without_no_ties(frame, place.name) if table == "friends" else (frame, [])


def _events(
    raw: RawTable | None, reading: Reading, has_items: bool
) -> tuple[pl.DataFrame, list[Finding], dict[str, str]]:
    """Events, what was found, and what their columns are called in the file."""
    if raw is None:  # one of several sources may bring items or users only
        return pl.DataFrame(schema={"user_id": pl.Utf8, "item_id": pl.Utf8}), [], {}
    frame, place, findings = flat(opened(raw[0])), raw[1], raw[2]
    left_out = sum(f.rows for f in findings if f.action == "removed")
    refuse_if_unreadable(findings, frame.height + left_out, place, reading.rules)
    frame, empty = without_empty_ids(frame, place.name, reading.columns, reading.synonyms)
    known = reading.synonyms, reading.columns, reading.kinds
    frame, place, shaped = one_row_an_event(frame, place, *known)
    frame, likely, told = _with_ids(frame, place.name, reading)
    reading, findings = (
        replace(reading, synonyms=likely),
        [*findings, *empty, *shaped, *told],
    )
    names, guessed = _renamed(frame, "interactions", place, reading, reading.columns, findings)
    frame, place, lists = one_row_each(
        frame.rename(names), place, ("item_id", "user_id"), "interactions"
    )
    findings = [*findings, *lists, *look_alikes(frame, names, reading.columns, place.name)]
    frame, rated = _rated(frame, raw[0].columns, place.name, reading)
    findings = [*findings, *rated]
    given = {canonical: column for column, canonical in names.items()}
    if reading.kind is None and reading.context is None:
        frame, steps = by_steps(frame, [*names, *frame.columns], reading.kinds, place.name)
        findings = [*findings, *steps]
    if "timestamp" not in reading.columns:
        frame, moments = with_moment(frame, place.name, reading.context or (), given)
        findings = [*findings, *moments]
    findings = [*findings, *zones_told(frame, given, place.name)]
    frame, place, said = _with_acts(frame, place, reading, given)
    frame = with_titles(frame, given.get("item_id", ""), has_items, likely.get("title", ()))
    frame, points = with_points(frame, "interactions", place.name)
    findings = [*findings, *said, *points]
    if reading.context is not None:
        frame = frame.select(*_canonical(frame, place, reading.context))
    frame, invalid = valid_events(frame, place, reading.rules, reading.time_format)
    frame, odd = with_types(frame, keep_text=("kind",), given=raw[0].columns)
    return frame, [*findings, *guessed, *invalid, *odd], given


def _with_ids(
    frame: pl.DataFrame, place: str, reading: Reading
) -> tuple[pl.DataFrame, Mapping[str, Sequence[str]], list[Finding]]:
    """Events, names of columns with those that hold ids by their cells, and what to say."""
    frame, filled = with_signed_out(frame, place, reading.columns, reading.synonyms)
    frame, rows = without_row_ids(frame, place, reading.columns, reading.synonyms)
    likely, told = likely_ids(frame, place, reading.columns, reading.synonyms)
    likely, acts = likely_kind(frame, place, reading.columns, likely, reading.kinds)
    return frame, likely, [*filled, *rows, *told, *acts]


def _rated(
    frame: pl.DataFrame, columns: Sequence[str], place: str, reading: Reading
) -> tuple[pl.DataFrame, list[Finding]]:
    """Events with their ratings, whatever column says them and however."""
    aspects = list[Finding]()
    if "value" not in reading.columns:
        frame, aspects = with_aspects(frame, place, reading.context or ())
    frame, found = with_grades(frame, place, columns, reading.context or (), reading.columns)
    found = [*aspects, *found]
    if reading.rules.value_scale is not None or reading.rules.implicit_values:
        return frame, found
    frame, unrated = without_zeros(frame, place)
    return frame, [*found, *unrated]


def _with_acts(
    frame: pl.DataFrame, place: Place, reading: Reading, given: Mapping[str, str]
) -> tuple[pl.DataFrame, Place, list[Finding]]:
    """Events with their kinds, a row for each act, and what to say of them."""
    frame, place, states = one_an_order(frame, place, reading.kinds, reading.context or ())
    frame, said = _with_kinds(frame, reading, place.name, given)
    frame, place, itemless = without_itemless(frame, place)
    return frame, place, [*states, *said, *itemless]


def _with_kinds(
    frame: pl.DataFrame, reading: Reading, place: str, given: Mapping[str, str]
) -> tuple[pl.DataFrame, list[Finding]]:
    """Events with their kinds, and what to say of them: as the source says, as it is called, or as
    its columns say, quantities among them.

    Args:
        given: column in the file by its canonical name.
    """
    findings = list[Finding]()
    if reading.kind is not None:
        frame = frame.with_columns(pl.lit(reading.kind).alias("kind"))
    elif (
        "kind" not in frame.columns
        and (kind := kind_called(reading.kind_by_name, reading.kinds)) is not None
    ):
        frame = frame.with_columns(pl.lit(kind).alias("kind"))
        why = f"events of {place} are taken as of kind {kind!r}, by its name"
        findings = [Finding(rule="kinds", rows=0, action="noted", why=why)]
    frame, said = with_kind(frame, reading.kinds, place, reading.context or ())
    frame, back = with_returns(frame, place)
    frame, emptied = without_emptied(frame, reading.kinds, place)
    frame, amounts = with_amounts(frame, given, place)
    return frame, [*findings, *said, *back, *emptied, *amounts]


def _renamed(
    frame: pl.DataFrame,
    table: str,
    place: Place,
    reading: Reading,
    mapping: Mapping[str, str],
    findings: Sequence[Finding],
) -> tuple[dict[str, str], list[Finding]]:
    """As `renamed`; where names are not found, what was assumed of the file's letters is said."""
    try:
        return renamed(frame.columns, table, place.name, mapping, reading.synonyms)
    except BadInput as error:
        assumed = [f.why for f in findings if f.rule == "encoding"]
        raise BadInput("; ".join([str(error), *assumed])) from error


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
    frame, place, findings = flat(raw[0]), raw[1], raw[2]
    key = "item_id" if table == "items" else "user_id"
    mapping = reading.item_columns if table == "items" else reading.user_columns
    names, guessed = _renamed(frame, table, place, reading, mapping, findings)
    frame, place, lists = one_row_each(frame.rename(names), place, (key,), table)
    frame, coded = without_entities(frame, table)
    frame, odd = with_types(frame.with_columns(id_text(frame[key])), table)
    odd = [*coded, *odd]
    if table == "items":
        given = {**{c: c for c in frame.columns}, **{n: c for c, n in names.items()}}
        frame, tags = with_tags(frame, given)
        odd = [*odd, *tags]
        frame, said = with_short_titles(frame, names, mapping, place)
        odd = [*odd, *said]
    frame, codes = without_codes(frame, table, (key, "latitude", "longitude"))
    odd = [*odd, *codes]
    frame, more = side_findings(frame, key, place.name)
    frame, points = with_points(frame, table, place.name)
    frame, outside = checked_degrees(frame, table, place.name)
    found = [replace(f, table=table) for f in [*findings, *guessed, *lists]]
    return frame, [*found, *odd, *more, *points, *outside]
