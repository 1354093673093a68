"""Read a TOML file that names sources and describes their columns; several sources become one data
set.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Protocol

from metarec.data.cleaning_config import CleaningConfig
from metarec.data.domains import NO_DOMAIN, Policy, domain, pack_kinds
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.names.kind_names import plain_kind
from metarec.data.policies import policy_named
from metarec.data.schema import BadInput
from metarec.data.sources.canonical_tables import Reading, tables_of
from metarec.data.sources.files.file_roles import TABLES
from metarec.data.sources.files.single_file import read_table
from metarec.data.sources.files.suffixes import SUFFIXES, WORKBOOK_SUFFIXES
from metarec.data.tables import Tables, merge

EXAMPLE = """
name = "shop"
domain = "e-commerce"

[kinds]                      # over the domain's and the defaults
view = 0.2                   # strength; the sign stays as it is known
hide = -1                    # negative, strength 1
enquire = { sign = "positive", strength = 0.7, target = true }

[policy]                     # over the domain's; docs/guide/policies.md
available = "in_stock"
rules = ["min_age > 17 when age < 18"]

[cleaning]                   # see CleaningConfig
k_core = 5

[models.ease]                # hyper-parameters; docs/guide/extending.md
regularization = 500

[[sources]]
interactions = "orders.csv"  # files lie beside this one
items = "products.parquet"
kind = "purchase"            # of every event in it
columns = { user_id = "customer", timestamp = "ordered_at" }
item_columns = { item_id = "sku", text = "description" }
context = ["store"]

[[sources]]
database = "$DATABASE_URL"   # tables by name, or SELECTs
interactions = "SELECT customer AS user_id, sku AS item_id, at AS timestamp FROM clicks"
kind = "view"
"""
"""Example with all tables of such a file."""

KEYS = {"name", "domain", "policy", "kinds", "cleaning", "models", "sources"}
OF_TEXT = (*TABLES, "path", "database", "kind", "time_format", "encoding")
"""Keys of a source whose values are text, and keys whose values are lists of names."""
OF_NAMES = ("context", "names", "item_names", "user_names")
"""Keys of a source that hold a text, and a list of names."""
SOURCE_KEYS = {*OF_TEXT, *OF_NAMES, "columns", "item_columns", "user_columns"}


class ReadSource(Protocol):
    """Function that reads a source by its path: `metarec.data.opening.read_source`."""

    def __call__(self, source: Path, rules: CleaningConfig | None, reading: Reading, /) -> Tables:
        """Read a folder or a file of any layout."""


def read_config(
    path: Path,
    rules: CleaningConfig | None,
    domain_asked: str | None,
    *,
    open_path: ReadSource,
) -> Tables:
    """Read every source of a TOML file and merge them.

    Args:
        rules: replaces the file's `[cleaning]`.
        domain_asked: domain given beside the file; the file must name the same or none.
        open_path: reads sources given by `path`, which may have any layout.

    Raises:
        BadInput: if the file is not TOML, has an unknown key or a wrong value, or a source cannot
            be read.
    """
    settings = _load(path)
    tables = {key: _table(settings, key, path) for key in ("policy", "kinds", "cleaning")}
    own_policy = tables["policy"] if "policy" in settings else None
    policy = policy_named(settings.get("domain"), domain_asked, own_policy, path)
    named = settings.get("domain", domain_asked)
    pack = domain(named) if named is not None else NO_DOMAIN
    stated = CleaningConfig.of(tables["cleaning"], str(path)) if "cleaning" in settings else None
    place = f"{path}, [kinds]"
    kinds = pack_kinds(pack).over(tables["kinds"], place)
    sources = _sources(settings, path)
    reading = Reading(
        synonyms=pack.synonyms,
        kinds=kinds,
        rules=rules or stated or CleaningConfig(),
        is_whole=len(sources) == 1,
    )
    parts = [
        _read_source(path, source, f"{path}, source {number}", reading, open_path)
        for number, source in enumerate(sources, start=1)
    ]
    read = merge(parts, str(settings.get("name", path.resolve().parent.name)))
    if not read.interactions.height:
        raise BadInput(f"{path}: none of its {len(parts)} sources has interactions")
    return replace(
        read,
        rules=rules or stated,
        kinds=_kinds_of_all(kinds, parts, tables["kinds"], place),
        policy=_policy_of_all(policy, parts, path),
        models=_models(settings, parts, path),
        findings=[*read.findings, *_unused(tables["kinds"], read, path, sources)],
    )


def _kinds_of_all(
    kinds: Kinds, parts: Sequence[Tables], file_kinds: Mapping[str, Any], place: str
) -> Kinds:
    """Return the kinds of the file, over those of its sources that are TOML files themselves."""
    further = {
        name: kind
        for part in parts
        for name, kind in part.kinds.entries.items()
        if kinds.entries.get(name) != kind
    }
    return Kinds({**kinds.entries, **further}).over(file_kinds, place)


def _unused(
    file_kinds: Mapping[str, Any], tables: Tables, path: Path, sources: Sequence[Mapping[str, Any]]
) -> list[Finding]:
    """Return findings on kinds of the file without events, and on tables beside it that it does not
    name.
    """
    return [*_unused_kinds(file_kinds, tables, path.name), *_unread_tables(path, sources)]


def _unused_kinds(file_kinds: Mapping[str, Any], tables: Tables, place: str) -> list[Finding]:
    """Return findings on kinds in `[kinds]` without events and with a similar name among the
    events' kinds.
    """
    events = tables.interactions
    there = events["kind"].unique().to_list() if "kind" in events.columns else []
    by_plain = {plain_kind(kind): kind for kind in there}
    findings = []
    for name in file_kinds:
        other = [k for k in by_plain if k not in {plain_kind(n) for n in file_kinds}]
        similar = get_close_matches(plain_kind(name), other, n=1, cutoff=0.7)
        if plain_kind(name) not in by_plain and similar and not Kinds.default().known(name):
            why = (
                f"[kinds] of {place} names {name!r}, and no event is of that kind; is "
                f"{by_plain[similar[0]]!r} meant?"
            )
            findings.append(Finding(rule="kinds", rows=0, action="noted", why=why))
    return findings


def _models(
    settings: Mapping[str, Any], parts: Sequence[Tables], path: Path
) -> dict[str, Mapping[str, Any]]:
    """Return model -> hyper-parameters, of the file over those of its sources. Names are not
    checked here.

    Raises:
        BadInput: if a value in `[models]` is not a table.
    """
    file_models = _table(settings, "models", path)
    for name, values in file_models.items():
        if not isinstance(values, Mapping):
            raise BadInput(
                f"{path}: [models] holds a table for each model, got {name} = {values!r}"
            )
    return {name: values for part in parts for name, values in part.models.items()} | file_models


def _policy_of_all(policy: Policy | None, parts: Sequence[Tables], path: Path) -> Policy | None:
    """Return the policy of the file and its sources; None where none has one.

    Raises:
        BadInput: if two of them differ.
    """
    policies = [part.policy for part in parts if part.policy is not None]
    if policy is not None:
        pack = None if policy.domain is None else domain(policy.domain).policy
        policies = [*(one for one in policies if one != pack), policy]
    odd = next((one for one in policies if one != policies[0]), None)
    if odd is not None:
        raise BadInput(
            f"{path}: its sources have different policies (of domains "
            f"{policies[0].domain!r} and {odd.domain!r}); say it in this file only"
        )
    return policies[0] if policies else None


def _load(path: Path) -> dict[str, Any]:
    """Parse the file.

    Raises:
        BadInput: if it is not TOML or has an unknown key.
    """
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise BadInput(f"{path} is not a TOML file: {error}") from error
    odd = sorted(set(settings) - KEYS)
    if odd:
        raise BadInput(
            f"{path}: nothing is known of {odd[0]!r}; there are {', '.join(sorted(KEYS))}"
        )
    return settings


def _table(settings: Mapping[str, Any], key: str, place: object) -> dict[str, Any]:
    """Return the table of a key; empty without one.

    Raises:
        BadInput: if the value is not a table.
    """
    value = settings.get(key, {})
    if not isinstance(value, dict):
        raise BadInput(f"{place}: {key} must be a table, got {value!r}")
    return value


def _sources(settings: Mapping[str, Any], path: Path) -> list[dict[str, Any]]:
    """Return the tables of `[[sources]]`.

    Raises:
        BadInput: if there are none.
    """
    sources = settings.get("sources")
    if isinstance(sources, list) and sources and all(isinstance(s, dict) for s in sources):
        return sources
    raise BadInput(f'{path} names no source; add [[sources]] with interactions = "events.csv"')


def _reading_of(source: Mapping[str, Any], place: str, reading: Reading) -> Reading:
    """Return the reading of a source: that of the file with the settings of the source.

    Raises:
        BadInput: if a key is unknown or a value has the wrong type.
    """
    odd = sorted(set(source) - SOURCE_KEYS)
    if odd:
        raise BadInput(
            f"{place}: nothing is known of {odd[0]!r}; there are {', '.join(sorted(SOURCE_KEYS))}"
        )
    _check_types(source, place)
    return replace(
        reading,
        columns=_table(source, "columns", place),
        item_columns=_table(source, "item_columns", place),
        user_columns=_table(source, "user_columns", place),
        kind=source.get("kind"),
        kind_by_name=None if reading.is_whole else _name_of(source),
        context=source.get("context"),
        time_format=source.get("time_format"),
        encoding=source.get("encoding"),
        names=source.get("names"),
        item_names=source.get("item_names"),
        user_names=source.get("user_names"),
    )


def _check_types(source: Mapping[str, Any], place: str) -> None:
    """Refuse values that are not text, or not lists of text, where these are needed."""
    for key in (k for k in OF_TEXT if k in source):
        if not isinstance(source[key], str):
            raise BadInput(f"{place}: {key} must be a text, got {source[key]!r}")
    for key in (k for k in OF_NAMES if k in source):
        names = source[key]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise BadInput(f'{place}: {key} must be a list such as ["store"], got {names!r}')


def _read_source(
    path: Path, source: Mapping[str, Any], place: str, reading: Reading, open_path: ReadSource
) -> Tables:
    """Read one source, given by a path, a database, or a file per table."""
    reading = _reading_of(source, place, reading)
    parts = {name: str(source[name]) for name in TABLES if name in source}
    if "database" in source:
        from metarec.data.sources.layouts.sql_database import read_sql

        url = _database_beside(path, _filled(str(source["database"]), place))
        return read_sql(url, reading, parts or None)
    if "path" in source:
        return open_path(_beside(path, str(source["path"])), reading.rules, reading)
    if not parts:
        raise BadInput(f"{place} says neither path, database, interactions, items nor users")
    columns = {"interactions": reading.names, "items": reading.item_names}
    raw = {
        name: read_table(
            _beside(path, file), reading.encoding, columns.get(name, reading.user_names)
        )
        for name, file in parts.items()
    }
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
    """Return the path of a file named in the TOML file, relative to the TOML file's folder."""
    return path.parent / Path(file).expanduser()


def _name_of(source: Mapping[str, Any]) -> str | None:
    """Return the name of a source, from its file or its database table; None for a SELECT."""
    source_name = source.get("interactions", source.get("path"))
    if not isinstance(source_name, str) or " " in source_name.strip():
        return None
    return (
        Path(source_name).name.split(".")[0]
        if "database" not in source
        else source_name.split(".")[-1]
    )


def _database_beside(path: Path, url: str) -> str:
    """Return a URL whose SQLite file is relative to the TOML file's folder if it exists there, else
    to the working directory.
    """
    file = url.removeprefix("sqlite:///")
    if file == url or not (path.parent / file).is_file():
        return url
    return f"sqlite:///{(path.parent / file).resolve()}"


def _filled(url: str, place: str) -> str:
    """Return a URL with `$NAME` replaced by environment variables, so that files need not hold
    passwords.

    Raises:
        BadInput: if a variable is not set.
    """
    filled = os.path.expandvars(url)
    if "$" in filled:
        raise BadInput(
            f"{place}: database = {url!r} names a variable that is not set in the environment"
        )
    return filled


def _unread_tables(path: Path, sources: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Return findings on items, users, friends and searches in files beside the TOML file, where no
    source names such a table or reads the whole folder.
    """
    folder, findings = path.parent, list[Finding]()
    if any((folder / str(one["path"])).resolve() == folder.resolve() for one in _by_path(sources)):
        return []
    named = {(folder / str(file)).resolve() for one in sources for file in one.values()}
    for table in TABLES[1:]:
        beside = (folder / f"{table}{suffix}" for suffix in (*SUFFIXES, *WORKBOOK_SUFFIXES))
        file = next((one for one in beside if one.is_file() and one.resolve() not in named), None)
        if file is None or any(table in one for one in sources):
            continue
        why = (
            f"{file.name} lies beside {path.name} and is not read, since no source there names "
            f'{table}; add {table} = "{file.name}" to one'
        )
        findings.append(Finding(rule="sources", rows=0, action="noted", why=why, table=table))
    return findings


def _by_path(sources: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the sources given by `path`."""
    return [one for one in sources if "path" in one]
