"""Remove rows that are no events of users on items: those of bots that sign as such
(`dependabot[bot]`), and those of trailers of films and of advertisements.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import partial

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_names import plain
from metarec.data.sources.acts.yes_no_columns import as_yes_no

_SIGNED = "[bot]"
"""Ending of the names of bots in GitHub, GitLab and Slack."""
_NAMES = re.compile(r"(^|actor|author|sender|user)(login|username|displayname|name|user|userid)$")
"""Pattern of names of columns of users, as `plain` returns them."""
_FLAGS = frozenset("isbot bot isrobot iscrawler".split())
"""Names of columns of yes and no that state that a program acted, as `plain` returns them."""
_AGENTS = re.compile(r"^(http)?(ua|useragent|useragentstring|browser|agent)$")
"""Pattern of names of columns of what programs call themselves, as `plain` returns them."""
_BOTS = (
    r"(?i)(bot|crawl|spider|slurp|scrapy|headless)([\W\d_]|er\b|ing\b|chrome|$)"
    r"|^(curl|wget|python-requests|java|go-http-client)/"
)
"""Pattern of what programs call themselves that read pages without a user."""
_TRAILERS = re.compile(r"^(supplementalvideotype|(is)?(trailer|preview|teaser)(type)?)$")
"""Pattern of names of columns that state that a row is of a trailer, as `plain` returns them."""
_TESTS = re.compile(r"^(is)?test(ing)?(order|user|account|customer|transaction|booking|event)$")
_COPIES = re.compile(r"^(is)?duplicated?(row|event|order|entry)?$")
_FRAUDS = re.compile(r"^(is)?fraud(ulent)?$")
"""Patterns of names of columns of yes and no that state that a row is of a test, a copy of another
row, or a fraud, as `plain` returns them.
"""
_WHAT = (
    *("a bot acted", "it was a trailer", "it was an advertisement"),
    *("it was a test", "it was sent before", "it was a fraud"),
)
"""What a column may state of a row that is no event."""
_NO = ("0", "0.0", "false", "no", "n", "f", "none")


def without_others(frame: pl.DataFrame, place: Place) -> RawTable:
    """Remove rows of bots, trailers and advertisements, unless no others are left. Return events,
    places and findings.
    """
    signed = [c for c in frame.columns if _NAMES.search(plain(c)) and frame.schema[c] == pl.Utf8]
    checks = [(c, frame[c].str.ends_with(_SIGNED), _signed) for c in signed]
    a_bot, a_trailer, an_ad, *others = (partial(_stated, what) for what in _WHAT)
    checks += [(c, _says_yes(frame[c]), a_bot) for c in frame.columns if plain(c) in _FLAGS]
    agents = [c for c in frame.columns if _AGENTS.search(plain(c)) and frame.schema[c] == pl.Utf8]
    checks += [(c, _are_bots(frame[c]), a_bot) for c in agents]
    supplements = [c for c in frame.columns if _TRAILERS.search(plain(c))]
    checks += [(c, _says_yes(frame[c]), a_trailer) for c in supplements]
    for pattern, reason in zip((_TESTS, _COPIES, _FRAUDS), others, strict=True):
        named = [c for c in frame.columns if pattern.search(plain(c))]
        truths = {c: truth for c in named if (truth := as_yes_no(frame[c])) is not None}
        checks += [(c, truth, reason) for c, truth in truths.items()]
    checks += [(c, mask, an_ad) for c in frame.columns if (mask := _of_ads(frame, c)) is not None]
    gone, findings = pl.repeat(False, frame.height, dtype=pl.Boolean, eager=True), list[Finding]()
    for column, is_other, reason_of in checks:
        rows = is_other.fill_null(False) & ~gone
        if not rows.any() or (gone | rows).all():
            continue
        gone |= rows
        nested = frame.schema[column].is_nested()
        example = "Ads" if nested else nothing(frame[column].cast(pl.Utf8)).filter(rows)[0]
        why = reason_of(column, place.name, example)
        findings.append(Finding(rule="no_acts", rows=int(rows.sum()), action="removed", why=why))
    if not findings:
        return frame, place, []
    at = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    return frame.filter(~gone), replace(place, rows=at.filter(~gone)), findings


def _are_bots(agents: pl.Series) -> pl.Series:
    """Mask of programs that call themselves bots; Cubot is a maker of phones."""
    return agents.str.replace_all("(?i)cubot", "").str.contains(_BOTS)


def _signed(column: str, place: str, example: str) -> str:
    return (
        f"users such as {example!r} in column {column!r} of {place} sign as bots; to keep them, "
        f"give the table without that column"
    )


def _stated(what: str, column: str, place: str, example: str) -> str:
    return (
        f"column {column!r} of {place} says that {what} ({example!r}); to keep such rows, give "
        f"the table without that column"
    )


def _of_ads(frame: pl.DataFrame, column: str) -> pl.Series | None:
    """Mask of rows whose details name an advertising service, as in histories of YouTube; None for
    other columns.
    """
    dtype = frame.schema[column]
    inner = dtype.inner if isinstance(dtype, pl.List) else None
    fields = [f.name for f in inner.fields] if isinstance(inner, pl.Struct) else []
    if plain(column) != "details" or "name" not in fields:
        return None
    names = frame[column].list.eval(pl.element().struct.field("name").cast(pl.Utf8))
    return names.list.eval(pl.element().str.contains(r"\bAds\b")).list.any()


def _says_yes(column: pl.Series) -> pl.Series:
    """Mask of cells that state anything but no."""
    if column.dtype.is_nested() or column.dtype == pl.Object:
        return pl.repeat(False, len(column), dtype=pl.Boolean, eager=True)
    cells = nothing(column.cast(pl.Utf8, strict=False)).str.to_lowercase()
    return cells.is_not_null() & ~cells.is_in(_NO)
