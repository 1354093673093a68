"""Logs of searches in which some rows name a clicked item and others none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import is_stated
from metarec.data.errors import BadInput
from metarec.data.events.rows import Place
from metarec.data.findings import Finding
from metarec.data.names.column_matching import renamed
from metarec.data.names.column_names import CANONICAL, SYNONYMS, plain

_QUERIES = {plain(name) for name in ("query", *SYNONYMS["query"])}
RawTable = tuple[pl.DataFrame, Place, list[Finding]]


def queries_apart(
    raw: RawTable, mapped: Mapping[str, str], synonyms: Mapping[str, Sequence[str]]
) -> tuple[RawTable, RawTable | None]:
    """Split a log of searches into the events without rows that have a query and no item, and the
    queries of all rows; None for the queries where no such rows are beside others.

    Args:
        mapped: canonical name -> column, as given by the user.
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
    asked, named = is_stated(frame[query]), is_stated(frame[of["item_id"]])
    alone = asked & ~named
    if not alone.any() or not named.any():
        return raw, None
    own = {of["user_id"]: "user_id", query: "query"}
    own |= {of["timestamp"]: "timestamp"} if "timestamp" in of else {}
    queries = frame.filter(asked).select(list(own)).rename(own)
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    why = (
        f"rows of {place.name} that name no item hold queries ({query!r}): they are read as "
        f"searches, as are those of the other rows"
    )
    told = Finding(rule="columns", rows=int(alone.sum()), action="noted", why=why)
    kept = Place(place.name, place.unit, place.first, rows.filter(~alone))
    return (frame.filter(~alone), kept, [*findings, told]), (queries, Place(place.name), [])
