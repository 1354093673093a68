"""Domain packs: what columns are called, what acts weigh and what must be heeded in a field; plain
data in `domains/*.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

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
    """Kinds of events that fulfil a prerequisite; where empty, all positive ones that are stronger
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
    """What to judge by."""
    metric_why: str = ""

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
    if name not in domains():
        raise BadInput(f"no domain {name!r}; there are {', '.join(domains())}")
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
    )
