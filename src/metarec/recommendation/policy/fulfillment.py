"""Events that fulfill a prerequisite: taking an item does; viewing, saving, refusing or giving it
up does not.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

import polars as pl

from metarec.data.kinds import Kinds
from metarec.data.names.kind_names import plain_kind
from metarec.data.schema import NO_KIND, Vocabulary

TAKES_FROM = 0.6
"""Minimum strength of a kind that takes an item; weaker kinds only view or save it."""
GAVE_UP = frozenset(
    "fail failed failing quit left expire expired dropping withdrew withdrawn noshow "
    "abandon abandoned".split()
)
"""Kinds that give an item up although their sign is neutral or unknown."""

_ALL_OF = re.compile(r"\s*[&+＆、]\s*|\s+(?:and|und|et|y|e)\s+|\s*[和及与]\s*", re.IGNORECASE)
"""Separators of items that are all required."""


def fulfills(kind: str, kinds: Kinds, only: Sequence[str] = ()) -> bool:
    """Whether events of a kind fulfill a prerequisite.

    Args:
        kinds: sign and strength of kinds; an unknown kind fulfills.
        only: the only kinds that fulfill, where the policy names some.
    """
    if only:
        return kinds.key(kind) in {kinds.key(one) for one in only}
    use = kinds.of(kind)
    return use.sign == "positive" and use.strength >= TAKES_FROM and not gives_up(kind, kinds)


def gives_up(kind: str, kinds: Kinds) -> bool:
    """Whether events of a kind refuse an item, give it up or undo an event on it."""
    sign = kinds.of(kind).sign
    is_open = sign == "neutral" or not kinds.known(kind)
    return sign in ("negative", "undo") or (is_open and plain_kind(kind) in GAVE_UP)


def fulfilled_items(
    history: Iterable[tuple[Any, ...]], kinds: Kinds, only: Sequence[str] = ()
) -> list[str]:
    """Return the ids of the items that a history, oldest first, has fulfilled and not given up
    later; a value of 0 or less means that the item was not completed.
    """
    done: dict[str, None] = {}
    for event in history:
        item_id, kind = str(event[0]), str(event[2]) if len(event) > 2 and event[2] else NO_KIND
        value = float(event[1]) if len(event) > 1 and event[1] is not None else 1.0
        if value <= 0 or gives_up(kind, kinds):
            done.pop(item_id, None)
        elif fulfills(kind, kinds, only):
            done[item_id] = None
    return list(done)


def listed_items(cell: Any) -> list[str]:
    """Return the ids in one cell: `a|b`, `a, b`, a list, or a single one that was read as a
    number.
    """
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return []
    listed = isinstance(cell, list | tuple | set | pl.Series)
    parts = cell if listed else re.split(r"[|,;\n]", _text(cell).strip("[]"))
    ids = [_text(part).strip().strip("\"'") for part in parts if part is not None]
    return list(dict.fromkeys(one for one in ids if one))


def split_ids(ids: Sequence[str], known: Vocabulary) -> list[str]:
    """Return the ids, with an unknown one that joins known ones (`A & B`, `A and B`) split into
    these; an id stays whole where a part is unknown, or where the parts are alternatives (`A/B`, `A
    or B`).
    """
    item_ids: list[str] = []
    for one in ids:
        parts = _ALL_OF.split(one)
        item_ids += parts if one not in known and all(part in known for part in parts) else [one]
    return list(dict.fromkeys(item_ids))


def _text(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
