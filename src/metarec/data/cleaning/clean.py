"""Cleaning: run the rules on a data set and report each one's removals; the given data set does
not change.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from os import PathLike
from typing import Any

import polars as pl

from metarec.data.cleaning import rules
from metarec.data.cleaning.bots import bots
from metarec.data.cleaning.report import DataReport, report_on
from metarec.data.cleaning.rules import Coded, RuleResult, coded
from metarec.data.cleaning_config import OFF, CleaningConfig
from metarec.data.dataset import Dataset
from metarec.data.errors import DataWarning
from metarec.data.events.rows import Place
from metarec.data.events.validity import valid_events
from metarec.data.findings import Finding
from metarec.data.frames import id_order, in_order
from metarec.data.opening import open_tables
from metarec.data.schema import BadInput, Catalog

MAX_ZEROS, MIN_ZEROS = 0.02, 0.01
"""Shares of ratings from which on zeros are noted; the second applies where zeros outnumber the
lowest of the other ratings.
"""
HEAVY_SHARE, HEAVY_TIMES, MIN_HEAVY = 0.1, 5, 30
"""A user is noted as heavy with at least this share of all events, this many times the mean number
of events per user, and this many events.
"""
MAX_UNKNOWN = 0.1
"""Above this share of events on unlisted items the item table is taken to be incomplete."""


def check(source: str | PathLike[str] | Any, config: CleaningConfig | None = None) -> DataReport:
    """Read and clean a source and return the data report; nothing is written.

    Raises:
        BadInput: as `metarec.read`.
    """
    return read_clean(source, config)[1]


def read_clean(
    source: str | PathLike[str] | Any,
    config: CleaningConfig | None = None,
    *,
    domain: str | None = None,
) -> tuple[Dataset, DataReport]:
    """Read and clean a source; the report also counts the rows that reading left out. For
    `domain` see `metarec.read`.
    """
    tables = open_tables(source, rules=config, domain=domain)
    return clean(Dataset.of(tables), config or tables.rules, findings=tables.findings)


def clean(
    data: Dataset, config: CleaningConfig | None = None, findings: Sequence[Finding] = ()
) -> tuple[Dataset, DataReport]:
    """Remove events that no human can have meant, and report what was removed.

    Args:
        config: None uses the settings of the data (`Dataset.cleaning`), or the defaults where the
            data is marked as cleaned.
        findings: what reading found, for the report.

    Raises:
        BadInput: if nothing is left.
    """
    stated_config = CleaningConfig() if data.cleaning == OFF else data.cleaning
    config, all_findings = config or stated_config, list(findings)
    data = replace(apply_rules(data, config, all_findings), cleaning=OFF)
    return data, report_on(data, all_findings, config)


def cleaned(data: Dataset) -> Dataset:
    """Clean data as `metarec fit` and `metarec evaluate` do, with a `DataWarning` for each finding;
    data marked as cleaned is returned as it is.

    Raises:
        BadInput: if nothing is left.
    """
    if data.cleaning == OFF:
        return data
    findings: list[Finding] = []
    data = replace(apply_rules(data, data.cleaning, findings), cleaning=OFF)
    for finding in findings:
        warnings.warn(f"{data.name}: {finding.line()}", DataWarning, stacklevel=4)
    return data


def apply_rules(
    data: Dataset, config: CleaningConfig, findings: list[Finding], *, is_part: bool = False
) -> Dataset:
    """Clean without a report; findings are appended to `found`.

    Args:
        is_part: whether the data is one share of a larger data set, which may end up empty.

    Raises:
        BadInput: if no events are left and the data is no share.
    """
    data = _known_items(_valid(data, config, findings), config, findings)
    events = coded(data)
    findings += _zeros(events) if config.value_scale is None else []
    for name, rule in _rules(data, config):
        for result in rule(events):
            fewer = events.without(result.rows) if result.rows.len() else events
            count = events.frame.height - fewer.frame.height
            if not fewer.frame.height and not is_part:
                raise BadInput(
                    f"{data.name}: no events are left after the rule {name} ({result.why}); "
                    f"relax it"
                )
            if count:
                findings.append(
                    Finding(
                        rule=name,
                        rows=count,
                        action="removed",
                        why=result.why,
                        examples=_examples(data, result.rows),
                    )
                )
            events = fewer
            if not events.frame.height:
                return data.with_interactions(data.interactions.frame.clear())
    findings += [] if is_part else _heavy_users(data, events)
    if events.frame.height < len(data.interactions):
        data = data.with_interactions(data.interactions.frame[events.frame["row"]])
    return data


Rule = Callable[[Coded], Iterator[RuleResult]]


def _rules(data: Dataset, config: CleaningConfig) -> list[tuple[str, Rule]]:
    """Return names and functions of the rules in order: rules on rows run before those on users, so
    that duplicates do not make a user look like a bot.
    """
    return [
        ("without_users", lambda e: rules.without_users(e, data, config)),
        ("stray_values", lambda e: rules.stray_values(e, config)),
        ("duplicates", lambda e: rules.duplicates(e, data, config)),
        ("cancelled", lambda e: rules.cancelled(e, config)),
        ("double_clicks", lambda e: rules.double_clicks(e, config)),
        ("bots", lambda e: bots(e, config)),
        ("bursts", lambda e: rules.bursts(e, config)),
        ("repeats", lambda e: rules.repeats(e, config)),
        ("k_core", lambda e: rules.k_core(e, config)),
    ]


def _valid(data: Dataset, config: CleaningConfig, all_findings: list[Finding]) -> Dataset:
    """Apply the rules on cells, for data built by hand rather than read from a file; times are not
    checked where the clock is synthetic.
    """
    events = data.interactions
    if not events.has_time:
        config = replace(config, time_units=False, impossible_times=False)
    frame, findings = valid_events(events.frame, Place(data.name), config)
    noted = {f.rule for f in all_findings if f.action == "noted"}  # while reading the file
    findings = [f for f in findings if f.action != "noted" or f.rule not in noted]
    if not findings:
        return data
    all_findings += findings
    return data.with_interactions(in_order(frame))


def _zeros(events: Coded) -> list[Finding]:
    """Note ratings of 0 beside a scale that begins at 1 or above; they often stand for events
    without a rating.
    """
    ratings = events.frame["value"].drop_nulls()
    zeros, above = int((ratings == 0).sum()), ratings.filter(ratings != 0)
    # Polars types min() as any literal
    if not events.has_values or not len(above) or float(above.min()) < 1:  # type: ignore[arg-type]
        return []
    lowest = int((above == above.min()).sum())
    is_odd = zeros > max(lowest, MIN_ZEROS * len(ratings))  # the lowest rating is a rare one
    if not (is_odd or zeros >= MAX_ZEROS * len(ratings)) or above.n_unique() < 2:
        return []
    why = (
        "ratings of 0 beside others of 1 or more count as the lowest; if they stand for events "
        "without a rating, say so in [cleaning]: implicit_values = [0]"
    )
    return [Finding(rule="zero_ratings", rows=zeros, action="noted", why=why)]


def _heavy_users(data: Dataset, events: Coded) -> list[Finding]:
    """Note users with so large a share of all events that the models depend on them."""
    counts = events.frame.group_by("user").agg(pl.len(), pl.col("row").first())
    least = events.frame.height * max(HEAVY_SHARE, HEAVY_TIMES / max(counts.height, 1))
    heavy = counts.filter(pl.col("len") >= max(least, MIN_HEAVY)).sort("len", descending=True)
    heavy_users = []
    for _, rows, row in heavy.iter_rows():
        user = data.interactions.frame["user_id"][row]
        share = f"{rows / events.frame.height:.0%}"
        why = (
            f"user {user!r} has {share} of all events; popularity and what goes with what lean on "
            "one user; if it is a bot, a test or a shared account, leave it out in [cleaning] with "
            f"without_users = [{json.dumps(user, ensure_ascii=False)}]"
        )
        heavy_users.append(Finding(rule="heavy_users", rows=rows, action="noted", why=why))
    return heavy_users


def _known_items(data: Dataset, config: CleaningConfig, findings: list[Finding]) -> Dataset:
    """Drop the events on items that the catalog does not list, or add the items to it."""
    if config.unknown_items == "keep":
        return data
    unknown = (
        data.interactions.frame.join(data.items.frame.select("item_id"), on="item_id", how="anti")
        .group_by("item_id")
        .len()
        .sort("len", "item_id", descending=[True, False])
    )
    rows = int(unknown["len"].sum())
    if not rows:
        return data
    drop = config.unknown_items == "drop" or (
        config.unknown_items == "auto" and rows <= MAX_UNKNOWN * len(data.interactions)
    )
    if drop and rows == len(data.interactions):
        raise BadInput(
            f"{data.name}: none of the events is on an item of the item table (events say "
            f"{unknown['item_id'][0]!r}, "
            f"items say {data.items.frame['item_id'].head(1).to_list()}); do both use the same ids?"
        )
    examples = [f"item {i!r}, {n:,} events" for i, n in unknown.head(3).iter_rows()]
    why = "the item table does not list the event's item"
    finding = Finding(rule="unknown_items", rows=rows, action="removed", why=why, examples=examples)
    if drop:
        findings.append(finding)
        listed = data.items.frame.select("item_id")
        events = data.interactions.frame.join(
            listed, on="item_id", how="semi", maintain_order="left"
        )
        return data.with_interactions(events)
    findings.append(replace(finding, action="changed", why=f"{why}; it was added without content"))
    added = unknown.select("item_id").sort(id_order("item_id"))
    catalog = pl.concat([data.items.frame, added], how="diagonal")
    return replace(data, items=Catalog(frame=catalog))


def _examples(data: Dataset, rows: pl.Series, max_rows: int = 3) -> list[str]:
    shown = data.interactions.frame[rows.head(max_rows)].select(
        "user_id", "item_id", "timestamp", "value", "kind"
    )
    return [
        f"user {u}, item {i}, {kind}{'' if value is None else f' {value:g}'} at {time:.0f}"
        for u, i, time, value, kind in shown.iter_rows()
    ]
