"""Find columns of ids that say the same in every row: they tell neither users nor items apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.findings import Finding, noted
from metarec.data.names.column_matching import key_of
from metarec.data.names.column_names import SYNONYMS, plain

MIN_ROWS = 20
"""Minimum number of rows for an id to be the same in all of them for a reason."""

Synonyms = Mapping[str, Sequence[str]]


def without_constant_ids(
    frame: pl.DataFrame, place: str, mapped: Mapping[str, str], synonyms: Synonyms
) -> tuple[Synonyms, list[Finding]]:
    """Read users from another column where the one with a less likely name for them is the same in
    every row, such as the `profile` of a format. Return synonyms with that column, and findings,
    also on items that are all the same.

    Args:
        mapped: canonical name -> column, as given by the user.
    """
    if frame.height < MIN_ROWS:
        return synonyms, []
    item, findings = key_of(frame.columns, "item_id", synonyms), list[Finding]()
    is_guess = item not in (None, "item_id") and "item_id" not in mapped
    if item is not None and is_guess and _is_constant(frame[item]):
        way_out = 'say so in a TOML file (columns = { item_id = "..." })'
        why = (
            f"column {item!r} of {place} was read as item_id and is the same in each row, so all "
            f"events are of one item; if another column names the items, {way_out}"
        )
        findings.append(noted("columns", why))
    user = None if "user_id" in mapped else key_of(frame.columns, "user_id", synonyms)
    likely = {plain(name) for name in ("user_id", *SYNONYMS["user_id"])}
    if user is None or plain(user) in likely or not _is_constant(frame[user]):
        return synonyms, findings
    others = [c for c in frame.columns if c not in (user, item) and not _is_constant(frame[c])]
    another = key_of(others, "user_id", synonyms)
    if another is None:
        return synonyms, findings
    why = (
        f"column {user!r} of {place} is the same in each row, so users are read from "
        f"{another!r}; if they are in the former, say so in a TOML file "
        f"(columns = {{ user_id = {user!r} }})"
    )
    named = {**synonyms, "user_id": (another, *synonyms.get("user_id", ()))}
    return named, [*findings, noted("columns", why)]


def _is_constant(column: pl.Series) -> bool:
    """Whether every cell is stated and the same."""
    if column.dtype.is_nested():
        return False
    return nothing(column).n_unique() == 1 and not nothing(column).null_count()
