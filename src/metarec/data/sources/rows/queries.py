"""Separate searches from events: tables of searches, and logs in which some rows name a clicked
item and others none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import is_stated
from metarec.data.errors import BadInput
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_matching import rename, renamed
from metarec.data.names.column_names import CANONICAL, SYNONYMS, plain
from metarec.data.sources.rows.log_envelopes import only_events

_QUERIES = {plain(name) for name in ("query", *SYNONYMS["query"])}


def with_queries(
    events: RawTable | None,
    searches: RawTable | None,
    mapped: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
) -> tuple[RawTable | None, RawTable | None]:
    """Return events and searches, without lines of a log that are no events. Where no searches are
    given, they are the table of events if it has queries in place of items, or its queries if some
    of its rows have no item.

    Args:
        mapped: canonical name -> column, as given by the user.
    """
    if events is None:
        return events, searches
    events = only_events(events)
    if searches is not None:
        return events, searches
    if _are_searches(events[0].columns, mapped, synonyms):
        return None, events
    return _queries_apart(events, mapped, synonyms)


def _are_searches(
    columns: Sequence[str], mapped: Mapping[str, str], synonyms: Mapping[str, Sequence[str]]
) -> bool:
    """Whether columns are those of users and queries, and not of items."""
    try:
        renamed(columns, "interactions", "", mapped, synonyms)
    except BadInput:
        try:
            rename(columns, "searches", "", mapped, synonyms)
        except BadInput:
            return False
        return True
    return False


def _queries_apart(
    raw: RawTable, mapped: Mapping[str, str], synonyms: Mapping[str, Sequence[str]]
) -> tuple[RawTable, RawTable | None]:
    """Split a log of searches into the events without rows that have a query and no item, and the
    queries of all rows; None for the queries where no such rows are beside others.
    """
    frame, place, findings = raw
    try:
        names, _ = renamed(frame.columns, "interactions", "", mapped, synonyms)
    except BadInput:
        return raw, None
    of = {n: n for n in CANONICAL["interactions"] if n in frame.columns}
    of |= {name: column for column, name in names.items()}
    query = next((c for c in frame.columns if plain(c) in _QUERIES and c not in names), None)
    if query is None or any(frame.schema[c].is_nested() for c in (query, of["item_id"])):
        return raw, None
    has_query, has_item = is_stated(frame[query]), is_stated(frame[of["item_id"]])
    is_search = has_query & ~has_item
    if not is_search.any() or not has_item.any():
        return raw, None
    query_columns = {of["user_id"]: "user_id", query: "query"}
    query_columns |= {of["timestamp"]: "timestamp"} if "timestamp" in of else {}
    queries = frame.filter(has_query).select(list(query_columns)).rename(query_columns)
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    why = (
        f"rows of {place.name} that name no item hold queries ({query!r}): they are read as "
        f"searches, as are those of the other rows"
    )
    note = Finding(rule="columns", rows=int(is_search.sum()), action="noted", why=why)
    kept = Place(place.name, place.unit, place.first, rows.filter(~is_search))
    return (frame.filter(~is_search), kept, [*findings, note]), (queries, Place(place.name), [])
