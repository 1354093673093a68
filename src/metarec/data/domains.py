"""Domain packs: the column names, kinds of events and policy of a field of use; plain data in
`domains/*.toml`.
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
    """Rules that slates must obey: which items are not shown to whom, and a notice."""

    domain: str | None = None
    """Name of the domain pack the policy came from; None where it came from none."""
    repeats_allowed: bool = True
    """Whether items of the user's history may be recommended again (bread) or not (a course
    passed).
    """
    prerequisite_column: str | None = None
    """Item column that lists the prerequisite items; None where there are none."""
    fulfilled_by: tuple[str, ...] = ()
    """Kinds of events that fulfill a prerequisite; where empty, all positive ones that are stronger
    than looking or setting aside (`view`, `bookmark`, ...).
    """
    exclusions: tuple[Exclusion, ...] = ()
    rules: tuple[str, ...] = ()
    """Rules as text, such as `sodium_mg > 800 when systolic > 140`; see `policy_rules`."""
    available: str | None = None
    """Item column that states whether the item is available; None where there is none."""
    notice: str | None = None
    """A sentence to show with every slate."""

    def __post_init__(self) -> None:
        for rule in self.rules:
            read_rule(rule)

    @classmethod
    def of_json(cls, saved: Mapping[str, Any]) -> Policy:
        """Build a policy from the JSON form of `dataclasses.asdict`."""
        lists = {name: tuple(saved.get(name, ())) for name in ("fulfilled_by", "rules")}
        exclusions = tuple(Exclusion(**e) for e in saved.get("exclusions", ()))
        return cls(**{**saved, **lists, "exclusions": exclusions})


DEFAULT_POLICY = Policy(repeats_allowed=False)
"""Policy where no domain is named: seen items are not shown again."""


RELATIONS = ("shares", "equals", "at_most", "at_least")


@dataclass(frozen=True, kw_only=True)
class SentenceTemplate:
    """Template of a sentence for explanations about an item and a user, with the condition under
    which it is true.
    """

    item: str
    """Column of the items."""
    user: str
    """Attribute of the user."""
    relation: str
    """Condition: item and user have a value in common (`shares`), or the item's number equals the
    user's, is at most it or at least it (`equals`, `at_most`, `at_least`).
    """
    text: str
    """The sentence; `{shared}` stands for the values in common, `{item}` and `{user}` for the
    value of each.
    """

    def __post_init__(self) -> None:
        if self.relation not in RELATIONS:
            raise BadInput(
                f"relation must be one of {', '.join(RELATIONS)}, got {self.relation!r} "
                f"({self.text!r})"
            )


@dataclass(frozen=True, kw_only=True)
class Example:
    """A small data set that demonstrates a domain pack, made by `examples/domains/make.py`."""

    folder: str
    """Path of its folder in the repository."""
    shows: str
    """What the example demonstrates, in a sentence."""
    commands: tuple[str, ...]
    """Commands to run, in order."""


@dataclass(frozen=True, kw_only=True)
class DomainPack:
    """Defaults of a field of use, before its data are seen."""

    name: str
    about: str
    synonyms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Canonical column name -> names of that column in this field."""
    kinds: Mapping[str, Any] = field(default_factory=dict)
    """Kinds of events of this field, in the form of `Kinds.over`."""
    policy: Policy = field(default_factory=Policy)
    metric: str = "ndcg@10"
    """Metric to evaluate by, with its k."""
    metric_why: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Column or attribute -> its spelling for display: `hba1c` is shown as HbA1c."""
    says: tuple[SentenceTemplate, ...] = ()
    """Sentences of explanations, each used where its condition holds."""
    example: Example | None = None

    @property
    def metric_name(self) -> str:
        """Name of the metric in the evaluation package."""
        return self.metric.replace("hitrate", "hit_rate")


NO_DOMAIN = DomainPack(name="none", about="nothing is assumed")


def pack_kinds(pack: DomainPack) -> Kinds:
    """Return the default kinds, changed by those of a domain pack."""
    return Kinds.default().over(pack.kinds, f"domain {pack.name}")


def domains() -> list[str]:
    """Return the names of all domain packs, sorted."""
    entries = (files("metarec.data") / "domains").iterdir()
    return sorted(
        entry.name.removesuffix(".toml") for entry in entries if entry.name.endswith(".toml")
    )


def domain(name: str) -> DomainPack:
    """Load the domain pack of this name.

    Raises:
        BadInput: if there is none; the message lists the names.
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
        says=tuple(SentenceTemplate(**one) for one in content.get("says", ())),
        example=_example(content["example"], f"examples/domains/{name}"),
    )


def policy_of(policy: Policy | str | None) -> Policy | None:
    """Return a policy as given, or the policy of the domain of that name; None stays None.

    Raises:
        BadInput: if the argument is neither, or no domain has the name.
    """
    check_type("policy", policy, Policy | str | None, "a Policy or the name of a domain")
    return domain(policy).policy if isinstance(policy, str) else policy


def _example(table: Mapping[str, Any], folder: str) -> Example:
    lines = (line.replace("DATA", folder) for line in table["commands"])
    return Example(folder=folder, shows=table["shows"], commands=tuple(lines))
