"""Which events fulfil a prerequisite: having taken an item counts, looking at it, refusing it or
giving it up does not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from metarec.data.columns import plain

LOOKING = frozenset(
    {"view", "preview", "impression", "search", "open", "browse", "click", "visit", "see", "show"}
    | {"detail", "bookmark", "wishlist", "watchlist", "favorite", "cart", "save", "share", "follow"}
    | {"浏览", "搜索", "收藏", "加购", "点击"}
)
"""Kinds that say interest, and not that an item was taken."""
REFUSING = frozenset(
    {"dislike", "hide", "return", "refund", "cancel", "decline", "sell", "drop", "skip", "remove"}
    | {"removefromcart", "unfollow", "unenrol", "unenroll", "withdraw", "quit", "fail", "abandon"}
    | {"reject", "undo", "dropout", "unsubscribe", "report", "leave", "expire", "不感兴趣", "退课"}
)
"""Kinds that refuse an item or give it up."""
_ENDINGS = ("", "s", "ed", "d", "ped", "led", "ing", "ping", "es", "n")
_EVERY = {word + ending for word in REFUSING for ending in _ENDINGS} | {"withdrew", "left", "sold"}
_LOOKS = {word + ending for word in LOOKING for ending in ("", "s", "ed", "d", "ing")}


def fulfils(kind: str, value: float | None = None, kinds: Sequence[str] = ()) -> bool:
    """Whether an event fulfils a prerequisite.

    Args:
        kind: what the act was, in any spelling of the usual names (`Drop`, `dropped`).
        value: 0 and less say that nothing came of it.
        kinds: the only kinds that do, where the policy names some.
    """
    name = plain(kind) or kind.strip()
    if kinds:
        return name in {plain(one) or one.strip() for one in kinds}
    return not refuses(kind, value) and name not in _LOOKS


def refuses(kind: str, value: float | None = None) -> bool:
    """Whether an event says that the item was refused or given up."""
    is_none = value is not None and not math.isnan(value) and value <= 0
    return is_none or (plain(kind) or kind.strip()) in _EVERY


def fulfilled_items(history: Iterable[tuple[Any, ...]], kinds: Sequence[str] = ()) -> list[str]:
    """Ids of the items that a history, oldest first, has fulfilled and not given up afterwards."""
    done: dict[str, None] = {}
    for event in history:
        item_id, kind = str(event[0]), str(event[2]) if len(event) > 2 and event[2] else "event"
        value = float(event[1]) if len(event) > 1 and event[1] is not None else None
        if refuses(kind, value):
            done.pop(item_id, None)
        elif fulfils(kind, value, kinds):
            done[item_id] = None
    return list(done)


def listed_items(cell: Any) -> list[str]:
    """Ids in one cell: `a|b`, `a, b`, a list, or a single one that was read as a number."""
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return []
    listed = isinstance(cell, list | tuple | set | pl.Series)
    parts = cell if listed else re.split(r"[|,;\n]", _text(cell).strip("[]"))
    ids = [_text(part).strip().strip("\"'") for part in parts if part is not None]
    return list(dict.fromkeys(one for one in ids if one))


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
