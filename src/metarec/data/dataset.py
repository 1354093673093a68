"""The `Dataset`: events, items and users that belong together, from which every fit starts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from metarec.data.arguments import check_type
from metarec.data.cleaning_config import OFF, CleaningConfig
from metarec.data.domains import Policy, policy_of
from metarec.data.errors import BadInput
from metarec.data.frames import id_order
from metarec.data.kinds import Kinds
from metarec.data.opening import open_tables
from metarec.data.relations import Relations
from metarec.data.schema import Catalog, DataWarning, Interactions, Profiles
from metarec.data.sources.canonical_tables import Reading
from metarec.data.tables import Tables


@dataclass(frozen=True, kw_only=True, init=False)
class Dataset:
    """Events, items and users that belong together; items or users may be left out and are then
    taken from the events.
    """

    interactions: Interactions
    items: Catalog
    users: Profiles
    name: str
    policy: Policy | None = None
    """Policy that slates must obey, from the data's TOML file or a domain; None where neither
    names one.
    """
    relations: Relations
    """Friends and searches of users."""
    models: Mapping[str, Mapping[str, Any]]
    """Hyper-parameters of models, where the data's TOML file sets some (`[models.ease]`)."""
    cleaning: CleaningConfig
    """Cleaning that a fit runs first. `OFF` for data already cleaned, and for data given as
    `Interactions`, which are used unchanged.
    """

    def __init__(
        self,
        *,
        interactions: Any,
        items: Any = None,
        users: Any = None,
        name: str = "data",
        policy: Policy | str | None = None,
        kinds: Kinds | None = None,
        relations: Relations | None = None,
        models: Mapping[str, Mapping[str, Any]] | None = None,
        cleaning: CleaningConfig | None = None,
    ) -> None:
        check_type("name", name, str, "a text")
        check_type("kinds", kinds, Kinds | None, "Kinds (metarec.data.kinds.Kinds.default())")
        check_type("relations", relations, Relations | None, "Relations (metarec.data.relations)")
        check_type("models", models, Mapping | None, "settings by the ids of models")
        what = "CleaningConfig (metarec.data.cleaning_config)"
        check_type("cleaning", cleaning, CleaningConfig | None, what)
        if cleaning is None:
            cleaning = OFF if isinstance(interactions, Interactions) else CleaningConfig()
        if not isinstance(interactions, Interactions):
            checked = _checked(interactions, items, users, kinds)
            interactions, items, users = checked.interactions, checked.items, checked.users
        elif kinds is not None:
            interactions = Interactions.of(interactions.frame, kinds)
        fields = {
            "interactions": interactions,
            "items": _catalog(items, interactions),
            "users": _profiles(users, interactions),
            "name": name,
            "policy": policy_of(policy),
            "relations": relations or Relations(),
            "models": models or {},
            "cleaning": cleaning,
        }
        for field, value in fields.items():
            object.__setattr__(self, field, value)

    def __repr__(self) -> str:
        events, items, users = (
            len(part.frame) for part in (self.interactions, self.items, self.users)
        )
        return f"Dataset({self.name}: {events:,} events, {users:,} users, {items:,} items)"

    @classmethod
    def of(cls, tables: Tables) -> Dataset:
        """Build a data set from the tables of a source."""
        return cls(
            interactions=Interactions.of(tables.interactions, tables.kinds),
            items=None if tables.items is None else Catalog.of(tables.items),
            users=None if tables.users is None else Profiles.of(tables.users),
            name=tables.name,
            policy=tables.policy,
            relations=tables.relations,
            models=tables.models,
            cleaning=tables.rules or CleaningConfig(),
        )

    def with_interactions(self, frame: pl.DataFrame) -> Dataset:
        """The same items and users with other events."""
        return replace(self, interactions=self.interactions.keep(frame))


def _catalog(items: Any, events: Interactions) -> Catalog:
    """Return the given items as a `Catalog`; None takes the item ids of the events."""
    if isinstance(items, Catalog):
        return items
    if items is None:
        items = events.frame.select("item_id").unique().sort(id_order("item_id"))
    return Catalog.of(items)


def _profiles(users: Any, events: Interactions) -> Profiles:
    """Return the given users as `Profiles`; None takes the user ids of the events."""
    if isinstance(users, Profiles):
        return users
    if users is None:
        users = events.frame.select("user_id").unique().sort(id_order("user_id"))
    return Profiles.of(users)


def check_data(data: Dataset) -> None:
    """Refuse an argument that is not a `Dataset`, such as a path.

    Raises:
        BadInput: naming what was given.
    """
    check_type("data", data, Dataset, "a Dataset (metarec.read reads one)")


def check_accepts(data: Dataset) -> None:
    """Refuse data without any positive event: a recommender cannot learn from them.

    Raises:
        BadInput: naming the kinds.
    """
    acts = data.interactions.acts()
    if ((acts["sign"] > 0) & ~acts["is_undo"]).any():
        return
    raise BadInput(nothing_accepted(data))


def nothing_accepted(data: Dataset) -> str:
    """Error message for data without a positive event; it names the three most frequent kinds."""
    kinds = data.interactions.frame["kind"].value_counts(sort=True).head(3)
    named = ", ".join(f"{kind} {count:,}" for kind, count in kinds.iter_rows())
    return (
        f"{data.name}: no event says, in the end, that a user liked or took an item ({named}); "
        "give such events, or say in [kinds] what a kind means"
    )


def _checked(interactions: Any, items: Any, users: Any, kinds: Kinds | None) -> Dataset:
    """Build a data set from frames, checked as by `metarec.read`; each finding is a warning."""
    sides = {"items": items, "users": users}
    ready = {n: s for n, s in sides.items() if isinstance(s, Catalog | Profiles)}
    frames = {"interactions": interactions} | {
        n: s.frame if isinstance(s, Catalog | Profiles) else s for n, s in sides.items()
    }
    tables = open_tables(frames, reading=Reading(kinds=kinds or Kinds.default()))
    for finding in tables.findings:
        warnings.warn(finding.line(), DataWarning, stacklevel=4)
    data = Dataset.of(tables)
    return Dataset(
        interactions=data.interactions,
        items=ready.get("items", data.items),
        users=ready.get("users", data.users),
    )
