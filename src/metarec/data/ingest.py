"""Clean more events than fit in memory: a share of the users at a time, into a data folder.

Every rule but `k_core` looks at single rows or at one user's events, so users can be cleaned
separately. Decisions on the data as a whole (the rating scale, whether the catalog is complete,
whether values are ratings) are made on the first share, whose users are drawn by a hash of their
ids, and apply to all shares.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path

import polars as pl

from metarec.data.cleaning.clean import apply_rules
from metarec.data.cleaning.report import DataReport, report_of
from metarec.data.cleaning.rules import rating_scale
from metarec.data.cleaning.statistics import Tally, facts, tally
from metarec.data.cleaning_config import CleaningConfig
from metarec.data.dataset import Dataset
from metarec.data.download import Progress
from metarec.data.events.rows import Place
from metarec.data.events.times import HOURS_FROM_UTC
from metarec.data.events.validity import valid_events
from metarec.data.findings import Finding, merged
from metarec.data.kinds import Kinds
from metarec.data.names.column_matching import key_of, renamed
from metarec.data.schema import BadInput, Interactions
from metarec.data.sources.acts.kind_columns import likely_kind
from metarec.data.sources.canonical_tables import Reading
from metarec.data.sources.columns.id_columns import likely_ids, without_row_ids
from metarec.data.sources.columns.item_and_user_columns import LOOKED_AT
from metarec.data.sources.files.containers import unpacked_tables
from metarec.data.sources.files.file_roles import Files, files_of
from metarec.data.sources.files.folder_files import tables_in
from metarec.data.sources.files.kind_by_file_name import kind_of_name, refusing
from metarec.data.sources.files.legends import (
    Legends,
    coded_by,
    legend_finding,
    legend_of,
    name_of_acts,
    named_by,
)
from metarec.data.sources.files.single_file import read_table
from metarec.data.sources.files.suffixes import PARQUET_SUFFIXES, suffix_of
from metarec.data.sources.layouts.data_folder import read_sides
from metarec.data.sources.rows.impressions import of_impressions
from metarec.data.sources.rows.log_envelopes import only_events, opened
from metarec.data.sources.text.delimited import written_as_parquet
from metarec.data.sources.text.encoding import as_utf8
from metarec.data.sources.values.cell_types import flat
from metarec.data.sources.values.rating_columns import with_grades
from metarec.data.sources.values.time_zones import with_offsets
from metarec.data.tables import Tables

HASH_SEED = 20_250_101


def ingest(
    source: str | PathLike[str],
    folder: str | PathLike[str],
    config: CleaningConfig | None = None,
    *,
    rows_at_once: int = 5_000_000,
    progress: Progress | None = None,
) -> DataReport:
    """Clean a data folder, or a file of events, into another data folder, in memory that does not
    grow with the number of events.

    Args:
        source: a data folder or one file: Parquet, CSV or JSON Lines.
        folder: where the cleaned data folder is written, all of it or none; it must not exist yet.
        rows_at_once: about how many events are held at a time; a million need some 0.3 GB.
        progress: called with a message for each share of the users.

    Raises:
        BadInput: as `metarec.read`; if `folder` exists; or if `k_core` is asked for, which needs
            all users at once.
    """
    config, source, folder = (
        config or CleaningConfig(),
        Path(source).expanduser(),
        Path(folder).expanduser(),
    )
    if config.k_core:
        raise BadInput(
            "k_core looks at all users at once and cannot be part of ingest; clean what was "
            "ingested with it"
        )
    if folder.exists():
        raise BadInput(f"{folder} exists; give a folder that does not")
    if rows_at_once < 1:
        raise BadInput(f"rows_at_once must be 1 or more, got {rows_at_once}")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with unpacked_tables(source) as (where, findings):
        return _into_folder(where, folder, config, rows_at_once, progress, findings)


def _into_folder(
    source: Path,
    folder: Path,
    config: CleaningConfig,
    rows_at_once: int,
    progress: Progress | None,
    findings: list[Finding],
) -> DataReport:
    half = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        report = _ingest(source, half, config, rows_at_once, progress, findings)
        shutil.rmtree(half / "parts")
        half.chmod(0o755)
        half.replace(folder)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return report


def _ingest(
    source: Path,
    half: Path,
    config: CleaningConfig,
    rows_at_once: int,
    progress: Progress | None,
    early_findings: list[Finding],
) -> DataReport:
    files = _files_of(source)
    path = files.tables["interactions"]
    scratch = half / "parts"
    scratch.mkdir()
    scan, place, read = _lazy(path, scratch, files)
    sides = Tables(interactions=pl.DataFrame())
    if source.is_dir():
        sides = read_sides(source, Reading(rules=config))
    findings = [*early_findings, *files.findings, *read, *sides.findings]
    first, parts = None, list[Tally]()
    for number, (rows, where) in enumerate(_shares(scan, place, rows_at_once)):
        if progress:
            progress(f"part {number + 1}: {rows.height:,} events")
        data = _cleaned(rows, where, sides, first, config, findings)
        if not len(data.interactions):
            continue  # the findings state the reason
        if first is None:
            first, config = data, _settings_after_first(data, config, findings)
        if sides.items is not None:
            sides = replace(sides, items=data.items.frame)  # with the items added for this share
        data.interactions.frame.write_parquet(scratch / f"clean-{number:05d}.parquet")
        parts.append(tally(data))
    if first is None:
        raise BadInput(_nothing_left(path, findings))
    invented = _invented(scan.collect_schema().names(), first.interactions)
    return _written(half, source, sides, first, parts, findings, config, invented)


def _files_of(source: Path) -> Files:
    if source.is_dir():
        files = files_of(source, refuse=partial(refusing, kinds=Kinds.default()))
        beside = [] if files.further is None else [files.further.many, files.further.one]
        listed = ", ".join(path.name for path in (*files.refusals, *beside))
        why = f"not read a share of the users at a time: {listed}; join them to their events first"
        left = [Finding(rule="columns", rows=0, action="noted", why=why)] if listed else []
        acts = partial(kind_of_name, kinds=Kinds.default())
        legends = {p: codes for p in tables_in(source) if (codes := legend_of(p, acts))}
        return files._replace(findings=[*files.findings, *left], legends=legends)
    if not source.is_file():
        raise BadInput(
            f"{source} is no data folder with interactions.parquet, .csv or .jsonl, and no such "
            f"file"
        )
    return Files({"interactions": source}, None, [])


def _nothing_left(path: Path, findings: Sequence[Finding]) -> str:
    why = ", ".join(dict.fromkeys(f"{f.rule} ({f.why})" for f in findings if f.rows))
    return (
        f"{path.name}: no events are left after the rules {why}; relax them"
        if why
        else f"{path.name} has no rows; it needs at least one event"
    )


def _invented(columns: Sequence[str], events: Interactions) -> list[str]:
    """Return the columns that reading added and the source lacks; they are not written, so that a
    later reader does not take them for data.
    """
    added = [c for c in ("kind", "value", "timestamp") if c not in columns]
    return added if events.has_time else [*{*added, "timestamp"}]


def _lazy(path: Path, scratch: Path, files: Files) -> tuple[pl.LazyFrame, Place, list[Finding]]:
    """Return a file as a lazy scan with canonical column names, the place of its rows and findings.
    A text file, and events joined from two files, are written as Parquet once, since every share
    reads them again.
    """
    if (joined := files.joined) is not None:
        joined.table.write_parquet(scratch / "raw.parquet")
        scan, place, findings = (
            pl.scan_parquet(scratch / "raw.parquet"),
            joined.place,
            joined.findings,
        )
    elif suffix_of(path) in PARQUET_SUFFIXES:
        scan, place, findings = pl.scan_parquet(path), Place(path.name), list[Finding]()
    else:
        scan, place, findings = _as_parquet(path, scratch / "raw.parquet")
    try:
        names = scan.collect_schema().names()
    except pl.exceptions.PolarsError as error:
        raise BadInput(f"{path} cannot be read: {str(error).strip().splitlines()[0]}") from error
    scan = scan.rename(files.keys)
    names = [files.keys.get(name, name) for name in names]
    head, rows = without_row_ids(scan.head(LOOKED_AT).collect(), path.name, {}, {})
    scan = scan.rename({old: new for old, new in zip(names, head.columns, strict=True)})
    scan, head, coded = _by_legends(scan, head, place, files.legends)
    names = head.columns
    likely, notes = likely_ids(head, path.name, {}, {})
    likely, acts = likely_kind(head, path.name, {}, likely, Kinds.default())
    renames, guessed = renamed(names, "interactions", path.name, None, likely)
    scan = scan.rename(renames)
    rated, grades = _rated(scan, path.name, names)
    return scan.rename(rated), place, [*findings, *rows, *coded, *notes, *acts, *guessed, *grades]


def _by_legends(
    scan: pl.LazyFrame, head: pl.DataFrame, place: Place, legends: Legends
) -> tuple[pl.LazyFrame, pl.DataFrame, list[Finding]]:
    """Replace codes of kinds by the names in the legends, in a scan and in its first rows."""
    findings = list[Finding]()
    for path, meant in legends.items():
        if (column := coded_by(head, path)) is None:
            continue
        codes = scan.select(pl.col(column).unique()).collect().to_series()
        if (names := named_by(codes, meant)) is None:
            continue
        named = pl.col(column).replace_strict(codes, names, return_dtype=pl.Utf8)
        named = named.alias(name_of_acts(head.columns, column))
        scan, head = scan.with_columns(named), head.with_columns(named)
        if named.meta.output_name() != column:
            scan, head = scan.drop(column), head.drop(column)
        findings.append(legend_finding(column, place, path))
    return scan, head, findings


def _rated(
    scan: pl.LazyFrame, name: str, given: Sequence[str]
) -> tuple[dict[str, str], list[Finding]]:
    """Return `{column: "value"}` for the column whose first cells show that it holds ratings, and
    the findings on it; empty where `value` is given or no column shows ratings.
    """
    sample = scan.head(LOOKED_AT).collect()
    read, findings = with_grades(sample, name, given)
    if "value" in sample.columns or "value" not in read.columns:
        return {}, findings
    (column,) = set(sample.columns) - set(read.columns)
    return {column: "value"}, [f for f in findings if repr(column) in f.why]


def _as_parquet(path: Path, target: Path) -> tuple[pl.LazyFrame, Place, list[Finding]]:
    if suffix_of(path) in (".csv", ".tsv", ".txt"):
        source, findings = as_utf8(path)
        if isinstance(source, bytes):
            source = target.with_suffix(".utf8")
            source.write_bytes(as_utf8(path)[0])  # type: ignore[arg-type]  # as asked above
        if (sunk := written_as_parquet(source, target)) is not None:
            scan, more = sunk
            return scan, Place(path.name, "line", 2), [*findings, *more]
    # `read_table` understands more formats, but holds the whole table in memory.
    table, place, findings = only_events(read_table(path))
    table = flat(opened(table))
    table, place, shown = of_impressions(table, key_of(table.columns, "user_id"), place)
    table.write_parquet(target)
    return pl.scan_parquet(target), place, [*findings, *shown]


def _shares(
    scan: pl.LazyFrame, place: Place, rows_at_once: int
) -> Iterator[tuple[pl.DataFrame, Place]]:
    """Yield the rows of one share of the users after another, with their places in the file."""
    total = scan.select(pl.len()).collect().item()
    shares = -(-total // rows_at_once)
    for number in range(shares):
        mine = pl.col("user_id").cast(pl.Utf8).fill_null("").hash(HASH_SEED) % shares == number
        rows = scan.with_row_index("__row").filter(mine).collect(engine="streaming")
        if rows.height:
            at = rows["__row"] if place.rows is None else place.rows.gather(rows["__row"])
            yield rows.drop("__row"), replace(place, rows=at)


def _cleaned(
    rows: pl.DataFrame,
    place: Place,
    sides: Tables,
    first: Dataset | None,
    config: CleaningConfig,
    findings: list[Finding],
) -> Dataset:
    if "value" in rows.columns:  # letters and words
        rows, grades = with_grades(rows, place.name, rows.columns)
        findings += grades
    local = None if first is None else HOURS_FROM_UTC in first.interactions.frame.columns
    events, invalid = valid_events(with_offsets(rows, local), place, config)
    findings += invalid
    interactions = Interactions.of(events)
    if first is not None:
        interactions = replace(
            interactions,
            has_values=first.interactions.has_values,
            has_time=first.interactions.has_time,
            target_kinds=first.interactions.target_kinds | interactions.target_kinds,
        )
    return apply_rules(
        Dataset(
            interactions=interactions,
            items=sides.items,
            users=sides.users,
            relations=sides.relations,
        ),
        config,
        findings,
        is_part=True,
    )


def _settings_after_first(
    first: Dataset, config: CleaningConfig, findings: Sequence[Finding]
) -> CleaningConfig:
    """Return the settings for the remaining shares, with the decisions made on the first share."""
    if first.interactions.has_values and config.stray_values and config.value_scale is None:
        config = replace(config, value_scale=rating_scale(first.interactions.frame["value"]))
    if config.unknown_items == "auto":
        added = any(f.rule == "unknown_items" and f.action == "changed" for f in findings)
        config = replace(config, unknown_items="add" if added else "drop")
    return config


def _written(
    half: Path,
    source: Path,
    sides: Tables,
    first: Dataset,
    parts: Sequence[Tally],
    findings: Sequence[Finding],
    config: CleaningConfig,
    invented: Sequence[str],
) -> DataReport:
    events = pl.scan_parquet(half / "parts" / "clean-*.parquet").drop(invented)
    events.sink_parquet(half / "interactions.parquet")
    items = sides.items
    if items is None:
        items = pl.concat([p.per_item.select("item_id") for p in parts]).unique()
    else:
        items.write_parquet(half / "items.parquet")
    if sides.users is not None:
        sides.users.write_parquet(half / "users.parquet")
    for name, table in (
        ("friends", sides.relations.friends),
        ("searches", sides.relations.searches),
    ):
        if table.height:
            table.write_parquet(half / f"{name}.parquet")
    about = facts(
        parts,
        items,
        first.interactions.has_values,
        config.cold_below,
        0 if sides.users is None else sides.users.height,
    )
    return report_of(source.name.split(".")[0], about, merged(findings))
