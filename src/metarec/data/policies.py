"""Policies as their authors meet them: parse a `[policy]` table, describe a policy in words, and
match its names to the columns of the data.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from metarec.data.domains import DEFAULT_POLICY, Exclusion, Policy, domain
from metarec.data.names.column_names import CANONICAL, SYNONYMS, plain
from metarec.data.policy_rules import read_rule
from metarec.data.schema import BadInput

KEYS = {
    "repeats_allowed": bool,
    "prerequisites": str,
    "fulfilled_by": list,
    "exclusions": list,
    "rules": list,
    "available": str,
    "notice": str,
}
"""Keys of a `[policy]` table and the type of their values."""
LONGEST_NAME = 80
EXCLUSION_KEYS = ("item_column", "profile_attribute", "why", "unknown")
_SPOKEN = {bool: "true or false", str: "a text", list: "a list"}


def policy_named(
    file_says: str | None, flag_says: str | None, table: Mapping[str, Any] | None, place: object
) -> Policy | None:
    """Return the policy of the domain that a file, a flag or both name, with the file's own
    `[policy]` over it; None where there is neither a domain nor a `[policy]`.

    Raises:
        BadInput: if file and flag name different domains, or something is unknown.
    """
    if file_says is not None and flag_says is not None and file_says != flag_says:
        raise BadInput(
            f"{place} says domain = {file_says!r}, but {flag_says!r} was asked for; name one of "
            "them, or the same in both"
        )
    name = file_says or flag_says
    if name is None and table is None:
        return None
    base = DEFAULT_POLICY if name is None else domain(name).policy
    return base if table is None else own_policy(table, base, f"{place}, [policy]")


def own_policy(settings: Mapping[str, Any], base: Policy, place: str) -> Policy:
    """Return the policy `base` changed by a `[policy]` table: rules are added, exclusions are added
    (one of the same column and attribute is replaced), all other keys replace those of `base`.

    Raises:
        BadInput: if the table has an unknown key or a value of the wrong type.
    """
    settings = {
        ("prerequisites" if k == "prerequisite_column" else k): v for k, v in settings.items()
    }
    if isinstance(settings.get("rules"), str):
        settings["rules"] = [settings["rules"]]
    for key, value in settings.items():
        _check(key, KEYS, place)
        if not isinstance(value, KEYS[key]):
            raise BadInput(f"{place}: {key} must be {_SPOKEN[KEYS[key]]}, got {value!r}")
    for key in ("fulfilled_by", "rules"):
        wrong = next((v for v in settings.get(key, ()) if not isinstance(v, str)), None)
        if wrong is not None:
            raise BadInput(f"{place}: {key} must be a list of texts, got {wrong!r} in it")
    mine = [_exclusion(e, place) for e in settings.get("exclusions", ())]
    columns = {(e.item_column, e.profile_attribute) for e in mine}
    kept = [e for e in base.exclusions if (e.item_column, e.profile_attribute) not in columns]
    try:
        return replace(
            base,
            repeats_allowed=settings.get("repeats_allowed", base.repeats_allowed),
            prerequisite_column=settings.get("prerequisites", base.prerequisite_column),
            fulfilled_by=tuple(settings.get("fulfilled_by", base.fulfilled_by)),
            exclusions=(*kept, *mine),
            rules=(*base.rules, *settings.get("rules", ())),
            available=settings.get("available", base.available),
            notice=settings.get("notice", base.notice) or None,
        )
    except BadInput as error:
        raise BadInput(f"{place}: {error}") from error


def _exclusion(table: Any, place: str) -> Exclusion:
    if not isinstance(table, Mapping):
        raise BadInput(f"{place}: an exclusion is a table with {EXCLUSION_KEYS[0]} and so on")
    for key, value in table.items():
        _check(key, EXCLUSION_KEYS, f"{place}.exclusions")
        if not isinstance(value, str):
            raise BadInput(f"{place}.exclusions: {key} must be a text, got {value!r}")
    missing = next((key for key in EXCLUSION_KEYS[:2] if key not in table), None)
    if missing is not None:
        raise BadInput(f"{place}.exclusions: an exclusion needs {missing}, got {dict(table)!r}")
    try:
        return Exclusion(**{"why": f"excluded by {table['profile_attribute']}", **table})
    except BadInput as error:
        raise BadInput(f"{place}.exclusions: {error}") from error


def _check(key: str, names: Any, place: str) -> None:
    if key not in names:
        near = nearest(key, names)
        hint = f"; did you mean {near!r}?" if near else ""
        raise BadInput(
            f"{place}: nothing is known of {key!r}{hint} (there are {', '.join(sorted(names))})"
        )


def nearest(word: str, known: Any, least: float = 0.6) -> str | None:
    """Return the known word most similar to an unknown one; None where the similarity stays under
    `least`, in [0, 1], or the word is longer than `LONGEST_NAME`, which is too slow to compare.
    """
    if len(word) > LONGEST_NAME:
        return None
    by_name = {bare(str(one)): str(one) for one in known}
    near = get_close_matches(bare(word), by_name, n=1, cutoff=least)
    return by_name[near[0]] if near else None


def bare(name: str) -> str:
    """Return a name without case, spaces, punctuation and a last part in brackets; unchanged where
    nothing would be left.
    """
    return plain(name) or name


def other_spellings(names: Sequence[str], columns: Sequence[str]) -> dict[str, str]:
    """Map each name that equals a column except for case or punctuation to that column. A column
    is mapped to once at most, by the first such name, and not at all where `names` has its own
    name.
    """
    by_name = {bare(column): column for column in columns if column not in names}
    spellings: dict[str, str] = {}
    for name in names:
        column = None if name in columns else by_name.get(bare(name))
        if column is not None and column not in spellings.values():
            spellings[name] = column
    return spellings


def column_of(name: str, columns: Sequence[str], policy: Policy) -> str | None:
    """Return the item column that a policy means by `name`: the column of that name, else one that
    differs only in case or punctuation, else the canonical column that reading renames it to; None
    where there is none.
    """
    if name in columns:
        return name
    by_name = {bare(column): column for column in columns}
    if bare(name) in by_name:
        return by_name[bare(name)]
    return canonical_of(
        name, columns, {} if policy.domain is None else domain(policy.domain).synonyms
    )


def canonical_of(
    name: str, columns: Collection[str], more: Mapping[str, Collection[str]] | None = None
) -> str | None:
    """Return the canonical item column, one of `columns`, that reading renames a column `name` to;
    None where there is none.

    Args:
        more: canonical column -> further names of it, such as those of a domain.
    """
    for canonical in CANONICAL["items"]:
        names = (*(more or {}).get(canonical, ()), *SYNONYMS.get(canonical, ()))
        if canonical in columns and bare(name) in map(bare, names):
            return canonical
    return None


@dataclass(frozen=True, kw_only=True)
class RequiredColumns:
    """Item columns and user attributes that a policy reads."""

    items: tuple[str, ...]
    users: tuple[str, ...]

    @classmethod
    def by(cls, policy: Policy) -> RequiredColumns:
        """Collect the columns and attributes of a policy, each once."""
        rules = [read_rule(text) for text in policy.rules]
        single = [name for name in (policy.prerequisite_column, policy.available) if name]
        items = [e.item_column for e in policy.exclusions]
        users = [e.profile_attribute for e in policy.exclusions]
        items += [part.name for rule in rules for part in rule.items]
        users += [name for rule in rules for name in rule.attributes_read]
        return cls(items=tuple(dict.fromkeys([*items, *single])), users=tuple(dict.fromkeys(users)))


_NO_PROHIBITION = ("domain: ", "seen items may", "said with")


def policy_lines(policy: Policy) -> list[str]:
    """Describe a policy in words, one sentence per line."""
    lines = [
        "domain: " + (policy.domain or "none named"),
        "seen items may be shown again"
        if policy.repeats_allowed
        else "seen items are not shown again",
    ]
    if policy.prerequisite_column:
        how = (
            f"events of kind {', '.join(policy.fulfilled_by)}"
            if policy.fulfilled_by
            else "any event that takes an item, not looking, setting aside or giving up"
        )
        lines.append(
            f"an item is shown only after all items of its {policy.prerequisite_column!r}, which "
            f"are fulfilled by {how}"
        )
    lines += [
        f"not shown: items whose {e.item_column!r} names one of the user's "
        f"{e.profile_attribute!r} ({e.why})"
        + (
            f"; where {e.profile_attribute!r} is not stated, no item whose {e.item_column!r} says "
            "anything"
            if e.unknown == "hide"
            else ""
        )
        for e in policy.exclusions
    ]
    lines += [f"not shown: {rule}" for rule in policy.rules]
    if policy.available:
        lines.append(f"not shown: items whose {policy.available!r} is false, 0 or no")
    if policy.notice:
        lines.append(f"said with every slate: {policy.notice}")
    return lines


def prohibitions(policy: Policy) -> list[str]:
    """Return the lines of `policy_lines` that say which items must not be shown."""
    return [line for line in policy_lines(policy) if not line.startswith(_NO_PROHIBITION)]
