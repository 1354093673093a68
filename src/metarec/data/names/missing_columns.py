"""Errors for tables without a column of user ids or item ids, with advice by their shape."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from metarec.data.errors import BadInput
from metarec.data.names.column_names import (
    LESS_LIKELY,
    MAPPED,
    MATRIX,
    NEEDED,
    SYNONYMS,
    plain,
)


def refuse_missing(
    columns: Sequence[str],
    present: set[str],
    table: str,
    place: str,
    further: Mapping[str, Sequence[str]],
) -> None:
    """Refuse a table without a needed id column, with advice.

    Args:
        present: canonical names that the table has.
        further: names of columns by canonical name, in the language of the table.

    Raises:
        BadInput: if a needed column is missing.
    """
    missing = next((name for name in NEEDED[table] if name not in present), None)
    if missing is None:
        return
    shown = listed(columns)
    if table not in MAPPED:
        raise BadInput(f"{place}: no column {missing!r} among {shown}; rename the one that is")
    raise BadInput(
        f"{place}: no column {missing!r} among {shown}; rename one, or map it in "
        f'a TOML file, under [[sources]]: {MAPPED[table]} = {{ {missing} = "..." }}'
        + _no_names(columns, table)
        + (
            _of_orders(columns, table)
            or _of_one_user(columns, present, missing, table)
            or _shape(columns, table, further)
        )
    )


_OF_ANOTHER = re.compile(
    r"(order|invoice|basket|cart|ticket|receipt|booking|transaction|session|visit|cheque|bill)"
    r"(id|no|nr|number|code|key|ref|uuid)?$"
    r"|(订单|单据|发票|小票|票据|会话|交易)(id|编号|编码|号|号码)$"
)
"""Pattern of keys of another table, such as orders, in names as `plain` returns them."""


def _no_names(columns: Sequence[str], table: str) -> str:
    """Return advice for a first line that looks like a row rather than names; else empty."""
    number = r"[\d.,:/ TZ+-]*\d[\d.,:/ TZ+-]*(_\d+)?"  # or a time
    if not any(re.fullmatch(number, c.strip()) for c in columns):
        return ""
    setting, own = {
        "items": ("item_names", '"item_id", "title"'),
        "users": ("user_names", '"user_id", "age"'),
    }.get(table, ("names", '"user_id", "item_id"'))
    return (
        "; the first line looks like a row, not like names: add a line of names, or say them in a "
        f"TOML file ({setting} = [{own}, ...])"
    )


def _of_orders(columns: Sequence[str], table: str) -> str:
    """Return advice for a table with a key of another table; else empty."""
    if table != "interactions" or not any(_OF_ANOTHER.match(plain(c)) for c in columns):
        return ""
    return (
        "; if another table says who acted, or on what (orders and their lines), put both into one "
        "folder: they are joined by the key that both have"
    )


def _shape(columns: Sequence[str], table: str, further: Mapping[str, Sequence[str]]) -> str:
    """Return advice for a table of one column or of one column per item; else empty."""
    if len(columns) == 1:
        return "; cells are parted by commas, tabs, semicolons, bars, `::` or, evenly, by spaces"
    keys = ("user_id", "item_id")
    known = {plain(s) for key in keys for s in (key, *SYNONYMS[key], *LESS_LIKELY.get(key, ()))}
    known |= {plain(s) for key in keys for s in further.get(key, ())}
    counted = [re.sub(r"\d+$", "#", c) for c in columns[1:]]
    is_counted = len(counted) > 2 and len(set(counted)) == 1 and counted[0].endswith("#")
    if table == "interactions" and (len(columns) > MATRIX or is_counted):
        if not columns[0] or plain(columns[0]) in known:
            return (
                "; if each column is an item and each cell what a user said of it, make a row of "
                "each cell first (melt in pandas, unpivot in polars)"
            )
    return ""


def _of_one_user(columns: Sequence[str], present: set[str], missing: str, table: str) -> str:
    """Return advice for one user's export (a history of views) without user ids; else empty."""
    if missing != "user_id" or table != "interactions":
        return ""
    titles = {plain(n) for n in ("title", *SYNONYMS["title"], *LESS_LIKELY["title"])}
    if "item_id" not in present and not titles & {plain(c) for c in columns}:
        return ""
    return (
        "; if all rows are of one user, add a column that says which, and put the exports of "
        "several users into one table"
    )


def listed(columns: Sequence[Any], most: int = 12) -> str:
    """Return the first names of columns, for a message."""
    shown = ", ".join(repr(str(c)) for c in columns[:most])
    return f"{shown}, ... ({len(columns)} columns)" if len(columns) > most else shown or "(none)"
