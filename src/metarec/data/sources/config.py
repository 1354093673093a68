"""A TOML file that says where data lie and what their columns mean; several sources become one data
set.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from metarec.data.cleaning_config import CleaningConfig
from metarec.data.domains import NO_DOMAIN, DomainPack, domain, pack_kinds
from metarec.data.kinds import Kinds
from metarec.data.schema import BadInput
from metarec.data.sources.files import read_table
from metarec.data.sources.folder import SIDES, Reading, tables_of
from metarec.data.tables import Tables, merge

EXAMPLE = """
name = "shop"
domain = "e-commerce"

[kinds]                      # over the domain's and the defaults
view = 0.2                   # strength; the sign stays as it is known
hide = -1                    # negative, strength 1
enquire = { sign = "positive", strength = 0.7, target = true }

[cleaning]                   # see CleaningConfig
k_core = 5

[[sources]]
interactions = "orders.csv"  # files lie beside this one
items = "products.parquet"
kind = "purchase"            # of every event in it
columns = { user_id = "customer", timestamp = "ordered_at" }
item_columns = { item_id = "sku", text = "description" }
context = ["store"]

[[sources]]
database = "$DATABASE_URL"   # tables by name, or SELECTs
interactions = "SELECT visitor AS user_id, sku AS item_id, at AS timestamp FROM clicks"
kind = "view"
"""
"""What such a file may say."""

KEYS = {"name", "domain", "kinds", "cleaning", "sources"}
SOURCE_KEYS = {
    "path",
    "interactions",
    "items",
    "users",
    "friends",
    "searches",
    "database",
    "kind",
    "columns",
    "item_columns",
    "user_columns",
    "context",
}


def read_config(path: Path, rules: CleaningConfig | None = None) -> Tables:
    """Read every source of a TOML file and merge them.

    Args:
        rules: instead of the file's own `[cleaning]`.

    Raises:
        BadInput: if the file is no TOML, says something unknown, or a source cannot be read.
    """
    settings = _load(path)
    pack = domain(settings["domain"]) if "domain" in settings else NO_DOMAIN
    own = (
        CleaningConfig.of(_table(settings, "cleaning", path), str(path))
        if "cleaning" in settings
        else None
    )
    kinds = pack_kinds(pack).over(_table(settings, "kinds", path), f"{path}, [kinds]")
    sources = settings.get("sources")
    if (
        not isinstance(sources, list)
        or not sources
        or not all(isinstance(s, dict) for s in sources)
    ):
        raise BadInput(f'{path} names no source; add [[sources]] with interactions = "events.csv"')
    parts = [
        _read_source(path, number, source, pack, kinds, rules or own or CleaningConfig())
        for number, source in enumerate(sources, start=1)
    ]
    tables = merge(parts, str(settings.get("name", path.resolve().parent.name)))
    if not tables.interactions.height:
        raise BadInput(f"{path}: none of its {len(parts)} sources has interactions")
    return replace(tables, rules=rules or own)


def _load(path: Path) -> dict[str, Any]:
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{path} is not a TOML file: {error}") from error
    odd = sorted(set(settings) - KEYS)
    if odd:
        raise BadInput(
            f"{path}: nothing is known of {odd[0]!r}; there are {', '.join(sorted(KEYS))}"
        )
    return settings


def _table(settings: Mapping[str, Any], key: str, place: object) -> dict[str, Any]:
    value = settings.get(key, {})
    if not isinstance(value, dict):
        raise BadInput(f"{place}: {key} must be a table, got {value!r}")
    return value


def _read_source(
    path: Path,
    number: int,
    source: Mapping[str, Any],
    pack: DomainPack,
    kinds: Kinds,
    rules: CleaningConfig,
) -> Tables:
    place = f"{path}, source {number}"
    odd = sorted(set(source) - SOURCE_KEYS)
    if odd:
        raise BadInput(
            f"{place}: nothing is known of {odd[0]!r}; there are {', '.join(sorted(SOURCE_KEYS))}"
        )
    reading = Reading(
        columns=_table(source, "columns", place),
        item_columns=_table(source, "item_columns", place),
        user_columns=_table(source, "user_columns", place),
        synonyms=pack.synonyms,
        kinds=kinds,
        kind=source.get("kind"),
        context=source.get("context"),
        rules=rules,
    )
    parts = {name: str(source[name]) for name in ("interactions", *SIDES) if name in source}
    if "database" in source:
        from metarec.data.sources.sql import read_sql

        return read_sql(_filled(str(source["database"]), place), reading, parts or None)
    if "path" in source:
        from metarec.data.read import open_tables

        return open_tables(_beside(path, str(source["path"])), rules=rules, reading=reading)
    if not parts:
        raise BadInput(f"{place} says neither path, database, interactions, items nor users")
    raw = {name: read_table(_beside(path, file)) for name, file in parts.items()}
    return tables_of(
        raw.get("interactions"),
        raw.get("items"),
        raw.get("users"),
        reading,
        path.stem,
        friends=raw.get("friends"),
        searches=raw.get("searches"),
    )


def _beside(path: Path, file: str) -> Path:
    """A file named in the TOML file: where it says, counted from the TOML file's own folder."""
    return path.parent / Path(file).expanduser()


def _filled(url: str, place: str) -> str:
    """A URL with `$NAME` filled from the environment, so that passwords need not be written
    down.
    """
    filled = os.path.expandvars(url)
    if "$" in filled:
        raise BadInput(
            f"{place}: database = {url!r} names a variable that is not set in the environment"
        )
    return filled
