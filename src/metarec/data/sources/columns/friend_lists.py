"""Read lists of friends in a column of the table of users, and remove ties that are pending or
ended.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from metarec.data.cells.parsing import NOTHING, id_text
from metarec.data.findings import Finding
from metarec.data.names.column_names import plain

NAMES = frozenset(
    "friends friendids friendlist friendslist following followees contacts connections "
    "好友 好友列表 关注 关注列表".split()
)
"""Names of columns of lists of friends, as `plain` returns them."""
MIN_KNOWN = 0.5
"""Minimum share of the ids in such lists that are known users."""
STATES = frozenset("status state 状态".split())
"""Names of columns of the state of a tie, as `plain` returns them."""
NO_TIES = frozenset(
    "pending requested invited declined rejected refused blocked removed ignored cancelled "
    "canceled unfriended unfollowed expired 待确认 已拒绝 已删除".split()
)
"""States of ties that do not hold, or not yet."""


def friends_within(
    users: pl.DataFrame | None, events: pl.DataFrame, names: Mapping[str, str]
) -> tuple[pl.DataFrame | None, pl.DataFrame | None, list[Finding]]:
    """Return users without their column of lists of friends, the ties in it, and findings; None as
    ties where there is no such column.

    Args:
        names: column -> its name in the file, where that differs.
    """
    for column in [] if users is None else users.columns:
        if users is None or plain(names.get(column, column)) not in NAMES:
            continue
        lists = _lists(users[column])
        if lists is None:
            continue
        ties = users.select("user_id", lists.alias("friend_id")).explode("friend_id").drop_nulls()
        ties = ties.with_columns(id_text(ties["friend_id"])).drop_nulls()
        user_ids = pl.concat([users["user_id"], events["user_id"]]).unique()
        is_user = ties["friend_id"].is_in(user_ids.implode())
        if not ties.height or int(is_user.sum()) < MIN_KNOWN * ties.height:
            continue
        why = f"column {column!r} of users was read as their friends: {ties.height:,} ties"
        note = Finding(rule="columns", rows=0, action="noted", why=why, table="users")
        return users.drop(column), ties, [note]
    return users, None, []


def _lists(column: pl.Series) -> pl.Series | None:
    if isinstance(column.dtype, pl.List):
        return None if column.dtype.inner.is_nested() else column.cast(pl.List(pl.Utf8))
    if column.dtype != pl.Utf8:
        return None
    text = column.str.strip_chars("[](){} ").str.replace_all(r"[\"']", "")
    parts = text.str.replace_all(r"\s*[,;|，、]\s*|\s+", "|").str.split("|")
    return parts.list.eval(
        pl.when(~pl.element().is_in([*NOTHING])).then(pl.element())
    ).list.drop_nulls()


def without_no_ties(friends: pl.DataFrame, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Remove ties whose state is in `NO_TIES`, and return a finding."""
    for column in (c for c in friends.columns if plain(c) in STATES):
        if friends[column].dtype != pl.Utf8:
            continue
        gone = friends[column].str.strip_chars().str.to_lowercase().is_in([*NO_TIES])
        gone = gone.fill_null(False)
        if gone.any() and not gone.all():
            example = friends[column].filter(gone)[0]
            why = f"ties of {place} such as {example!r} are none"
            note = Finding(rule="friends", rows=int(gone.sum()), action="removed", why=why)
            return friends.filter(~gone), [note]
    return friends, []
