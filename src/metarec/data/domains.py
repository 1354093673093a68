"""Domain packs: what columns are called, what acts weigh and what must be heeded in a field; plain
data in `domains/*.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from metarec.data.arguments import check_type, shown
from metarec.data.errors import BadInput
from metarec.data.kinds import Kinds
from metarec.data.policy_rules import read_rule


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """An item must never be shown to a user when its column shares a value with the user's
    attribute.
    """

    item_column: str
    profile_attribute: str
    why: str
    unknown: str = "note"
    """What happens where the user's attribute is not stated: `note` says on the slate that it was
    not checked, `hide` shows no item that is forbidden to anybody.
    """

    def __post_init__(self) -> None:
        if self.unknown not in ("note", "hide"):
            raise BadInput(
                f"unknown must be 'note' or 'hide', got {self.unknown!r} (exclusion by "
                f"{self.item_column!r})"
            )


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a slate must heed in a field."""

    domain: str | None = None
    """Name of the pack it came from; None where there was none."""
    repeats_allowed: bool = True
    """Whether something taken before may be recommended again (bread) or not (a course passed)."""
    prerequisite_column: str | None = None
    """Column of the items that lists the items that must come first."""
    fulfilled_by: tuple[str, ...] = ()
    """Kinds of events that fulfill a prerequisite; where empty, all positive ones that are stronger
    than looking or setting aside (`view`, `bookmark`, ...).
    """
    exclusions: tuple[Exclusion, ...] = ()
    rules: tuple[str, ...] = ()
    """Such as `sodium_mg > 800 when systolic > 140`; see `policy_rules`."""
    available: str | None = None
    """Column of the items that says whether one can be had at all."""
    notice: str | None = None
    """A sentence to show with every slate."""

    def __post_init__(self) -> None:
        for rule in self.rules:
            read_rule(rule)

    @classmethod
    def of_json(cls, said: Mapping[str, Any]) -> Policy:
        """What `dataclasses.asdict` made of it."""
        lists = {name: tuple(said.get(name, ())) for name in ("fulfilled_by", "rules")}
        exclusions = tuple(Exclusion(**e) for e in said.get("exclusions", ()))
        return cls(**{**said, **lists, "exclusions": exclusions})


DEFAULT_POLICY = Policy(repeats_allowed=False)
"""Where no domain is named: what was seen is not shown again."""


RELATIONS = ("shares", "equals", "at_most", "at_least")


@dataclass(frozen=True, kw_only=True)
class Saying:
    """A true sentence about an item and a user, in words of the field."""

    item: str
    """Column of the items."""
    user: str
    """Attribute of the user."""
    relation: str
    """When it is true: `shares` a value, or the item's number `equals`, is `at_most` or `at_least`
    the user's.
    """
    text: str
    """The sentence; `{shared}` stands for what they share, `{item}` and `{user}` for their own
    values.
    """

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            raise BadInput(
                f"relation must be one of {', '.join(RELATIONS)}, got {self.relation!r} "
                f"({self.text!r})"
            )


@dataclass(frozen=True, kw_only=True)
class Example:
    """A small table that shows a pack at work, made by `examples/domains/make.py`."""

    folder: str
    """Where it lies in the repository."""
    shows: str
    """What is true of it, in a sentence."""
    commands: tuple[str, ...]
    """What to type there, in order."""


@dataclass(frozen=True, kw_only=True)
class DomainPack:
    """What is known of a field before its data are seen."""

    name: str
    about: str
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Canonical column name -> what it is called in this field."""
    kinds: Mapping[str, Any] = field(default_factory=dict)
    """What kinds say in this field, as `Kinds.over` takes it."""
    policy: Policy = field(default_factory=Policy)
    metric: str = "ndcg@10"
    """What to evaluate on."""
    metric_why: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Column or attribute -> how the field writes it: `hba1c` is HbA1c."""
    says: tuple[Saying, ...] = ()
    """What explanations say of an item and a user where it is true."""
    example: Example | None = None

    @property
    def metric_name(self) -> str:
        """The metric as evaluation calls it."""
        return self.metric.replace("hitrate", "hit_rate")


NO_DOMAIN = DomainPack(name="none", about="nothing is assumed")


def pack_kinds(pack: DomainPack) -> Kinds:
    """The default kinds with those of a field over them."""
    return Kinds.default().over(pack.kinds, f"domain {pack.name}")


def domains() -> list[str]:
    """Names of the packs there are."""
    entries = (files("metarec.data") / "domains").iterdir()
    return sorted(
        entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml")
    )


def domain(name: str) -> DomainPack:
    """Load a pack.

    Raises:
        BadInput: if there is none of that name.
    """
    if not isinstance(name, str) or name not in domains():
        raise BadInput(f"no domain {shown(name)}; there are {', '.join(domains())}")
    content = tomllib.loads(
        (files("metarec.data") / "domains" / f"{name}.toml").read_text(encoding="utf-8")
    )
    policy = content.get("policy", {})
    return DomainPack(
        name=name,
        about=content["about"],
        synonyms=content.get("columns", {}),
        kinds=content.get("kinds", {}),
        policy=Policy.of_json({**policy, "domain": name}),
        metric=content["metric"]["name"],
        metric_why=content["metric"]["why"],
        labels=content.get("labels", {}),
        says=tuple(Saying(**one) for one in content.get("says", ())),
        example=_example(content["example"], f"examples/domains/{name}"),
    )


def policy_of(given: Policy | str | None) -> Policy | None:
    """A policy as it is, or that of the domain of this name.

    Raises:
        BadInput: if it is neither.
    """
    check_type("policy", given, Policy | str | None, "a Policy or the name of a domain")
    return domain(given).policy if isinstance(given, str) else given


def _example(said: Mapping[str, Any], folder: str) -> Example:
    lines = (line.replace("DATA", folder) for line in said["commands"])
    return Example(folder=folder, shows=said["shows"], commands=tuple(lines))
