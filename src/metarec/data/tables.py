"""Tables as read from one or more sources, before cleaning: columns have their canonical names,
rows may still be wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

import polars as pl

from metarec.data.cleaning_config import CleaningConfig
from metarec.data.domains import Policy
from metarec.data.events.times import UNTIMED
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.relations import Relations
from metarec.data.schema import BadInput

SCALES_APART = 1.9
"""Least ratio of the largest ratings of two sources from which on their scales count as
different.
"""


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Tables of events, and of items and users where there are any; `findings` lists what reading
    left out or changed.
    """

    interactions: pl.DataFrame
    items: pl.DataFrame | None = None
    users: pl.DataFrame | None = None
    name: str = "data"
    findings: list[Finding] = field(default_factory=list)
    relations: Relations = field(default_factory=Relations)
    """Friends and searches."""
    kinds: Kinds = field(default_factory=Kinds.default)
    """Sign and strength of each kind of event."""
    rules: CleaningConfig | None = None
    """Cleaning settings that came with the data (a TOML file's); None leaves them to the caller."""
    policy: Policy | None = None
    """Policy that slates must obey, from a domain or a TOML file; None where neither names one."""
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Hyper-parameters of models, where a TOML file sets some."""

    def named(self, name: str) -> Tables:
        """The same tables under another name."""
        return replace(self, name=name)


def merge(parts: Sequence[Tables], name: str) -> Tables:
    """Concatenate the events of all parts; rows of items and users with the same id become one row,
    in which the first part's cells take precedence.

    Raises:
        BadInput: if a column is text in one part and a number in another and cannot be brought
            together.
    """
    if len(parts) == 1:
        return parts[0].named(name)
    return Tables(
        interactions=_under_each_other([p.interactions for p in parts], "interactions"),
        items=_one_row_each([p.items for p in parts if p.items is not None], "item_id"),
        users=_one_row_each([p.users for p in parts if p.users is not None], "user_id"),
        name=name,
        findings=[*(f for p in parts for f in p.findings), *_untimed(parts), *_scales(parts)],
        relations=reduce(Relations.then, [p.relations for p in parts]),
        kinds=parts[0].kinds,
    )


def _untimed(parts: Sequence[Tables]) -> list[Finding]:
    """Return a finding on each part without any time, where other parts have times."""
    timed = [
        "timestamp" in p.interactions.columns
        and p.interactions["timestamp"].null_count() < p.interactions.height
        for p in parts
    ]
    return [
        Finding(
            rule="untimed",
            rows=p.interactions.height,
            action="changed",
            why=UNTIMED,
            examples=[f"all of source {number}"],
        )
        for number, (p, has_time) in enumerate(zip(parts, timed, strict=True), start=1)
        if any(timed) and not has_time and p.interactions.height
    ]


def _scales(parts: Sequence[Tables]) -> list[Finding]:
    """Return a finding where the largest ratings of two parts differ so much (`SCALES_APART`) that
    they cannot be on one scale.
    """
    tops = {
        number: (float(ratings.min()), float(ratings.max()))  # type: ignore[arg-type]  # numbers
        for number, p in enumerate(parts, start=1)
        if len(ratings := _ratings(p))
    }
    if len(tops) < 2:
        return []
    lowest, highest = min(tops, key=lambda n: tops[n][1]), max(tops, key=lambda n: tops[n][1])
    (low, high), (from_, to) = tops[lowest], tops[highest]
    if high <= low or to < SCALES_APART * high:
        return []
    why = (
        f"ratings of source {lowest} reach from {low:g} to {high:g}, those of source {highest} "
        f"from {from_:g} to {to:g}, and are compared as they stand; bring them to one scale"
    )
    return [Finding(rule="scales", rows=0, action="noted", why=why)]


def _ratings(part: Tables) -> pl.Series:
    """Return the values of a part's events that are ratings."""
    events = part.interactions
    if "value" not in events.columns:
        return pl.Series([], dtype=pl.Float64)
    if "kind" in events.columns:
        rated = [kind for kind in events["kind"].unique() if part.kinds.is_rating(str(kind))]
        events = events.filter(pl.col("kind").is_in(rated))
    return events["value"].drop_nulls()


def unknown_kinds(events: pl.DataFrame, kinds: Kinds, max_kinds: int = 5) -> list[Finding]:
    """Return a finding on each of the `max_kinds` most frequent kinds that the table of kinds does
    not have, and one on all others.
    """
    if "kind" not in events.columns:
        return []
    counts = dict(events["kind"].drop_nulls().value_counts().sort("kind").iter_rows())
    names = sorted(kinds.unknown(counts), key=lambda name: (-counts[name], name))
    findings = _by_a_word(counts, kinds)
    for name in names[:max_kinds]:
        near = kinds.nearest(name)
        hint = f"is {near!r} meant? Else " if near else ""
        why = (
            f"kind {name!r} is not known and counts as positive with strength 1; {hint}say in a "
            f"TOML file what it is ([kinds] {name!r} = -1, or a strength)"
        )
        findings.append(Finding(rule="kinds", rows=counts[name], action="noted", why=why))
    if more := names[max_kinds:]:
        rows = sum(counts[name] for name in more)
        why = f"{len(more)} further kinds are not known ({', '.join(more[:max_kinds])}, ...)"
        findings.append(Finding(rule="kinds", rows=rows, action="noted", why=why))
    return findings


def _by_a_word(counts: Mapping[str, int], kinds: Kinds) -> list[Finding]:
    """Return a finding on each kind that counts as a refusal by one of its words."""
    keys = {name: key for name in sorted(counts) if (key := kinds.by_a_word(name)) is not None}
    return [
        Finding(
            rule="kinds",
            rows=counts[name],
            action="noted",
            why=f"kind {name!r} is not known and counts as {key!r}, by one of its words; if it "
            f"says something else, say so in a TOML file ([kinds] {name!r} = a strength)",
        )
        for name, key in keys.items()
    ]


def _under_each_other(frames: Sequence[pl.DataFrame], what: str) -> pl.DataFrame:
    try:
        return pl.concat(frames, how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise BadInput(
            f"the sources' {what} cannot be put under each other: {error}; map the column away in "
            f"one of them"
        ) from error


def _one_row_each(frames: Sequence[pl.DataFrame], key: str) -> pl.DataFrame | None:
    if not frames:
        return None
    if len(frames) == 1:
        return frames[0]
    both = _under_each_other(
        [f.with_columns(pl.col(key).cast(pl.Utf8)) for f in frames],
        "items" if key == "item_id" else "users",
    )
    return both.group_by(key, maintain_order=True).agg(pl.all().drop_nulls().first())


def side_findings(frame: pl.DataFrame, key: str, place: str) -> tuple[pl.DataFrame, list[Finding]]:
    """Remove rows without an id, and all but the first row of each id, from a table of items or
    users; return the table and the findings.
    """
    findings, table = [], "items" if key == "item_id" else "users"
    missing = int(frame[key].null_count())
    if missing:
        findings.append(
            Finding(
                rule="missing_ids",
                rows=missing,
                action="removed",
                why=f"no {key} in {place}",
                table=table,
            )
        )
        frame = frame.drop_nulls(key)
    first = frame.unique(key, keep="first", maintain_order=True)
    if first.height < frame.height:
        doubled = frame.filter(pl.col(key).is_duplicated())[key].unique(maintain_order=True)
        findings.append(
            Finding(
                rule="duplicated_ids",
                rows=frame.height - first.height,
                action="removed",
                why=f"{doubled.len():,} ids stand more than once in {place}; the first row of "
                f"each stays",
                examples=[str(v) for v in doubled.head(3)],
                table=table,
            )
        )
    return first, findings
