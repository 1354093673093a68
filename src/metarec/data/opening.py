"""Open a source of any form (folder, file, database, frames) as `Tables`."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

import polars as pl

from metarec.data.arguments import check_type
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.domains import NO_DOMAIN, pack_kinds
from metarec.data.domains import domain as pack_of
from metarec.data.findings import Finding
from metarec.data.frames import id_order
from metarec.data.merged_users import with_merged_users
from metarec.data.schema import BadInput
from metarec.data.sources.canonical_tables import Reading
from metarec.data.sources.columns.id_joins import unmatched_id_findings
from metarec.data.sources.files.containers import AS_CSV, innermost_folder, unpacked_tables
from metarec.data.sources.files.file_roles import table_file
from metarec.data.sources.files.suffixes import (
    ARCHIVE_SUFFIXES,
    SUFFIXES,
    UNPACKED,
    WORKBOOK_SUFFIXES,
    suffix_of,
)
from metarec.data.sources.layouts.data_folder import read_event_file, read_folder
from metarec.data.sources.layouts.movielens import LAYOUTS, is_movielens, read_movielens
from metarec.data.sources.layouts.recbole import read_recbole
from metarec.data.tables import Tables, unknown_kinds

CONFIG_NAME = "metarec.toml"


def open_tables(
    source: str | PathLike[str] | Any,
    *,
    rules: CleaningConfig | None = None,
    reading: Reading | None = None,
    domain: str | None = None,
) -> Tables:
    """Read a source as `Tables`, whose findings list what was left out or assumed."""
    check_type(
        "rules", rules, CleaningConfig | None, "CleaningConfig (metarec.data.cleaning_config)"
    )
    pack = NO_DOMAIN if domain is None else pack_of(domain)
    reading = reading or Reading(
        rules=rules or CleaningConfig(), synonyms=pack.synonyms, kinds=pack_kinds(pack)
    )
    tables = read_source(source, rules, reading, domain)
    tables = _with_unread_items(with_merged_users(tables))
    named = tables.policy if domain is None else tables.policy or pack.policy
    loose = unmatched_id_findings(tables.interactions, tables.items, tables.users)
    findings = [*tables.findings, *unknown_kinds(tables.interactions, tables.kinds), *loose]
    return replace(tables, policy=named, findings=findings)


def _with_unread_items(tables: Tables) -> Tables:
    """Add items that only the events list, without content, where the item table had unreadable
    rows and these are at least as many as the items to add.
    """
    lost = [f for f in tables.findings if f.rule == "unreadable_rows" and f.table == "items"]
    if tables.items is None or not lost:
        return tables
    missing = tables.interactions.select("item_id").unique().sort(id_order("item_id"))
    missing = missing.join(
        tables.items.select("item_id"), on="item_id", how="anti", maintain_order="left"
    )
    if not 0 < missing.height <= sum(finding.rows for finding in lost):
        return tables
    unread = Finding(
        rule="unknown_items",
        rows=missing.height,
        action="changed",
        why="items of events that rows may list which could not be read have no content",
        examples=[f"item {item!r}" for item in missing["item_id"].head(3)],
        table="items",
    )
    items = pl.concat([tables.items, missing], how="diagonal")
    return replace(tables, items=items, findings=[*tables.findings, unread])


def read_source(
    source: str | PathLike[str] | Any,
    rules: CleaningConfig | None,
    reading: Reading,
    domain: str | None = None,
) -> Tables:
    """Read one source, which may be one of several that a TOML file merges."""
    if isinstance(source, str) and "://" in source:
        from metarec.data.sources.layouts.sql_database import read_sql

        return read_sql(source, reading)
    if not isinstance(source, str | PathLike):
        from metarec.data.sources.layouts.data_frames import read_frames

        return read_frames(source, reading)
    path = Path(source).expanduser()
    if not str(path).isprintable() and any("\ud800" <= sign <= "\udfff" for sign in str(path)):
        raise BadInput(f"{str(path)!r} is no name in UTF-8; rename it")
    if not path.exists():
        raise BadInput(
            f"{path} does not exist; give a data folder, a file of events, a TOML file or a "
            f"database URL"
        )
    with unpacked_tables(path) as (where, findings):
        opened = _open_folder if where.is_dir() else _open_file
        tables = opened(where, reading, rules, domain)
    return replace(tables, findings=[*findings, *tables.findings])


def _open_folder(
    folder: Path, reading: Reading, rules: CleaningConfig | None, domain: str | None
) -> Tables:
    if (folder / CONFIG_NAME).is_file():
        from metarec.data.sources.layouts.toml_config import read_config

        return read_config(folder / CONFIG_NAME, rules, domain, open_path=read_source)
    if table_file(folder, "interactions") is not None:
        return read_folder(folder, reading)
    if any(folder.glob("*.inter")):
        return read_recbole(folder, reading)
    if any(is_movielens(folder / name) for name in LAYOUTS):
        return read_movielens(folder, reading)
    where = innermost_folder(folder)
    if where == folder:
        return read_folder(folder, reading)  # which says what is missing
    opened = _open_folder if where.is_dir() else _open_file
    tables = opened(where, reading, rules, domain)
    why = f"{folder.name} holds no other tables than {where.relative_to(folder)}, which was read"
    finding = Finding(rule="columns", rows=0, action="noted", why=why)
    return replace(tables, findings=[finding, *tables.findings])


def _open_file(
    path: Path, reading: Reading, rules: CleaningConfig | None, domain: str | None
) -> Tables:
    suffix = suffix_of(path)
    if suffix == ".toml":
        from metarec.data.sources.layouts.toml_config import read_config

        return read_config(path, rules, domain, open_path=read_source)
    if suffix in (".db", ".sqlite", ".sqlite3"):
        from metarec.data.sources.layouts.sql_database import read_sql

        return read_sql(f"sqlite:///{path}", reading)
    if suffix == ".inter":
        return read_recbole(path.parent, reading)
    if is_movielens(path):
        return read_movielens(path.parent, reading)
    if suffix in SUFFIXES:
        return read_event_file(path, reading)
    if suffix == ".numbers":
        raise BadInput(f"{path} is a workbook of Numbers; {AS_CSV}")
    endings = (*UNPACKED, *WORKBOOK_SUFFIXES, *ARCHIVE_SUFFIXES, ".sql", ".inter")
    raise BadInput(
        f"{path}: no reader for {suffix or 'a file without an ending'}; files of events end in "
        f"{', '.join(endings)}, .db or .toml, those of text also in .csv.gz and the like"
    )
