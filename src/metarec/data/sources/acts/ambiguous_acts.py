"""Set kinds whose meaning depends on the other kinds of the table.

Mail `delivered` is an impression where other mail was `opened`, a `pass` is a dislike where other
items were liked; numbers that may stand for kinds are noted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import as_numbers, nothing
from metarec.data.cells.truth import NOES, YESES
from metarec.data.findings import Finding, noted, quoted
from metarec.data.kinds import Kinds
from metarec.data.names.column_names import plain
from metarec.data.sources.columns.item_and_user_columns import is_of_one

BESIDE: dict[str, tuple[frozenset[str], frozenset[str], str]] = {
    "impression": (
        frozenset(
            "deliver delivered sent send emailsent notificationsent processed deferred bounce "
            "bounced".split()
        ),
        frozenset("open click unsubscribe tap".split()),
        "were shown",
    ),
    "dislike": (
        frozenset("pass passed passe".split()),
        frozenset("like superlike match dislike block unmatch".split()),
        "were refused",
    ),
}
"""Kind -> names that are read as it, kinds of which one must be beside them, words for findings."""
_BOUGHT = frozenset("purchase buy order transaction checkout paid pay ship".split())
"""Kinds beside which `delivered` means a delivered purchase."""


def by_other_kinds(
    frame: pl.DataFrame, kinds: Kinds, place: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Set kinds by the other kinds of the table, see `BESIDE`, and return findings."""
    if "kind" not in frame.columns or frame["kind"].dtype != pl.Utf8:
        return frame, []
    findings = list[Finding]()
    keys = {name: kinds.key(name) for name in frame["kind"].drop_nulls().unique().sort()}
    for kind, (names, beside, meaning) in BESIDE.items():
        ambiguous = [name for name, key in keys.items() if key in names]
        others = {key for name, key in keys.items() if name not in ambiguous}
        if not ambiguous or not others & beside or others & _BOUGHT:
            continue
        is_one = frame["kind"].is_in(ambiguous)
        frame = frame.with_columns(
            pl.Series("kind", [kind]).zip_with(is_one.fill_null(False), frame["kind"])
        )
        why = (
            f"events of {place} of kind {', '.join(map(repr, ambiguous))} {meaning}, beside others "
            f"of kind {', '.join(map(repr, sorted(others & beside)))}"
        )
        rows = int(is_one.sum())
        findings.append(Finding(rule="kinds", rows=rows, action="noted", why=why))
    return frame, findings


CODED = frozenset(
    "type types eventcode actioncode actcode opcode optype operate oper op act flag "
    "feedback reaction vote thumb thumbs opinion sentiment 态度 反馈 "
    "类型 类别编码 操作码 行为码 行为代码".split()
)
"""Names of columns that may hold numbers for kinds, as `plain` returns them."""
_CODED = re.compile(
    r"^(event|action|activity|interaction|behaviou?r|act|op|operation|vote|reaction)type"
    r"(id|code|no|key)$"
    r"|^(action|activity|interaction|behaviou?r|operation)(id|code|no)$"
    r"|^(my|watch|watching|read|reading|list|play|order|booking|trip|delivery|payment|pay)?status"
    r"(id|code|no)?$|^(订单|支付|预订|预约|配送)?状态码?$"
)
MAX_CODES = 12


def _may_be_coded(column: str) -> bool:
    return plain(column) in CODED or _CODED.match(plain(column)) is not None


def codes_of_acts(frame: pl.DataFrame, columns: Sequence[str], place: str) -> list[Finding]:
    """Return findings on columns of numbers that may stand for kinds of unknown signs; beside
    ratings only on those named like states.
    """
    findings = list[Finding]()
    if "value" in frame.columns:
        columns = [c for c in columns if plain(c).endswith("status")]
    for column in (c for c in columns if _may_be_coded(c) and not frame.schema[c].is_nested()):
        numbers = as_numbers(frame[column])
        codes = numbers.drop_nulls().unique().sort()
        is_whole = numbers.null_count() == nothing(frame[column]).null_count()
        is_whole = is_whole and bool((codes == codes.round()).all())
        least = 2 if _CODED.match(plain(column)) is not None else 3
        if not is_whole or not least <= len(codes) <= MAX_CODES or is_of_one(frame, column):
            continue
        listed = ", ".join(f"{code:.0f}" for code in codes.head(4))
        listed += ", ..." if len(codes) > 4 else ""
        why = (
            f"column {column!r} of {place} holds numbers ({listed}) and is kept as "
            f"context; if they stand for what was done, say so in a TOML file "
            f"(columns = {{ kind = {column!r} }}, [kinds] '{codes[0]:.0f}' = -1 for a no)"
        )
        findings.append(Finding(rule="kinds", rows=0, action="noted", why=why))
    return findings


def unread_answers(frame: pl.DataFrame, columns: Sequence[str], place: str) -> list[Finding]:
    """Return findings on columns named like an event whose two words are not known as yes and no.

    Args:
        columns: those named like an event.
    """
    findings = list[Finding]()
    for column in columns:
        text = nothing(frame[column]) if frame[column].dtype == pl.Utf8 else pl.Series([None])
        cells = text.drop_nulls().unique().sort().to_list()
        is_known = {word.strip().lower() for word in cells} <= YESES | NOES
        is_counted = not as_numbers(pl.Series(cells, dtype=pl.Utf8)).null_count()
        if len(cells) != 2 or is_known or is_counted or is_of_one(frame, column):
            continue
        why = (
            f"column {column!r} of {place} is called like an event, and {cells[0]!r} and "
            f"{cells[1]!r} are not known as yes and no: all rows count as done; if one of them is "
            f"a no, say so in a TOML file (columns = {{ kind = {column!r} }}, [kinds] "
            f"{cells[1]!r} = -1)"
        )
        findings.append(Finding(rule="kinds", rows=0, action="noted", why=why))
    return findings


def kept_as_context(stated: Mapping[str, Sequence[str]], place: str) -> list[Finding]:
    """Return a finding on each column that may hold kinds and is not read as such.

    Args:
        stated: column -> names of kinds in it.
    """
    return [
        noted(
            "kinds",
            f"column {column!r} of {place} says {quoted(names)} and is kept as context; if it is "
            f"what was done, say so in a TOML file (columns = {{ kind = {column!r} }})",
        )
        for column, names in stated.items()
    ]


_PERIOD = re.compile(
    r"(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\W*(\d\d){0,2}$"
    r"|\d{4}-\d\d(-\d\d)?$|(week|month|day|kw)\W?\d+$|\d\d?月$"
)
"""Pattern of names of months, weeks and days, in lower case."""
MIN_PERIODS = 3
"""Minimum number of columns of periods for a table with a column per period."""


def period_findings(frame: pl.DataFrame, place: str, context: Sequence[str]) -> list[Finding]:
    """Return a finding on columns of numbers named like months, weeks or days: each cell may be an
    event, or none.
    """
    free = [c for c in frame.columns if c not in context and not frame.schema[c].is_nested()]
    named = [c for c in free if _PERIOD.match(c.strip().lower())]
    numbered = [c for c in named if as_numbers(frame[c]).null_count() == _blanks(frame[c])]
    if len(numbered) < MIN_PERIODS or len(numbered) < len(named):
        return []
    why = (
        f"columns {numbered[0]!r} to {numbered[-1]!r} of {place} are called like periods and are "
        f"kept as context: each row is one event, whatever they say; if each cell says how often "
        f"it was done, make a row of each first (melt in pandas, unpivot in polars)"
    )
    return [Finding(rule="kinds", rows=frame.height, action="noted", why=why)]


def _blanks(column: pl.Series) -> int:
    return int(nothing(column).null_count())


_LASTED = re.compile(
    r"^(watch|watched|play|played|listen|listened|view|viewed|dwell|read|reading|stay)"
    r"(ing)?(ed)?(time|duration|seconds|secs?|ms|minutes|mins?|length)(ms|s|sec)?$"
    r"|^(ms|seconds|secs|minutes|time)(played|watched|listened|spent)$|^观看时长$|^播放时长$"
    r"|^(hours|minutes)(played|onrecord)$|^playtime(forever|hours|minutes)?$|^游戏时长$"
)
"""Pattern of names of columns of dwell times, as `plain` returns them."""
_REACHED = re.compile(
    r"^(percent|pct|percentage|share|ratio)(of)?(watched|played|listened|viewed|read|seen|complete|"
    r"completed)$"
    r"|^(watch|watched|play|played|listen|listened|view|viewed|read|reading|complete|completed|"
    r"completion|scroll)(percent|pct|percentage|ratio|rate|share|progress|depth|fraction)$"
    r"|^(progress|completion)(percent|pct|ratio)?$"
    r"|^(观看|播放|阅读|学习)(进度|比例)$|^完播率$"
)
"""Pattern of names of columns that say how much of an item was taken, as `plain` returns them."""


def dwell_time_findings(frame: pl.DataFrame, place: str, context: Sequence[str]) -> list[Finding]:
    """Return a finding on a column that says how long users stayed, or how far they came, where
    there is neither a kind nor a value, since a short stay then counts as much as a long one.
    """
    if {"kind", "value"} & {*frame.columns}:
        return []
    for pattern in (_LASTED, _REACHED):
        named = [c for c in frame.columns if c not in context and pattern.search(plain(c))]
        numbers = {c: as_numbers(frame[c]).drop_nulls() for c in named if not is_of_one(frame, c)}
        lasted = next((c for c, sizes in numbers.items() if sizes.n_unique() > 2), None)
        if lasted is None:
            continue
        why = (
            f"column {lasted!r} of {place} says how long users stayed and is kept as context: an "
            f"event of a moment counts as much as one to the end; if the short ones say no, say "
            f"so in a column kind ('skip', 'complete')"
        )
        if pattern is _REACHED:
            why = (
                f"column {lasted!r} of {place} says how far users came and is kept as context: an "
                f"event left at once counts as much as one to the end; to read it as ratings, say "
                f"so in a TOML file (columns = {{ value = {lasted!r} }})"
            )
        return [Finding(rule="kinds", rows=0, action="noted", why=why)]
    return []
