"""Domain packs: what columns are called, what acts weigh and what must be heeded in a field; plain
data in `domains/*.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from metarec.data.kinds import Kinds
from metarec.data.schema import BadInput


@dataclass(frozen=True, kw_only=True)
class Exclusion:
    """An item must never be shown to a person when its column shares a value with the person's
    attribute.
    """

    item_column: str
    profile_attribute: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """What a slate must heed in a field."""

    repeats_allowed: bool = True
    """Whether something taken before may be recommended again (bread) or not (a course passed)."""
    prerequisite_column: str | None = None
    """Column of the items that lists the items that must come first."""
    exclusions: tuple[Exclusion, ...] = ()
    notice: str | None = None
    """A sentence to show with every slate."""


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
        policy=Policy(
            **{**policy, "exclusions": tuple(Exclusion(**e) for e in policy.get("exclusions", []))}
        ),
        metric=content["metric"]["name"],
        metric_why=content["metric"]["why"],
    )
