"""Fill missing user ids of users who are signed in only at times, by their cookie or device id."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.findings import Finding
from metarec.data.names.column_matching import key_of
from metarec.data.names.column_names import plain

_STAND_INS = frozenset(
    "userpseudoid anonymousid anonid distinctid visitorid fullvisitorid clientid gaclientid "
    "deviceid cookieid cookie".split()
)
"""Names of columns that identify signed-out users, as `plain` returns them."""
MIN_GAPS = 0.05
"""Minimum share of rows without a user id; fewer such rows count as rows with missing ids."""


def with_signed_out(
    frame: pl.DataFrame,
    place: str,
    mapped: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
) -> tuple[pl.DataFrame, list[Finding]]:
    """Fill missing user ids by a cookie or device id: with the only user who was signed in with it,
    else with the cookie or device id itself. Return events and findings.
    """
    user = None if "user_id" in mapped else key_of(frame.columns, "user_id", synonyms)
    if user is None or frame.schema[user].is_nested() or plain(user) in _STAND_INS:
        return frame, []
    who = nothing(frame[user].cast(pl.Utf8, strict=False))
    if not MIN_GAPS * frame.height <= who.null_count() < frame.height:
        return frame, []
    column = next((c for c in frame.columns if plain(c) in _STAND_INS and _is_full(frame[c])), None)
    if column is None:
        return frame, []
    pairs = pl.DataFrame({"by": frame[column].cast(pl.Utf8), "user": who})
    signed_in = pairs.drop_nulls().group_by("by").agg(pl.col("user").unique())
    one = signed_in.filter(pl.col("user").list.len() == 1).with_columns(pl.col("user").list.first())
    owners = pairs.select("by").join(one, on="by", how="left", maintain_order="left")["user"]
    filled = who.fill_null(owners).fill_null(pairs["by"]).alias(user)
    why = (
        f"rows of {place} without {user!r} go by {column!r}: as the one user who was signed in "
        f"with it, else as a user of its own"
    )
    note = Finding(rule="columns", rows=who.null_count(), action="noted", why=why)
    return frame.with_columns(filled), [note]


def signed_in_elsewhere(frame: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    """Replace a cookie or device id that stands as user id by the only user who was signed in with
    it in another row, for events of several files. Return events and findings.
    """
    column = next((c for c in frame.columns if plain(c) in _STAND_INS), None)
    if column is None or frame.schema[column].is_nested():
        return frame, []
    stand_in, user = frame[column].cast(pl.Utf8), frame["user_id"]
    is_alone = (stand_in == user).fill_null(False)
    user_by_stand_in = pl.DataFrame({"by": stand_in, "user": user}).filter(~is_alone).drop_nulls()
    user_by_stand_in = user_by_stand_in.group_by("by").agg(pl.col("user").unique())
    user_by_stand_in = user_by_stand_in.filter(pl.col("user").list.len() == 1).explode("user")
    signed_in_user = stand_in.replace_strict(
        user_by_stand_in["by"], user_by_stand_in["user"], default=None, return_dtype=pl.Utf8
    )
    changed = is_alone & signed_in_user.is_not_null()
    if not changed.any():
        return frame, []
    why = f"rows that go by {column!r} are of the one user who was signed in with it elsewhere"
    note = Finding(rule="columns", rows=int(changed.sum()), action="noted", why=why)
    return frame.with_columns(signed_in_user.zip_with(changed, user).alias("user_id")), [note]


def _is_full(column: pl.Series) -> bool:
    if column.dtype.is_nested():
        return False
    return not nothing(column.cast(pl.Utf8, strict=False)).null_count()
