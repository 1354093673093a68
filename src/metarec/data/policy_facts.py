"""A policy as plain values, and which of its columns and attributes the data have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.domains import DEFAULT_POLICY, Policy
from metarec.data.names.column_names import plain
from metarec.data.names.countries import same_country
from metarec.data.policies import RequiredColumns, bare, column_of, policy_lines
from metarec.data.policy_rules import read_rule
from metarec.data.policy_values import is_single, may_be_thousands_separators, tags_of
from metarec.data.tag_words import TagWords

AVAILABLE = frozenset(
    "instock isinstock available isavailable availability stockstatus availabilitystatus "
    "有货 是否有货 库存状态 verfügbar lieferbar disponible disponibile disponível".split()
)
"""Names of item columns that state availability, in the form of `plain`."""
MAX_NAMED = 3
"""Largest number of unmatched user values that a line names."""
LEFT_OPEN = [
    policy_lines(DEFAULT_POLICY)[0],
    "seen items may be shown again if users often take what they had taken before; fit says it",
]
"""Lines shown where no policy is named: `recommendation.fitting.reading` then decides."""


def policy_facts(data: Dataset, policy: Policy | None = None) -> dict[str, Any]:
    """Return a policy (by default that of the data) as plain values: in words, and which of its
    item columns and user attributes the data have.
    """
    is_named = policy is not None or data.policy is not None
    policy = policy or data.policy or DEFAULT_POLICY
    needed, items = RequiredColumns.by(policy), data.items.frame.columns
    stated = {bare(name) for name in data.users.attributes}
    there = {name: column_of(name, items, policy) is not None for name in needed.items}
    is_stated = {name: bare(name) in stated for name in needed.users}
    return {
        "policy": asdict(policy),
        "words": policy_lines(policy) if is_named else LEFT_OPEN,
        "items": {"found": _where(there, True), "missing": _where(there, False)},
        "users": {"found": _where(is_stated, True), "missing": _where(is_stated, False)},
        "unmatched": _unmatched(data, policy),
        "unsure": _unsure(data, policy),
        "available": None if policy.available else _says_availability(items),
    }


def facts_lines(facts: Mapping[str, Any]) -> list[str]:
    """Format the result of `policy_facts` for a terminal, one sentence per line."""
    lines = list(facts["words"])
    for table in ("items", "users"):
        matched, missing = facts[table]["found"], facts[table]["missing"]
        if matched:
            lines.append(f"found in {table}: {', '.join(matched)}")
        if missing:
            why = "not checked" if table == "items" else "state them with each request"
            lines.append(f"NOT found in {table}: {', '.join(missing)} ({why})")
    for none in facts["unmatched"]:
        named = [f"{tag!r} ({n_users})" for tag, n_users in none["values"].items()]
        more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
        lines.append(
            f"hides nothing, as no item's {none['column']!r} says it: {none['attribute']!r} of so "
            f"many users {', '.join(named[:MAX_NAMED])}{more}; is it written alike there?"
        )
    lines += [
        f"read both ways: the dot of {one['column']!r} of items, such as {one['cell']!r} "
        f"({one['n_items']} in all), may part thousands, so what a rule forbids by either number "
        "is not shown; write it without the dot, or in decimals as `1.2`"
        for one in facts["unsure"]
    ]
    if facts["available"]:
        lines.append(
            f"NOT heeded: {facts['available']!r} of items seems to say what can be had; what "
            f"cannot is shown, unless a TOML file says [policy] available = {facts['available']!r}"
        )
    return lines


def _unmatched(data: Dataset, policy: Policy) -> list[dict[str, Any]]:
    """Return, for each exclusion, the user values that match no tag of the item column, the most
    frequent first. Such a value hides no item, for example a word of another language.
    """
    unmatched = []
    for exclusion in policy.exclusions:
        column = column_of(exclusion.item_column, data.items.frame.columns, policy)
        names = [n for n in data.users.attributes if bare(n) == bare(exclusion.profile_attribute)]
        if column is None or not names:
            continue
        words = TagWords(_tag_counts(data.items.frame[column]))
        lost = {
            tag: n_users
            for tag, n_users in _tag_counts(data.users.frame[names[0]]).most_common()
            if not any(name in words for name in (tag, *same_country(tag)))
            and not words.naming(tag)
            and not words.named_in(tag)
        }
        if lost:
            unmatched.append(
                {"attribute": names[0], "column": exclusion.item_column, "values": lost}
            )
    return unmatched


def _unsure(data: Dataset, policy: Policy) -> list[dict[str, Any]]:
    """Return the item columns that rules compare with numbers and that have cells whose dot may be
    a thousands separator.
    """
    unsure: dict[str, dict[str, Any]] = {}
    for part in (part for text in policy.rules for part in read_rule(text).items):
        column = column_of(part.name, data.items.frame.columns, policy)
        if column is None or not isinstance(part.value, float):
            continue
        cells = data.items.frame[column].to_list()
        open_ones = np.flatnonzero(may_be_thousands_separators(cells))
        if len(open_ones):
            one = {"column": column, "cell": cells[open_ones[0]], "n_items": len(open_ones)}
            unsure[column] = one
    return list(unsure.values())


def _tag_counts(column: pl.Series) -> Counter[str]:
    """Count the cells that have each tag; a cell of several tags counts once for each."""
    cells = column.explode() if column.dtype.is_nested() else column
    counts: Counter[str] = Counter()
    for cell, n_cells in cells.value_counts().iter_rows():
        counts.update({tag: n_cells for tag in tags_of(cell) or () if is_single(tag)})
    return counts


def _says_availability(columns: Iterable[str]) -> str | None:
    return next((name for name in columns if plain(name) in AVAILABLE), None)


def _where(there: Mapping[str, bool], is_true: bool) -> list[str]:
    return [name for name, is_there in there.items() if is_there is is_true]
