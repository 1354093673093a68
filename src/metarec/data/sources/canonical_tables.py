"""Turn raw tables into events, items, users, friends and searches with canonical names, types,
kinds and times. The steps of all rooms are called here, in order.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import polars as pl

from metarec.data.cells.entities import without_entities
from metarec.data.cells.parsing import id_text
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.errors import BadInput
from metarec.data.events.rows import Place, RawTable
from metarec.data.events.validity import refuse_if_unreadable, valid_events
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.names.column_matching import renamed, spoken
from metarec.data.names.languages import names_in
from metarec.data.places import checked_degrees, with_points
from metarec.data.relations import Relations
from metarec.data.sources.acts.kind_columns import likely_kind, with_kind
from metarec.data.sources.acts.order_states import one_an_order
from metarec.data.sources.acts.step_times import by_steps
from metarec.data.sources.columns.constant_ids import without_constant_ids
from metarec.data.sources.columns.duplicate_columns import duplicate_columns
from metarec.data.sources.columns.friend_lists import friends_within
from metarec.data.sources.columns.id_columns import (
    likely_ids,
    without_empty_ids,
    without_row_ids,
)
from metarec.data.sources.columns.id_joins import better_key
from metarec.data.sources.columns.inconsistent_item_columns import nearly_of_items
from metarec.data.sources.columns.item_and_user_columns import belonging_to, moved_to_table
from metarec.data.sources.columns.relation_tables import relation_of
from metarec.data.sources.columns.second_items import with_second_items
from metarec.data.sources.columns.signed_out_users import with_signed_out
from metarec.data.sources.columns.titles import with_short_titles, with_titles
from metarec.data.sources.files.kind_by_file_name import kind_of_name
from metarec.data.sources.rows.change_logs import change_findings
from metarec.data.sources.rows.event_shapes import fields_of_lists, one_row_an_event
from metarec.data.sources.rows.id_lists import ambiguous_id_findings, one_row_each
from metarec.data.sources.rows.log_envelopes import opened, without_itemless
from metarec.data.sources.rows.not_acts import without_others
from metarec.data.sources.rows.queries import with_queries
from metarec.data.sources.values.cell_types import flat, with_types
from metarec.data.sources.values.missing_codes import without_codes
from metarec.data.sources.values.mixed_scales import scale_findings
from metarec.data.sources.values.quantities import (
    with_amounts,
    with_returns,
    without_emptied,
)
from metarec.data.sources.values.rating_aspects import with_aspects
from metarec.data.sources.values.rating_columns import with_grades
from metarec.data.sources.values.tags import with_tags
from metarec.data.sources.values.time_columns import with_moment
from metarec.data.sources.values.time_zones import time_zone_findings, with_offsets
from metarec.data.sources.values.unrated_zeros import without_zeros
from metarec.data.tables import Tables, side_findings


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How the columns of a source are read; every field is optional."""

    columns: Mapping[str, str] = field(default_factory=dict)
    """Canonical name -> column, for events, friends and searches."""
    item_columns: Mapping[str, str] = field(default_factory=dict)
    """Canonical name -> column, for items."""
    user_columns: Mapping[str, str] = field(default_factory=dict)
    """Canonical name -> column, for users."""
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Further names by canonical name, from a domain pack."""
    kinds: Kinds = field(default_factory=Kinds.default)
    """Sign and strength of each kind."""
    kind: str | None = None
    """Kind of all events of the source, whatever its columns say; None reads it from the columns.
    """
    kind_by_name: str | None = None
    """Name of the source, such as `clicks`; if it is a kind, events are of it where no column
    `kind` is.
    """
    context: Sequence[str] | None = None
    """Columns of the events kept as context; None keeps all."""
    time_format: str | None = None
    """Format of dates, as for `strptime`; None reads dates that have only one reading."""
    encoding: str | None = None
    """Encoding of text files; None detects it, with a finding where it is not UTF-8."""
    names: Sequence[str] | None = None
    """Names of the events' columns, for a file without a header."""
    item_names: Sequence[str] | None = None
    """The same for items."""
    user_names: Sequence[str] | None = None
    """The same for users."""
    rules: CleaningConfig = field(default_factory=CleaningConfig)
    """Rules of cleaning that apply while rows are read."""
    is_whole: bool = True
    """Whether no other source brings items or users, so that columns of events may describe them.
    """


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
    """Turn raw tables with their own column names into tables with canonical columns and types.

    Args:
        events: raw events; None where the source has only items or users.
        name: name of the data set.

    Raises:
        BadInput: if a needed column cannot be found, or too many rows cannot be read.
    """
    events, searches = with_queries(events, searches, reading.columns, reading.synonyms)
    frame, findings, named = _events(events, reading, items is not None or not reading.is_whole)
    if events is not None and reading.is_whole and reading.context is None:
        frame, items, users, nearly = _split_sides(frame, items, users, events[1])
        findings += nearly
        reading = replace(reading, synonyms=_with_language(events[0], reading))
    item_frame, item_findings = _side(items, "items", reading)
    user_frame, user_findings = _side(users, "users", reading)
    user_frame, circle, notes = friends_within(user_frame, frame, reading.user_columns)
    named_so = reading.columns, reading.synonyms
    ties, of_ties = relation_of(friends, "friends", *named_so)
    queries, of_queries = relation_of(searches, "searches", *named_so)
    findings += [*notes, *of_ties, *of_queries]
    findings += [*item_findings, *user_findings]
    for table, raw in (("interactions", events), ("items", items), ("users", users)):
        findings += [] if raw is None else duplicate_columns(raw, table)
    for key, side in (("item_id", item_frame), ("user_id", user_frame)):
        frame, notes = better_key(frame, side, key, reading.columns, named)
        findings += notes
    return Tables(
        interactions=frame,
        items=item_frame,
        users=user_frame,
        name=name,
        findings=findings,
        relations=Relations.of(ties, queries).then(Relations.of(circle)),
        kinds=reading.kinds,
    )


def _with_language(events: pl.DataFrame, reading: Reading) -> dict[str, Sequence[str]]:
    """Return synonyms with those in the language of the events' column names, which may no longer
    show once columns are moved to other tables.
    """
    further, synonyms = names_in(spoken(events.columns)), reading.synonyms
    return {n: (*synonyms.get(n, ()), *further.get(n, ())) for n in {**synonyms, **further}}


def _split_sides(
    frame: pl.DataFrame, items: RawTable | None, users: RawTable | None, place: Place
) -> tuple[pl.DataFrame, RawTable | None, RawTable | None, list[Finding]]:
    """Move columns of the events that describe items or users into tables of their own, where no
    such table is given. Return events, items, users, and findings on columns that nearly describe
    items.
    """
    sides = {"item_id": items, "user_id": users}
    columns_by_key = {
        key: belonging_to(frame, key, other)
        for key, other in (("item_id", "user_id"), ("user_id", "item_id"))
        if sides[key] is None
    }
    nearly, findings = list[str](), list[Finding]()
    if "item_id" in columns_by_key:
        remaining = frame.drop(itertools.chain(*columns_by_key.values()))
        remaining, nearly, findings = nearly_of_items(remaining, place.name)
        frame = frame.with_columns(remaining.select(nearly))
        columns_by_key["item_id"] += nearly
    for key, columns in columns_by_key.items():
        if columns:
            frame, side, noted = moved_to_table(frame, key, columns, place.name, reported=nearly)
            sides[key] = (side, place, noted)
    return frame, sides["item_id"], sides["user_id"], findings


def _events(
    raw: RawTable | None, reading: Reading, has_items: bool
) -> tuple[pl.DataFrame, list[Finding], dict[str, str]]:
    """Return canonical events, findings, and canonical name -> column in the file."""
    if raw is None:  # one of several sources may bring items or users only
        return pl.DataFrame(schema={"user_id": pl.Utf8, "item_id": pl.Utf8}), [], {}
    frame, place = flat(opened(raw[0])), raw[1]
    findings = [*raw[2], *change_findings(raw[0], place.name)]
    left_out = sum(f.rows for f in findings if f.action == "removed")
    refuse_if_unreadable(findings, frame.height + left_out, place, reading.rules)
    frame, empty = without_empty_ids(frame, place.name, reading.columns, reading.synonyms)
    options = reading.synonyms, reading.columns, reading.kinds
    frame, place, shaped = one_row_an_event(frame, place, *options)
    frame, likely, of_ids = _with_ids(frame, place.name, reading)
    reading, findings = replace(reading, synonyms=likely), [*findings, *empty, *shaped, *of_ids]
    names, guessed = _renamed(frame, "interactions", place, reading, reading.columns, findings)
    named = {canonical: column for column, canonical in names.items()}
    frame, place, of_rows = _with_rows_of_acts(frame.rename(names), place, named)
    findings = [*findings, *of_rows]
    findings += ambiguous_id_findings(frame, names, reading.columns, place.name)
    frame, rated = _rated(frame, raw[0].columns, place.name, reading)
    findings = [*findings, *rated]
    if reading.kind is None and reading.context is None:
        frame, steps = by_steps(frame, [*names, *frame.columns], reading.kinds, place.name)
        findings = [*findings, *steps]
    if "timestamp" not in reading.columns:
        frame, moments = with_moment(frame, place.name, reading.context or (), named)
        findings = [*findings, *moments]
    findings = [*findings, *time_zone_findings(frame, named, place.name)]
    frame, place, of_kinds = _with_events_and_kinds(frame, place, reading, named, raw[0].columns)
    frame = with_titles(frame, named.get("item_id", ""), has_items, likely.get("title", ()))
    frame, points = with_points(frame, "interactions", place.name)
    findings = [*findings, *of_kinds, *points]
    if reading.context is not None:
        frame = frame.select(*_canonical(frame, place, reading.context))
    frame, invalid = valid_events(with_offsets(frame), place, reading.rules, reading.time_format)
    frame, odd = with_types(frame, keep_text=("kind",), file_columns=raw[0].columns)
    return frame, [*findings, *guessed, *invalid, *odd], named


def _with_rows_of_acts(frame: pl.DataFrame, place: Place, named: Mapping[str, str]) -> RawTable:
    """Return a row for each id of lists, without rows that are no acts, with the items that another
    column names; their places and findings.
    """
    frame, place, lists = one_row_each(frame, place, ("item_id", "user_id"), "interactions")
    frame, place, others = without_others(frame, place)
    frame, second = with_second_items(frame, place.name, named)
    return frame, place, [*lists, *others, *second]


def _with_ids(
    frame: pl.DataFrame, place: str, reading: Reading
) -> tuple[pl.DataFrame, Mapping[str, Sequence[str]], list[Finding]]:
    """Identify the columns of ids and of kinds by their cells. Return events, synonyms with these
    columns, and findings.
    """
    frame, filled = with_signed_out(frame, place, reading.columns, reading.synonyms)
    frame, rows = without_row_ids(frame, place, reading.columns, reading.synonyms)
    likely, of_cells = likely_ids(frame, place, reading.columns, reading.synonyms)
    likely, constant = without_constant_ids(frame, place, reading.columns, likely)
    likely, of_kinds = likely_kind(frame, place, reading.columns, likely, reading.kinds)
    return frame, likely, [*filled, *rows, *of_cells, *constant, *of_kinds]


def _rated(
    frame: pl.DataFrame, columns: Sequence[str], place: str, reading: Reading
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set `value` to the ratings, whichever columns hold them. Return events and findings."""
    aspects = list[Finding]()
    if "value" not in reading.columns:
        frame, aspects = with_aspects(frame, place, reading.context or ())
    frame, findings = with_grades(frame, place, columns, reading.context or (), reading.columns)
    findings = [*aspects, *findings, *scale_findings(frame, place, reading.context or ())]
    if reading.rules.value_scale is not None or reading.rules.implicit_values:
        return frame, findings
    frame, unrated = without_zeros(frame, place)
    return frame, [*findings, *unrated]


def _with_events_and_kinds(
    frame: pl.DataFrame,
    place: Place,
    reading: Reading,
    named: Mapping[str, str],
    columns: Sequence[str],
) -> RawTable:
    """Set the kind of each event, with one row per order in logs of states. Return events, their
    places and findings.
    """
    frame, place, states = one_an_order(frame, place, reading.kinds, reading.context or ())
    frame, of_kinds = _with_kinds(frame, reading, place.name, named, columns)
    frame, place, itemless = without_itemless(frame, place)
    return frame, place, [*states, *of_kinds, *itemless]


def _with_kinds(
    frame: pl.DataFrame,
    reading: Reading,
    place: str,
    named: Mapping[str, str],
    columns: Sequence[str],
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set the kind of each event by the source's kind, its name, columns of kinds or quantities.
    Return events and findings.

    Args:
        named: canonical name -> column in the file.
        columns: names of the columns in the file, before renaming.
    """
    findings = list[Finding]()
    if reading.kind is not None:
        frame = frame.with_columns(pl.lit(reading.kind).alias("kind"))
    elif (
        "kind" not in frame.columns
        and (kind := kind_of_name(reading.kind_by_name, reading.kinds)) is not None
    ):
        frame = frame.with_columns(pl.lit(kind).alias("kind"))
        why = f"events of {place} are taken as of kind {kind!r}, by its name"
        findings = [Finding(rule="kinds", rows=0, action="noted", why=why)]
    frame, of_columns = with_kind(frame, reading.kinds, place, reading.context or (), columns)
    frame, returned = with_returns(frame, place)
    frame, emptied = without_emptied(frame, reading.kinds, place)
    frame, amounts = with_amounts(frame, named, place)
    return frame, [*findings, *of_columns, *returned, *emptied, *amounts]


def _renamed(
    frame: pl.DataFrame,
    table: str,
    place: Place,
    reading: Reading,
    mapping: Mapping[str, str],
    findings: Sequence[Finding],
) -> tuple[dict[str, str], list[Finding]]:
    """Call `renamed`; if it fails, add to the error what was assumed of the encoding."""
    try:
        return renamed(frame.columns, table, place.name, mapping, reading.synonyms)
    except BadInput as error:
        assumed = [f.why for f in findings if f.rule == "encoding"]
        advice = fields_of_lists(frame) if table == "interactions" else ""
        raise BadInput("; ".join([str(error), *assumed, advice]).removesuffix("; ")) from error


def _canonical(frame: pl.DataFrame, place: Place, context: Sequence[str]) -> list[str]:
    """Return the names of the event's own columns and the context columns, in this order.

    Raises:
        BadInput: if a context column is missing.
    """
    missing = [c for c in context if c not in frame.columns]
    if missing:
        raise BadInput(
            f"{place.name}: no context column {missing[0]!r} among {', '.join(frame.columns)}"
        )
    canonical = [
        c
        for c in ("user_id", "item_id", "timestamp", "seq_pos", "value", "kind")
        if c in frame.columns
    ]
    return [*canonical, *(c for c in context if c not in canonical)]


def _side(
    raw: RawTable | None, table: str, reading: Reading
) -> tuple[pl.DataFrame | None, list[Finding]]:
    """Return items or users with canonical columns and types, and findings."""
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
        name_in_file = {**{c: c for c in frame.columns}, **{n: c for c, n in names.items()}}
        frame, tags = with_tags(frame, name_in_file)
        odd = [*odd, *tags]
        frame, short = with_short_titles(frame, names, mapping, place)
        odd = [*odd, *short]
    frame, codes = without_codes(frame, table, (key, "latitude", "longitude"))
    odd = [*odd, *codes]
    frame, notes = side_findings(frame, key, place.name)
    frame, points = with_points(frame, table, place.name)
    frame, outside = checked_degrees(frame, table, place.name)
    reading_findings = [replace(f, table=table) for f in [*findings, *guessed, *lists]]
    return frame, [*reading_findings, *odd, *notes, *points, *outside]
