"""Join events from two tables, one with users and one with items, by a common key: orders and their
lines, sessions and their clicks.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import polars as pl

from metarec.data.cells.parsing import id_text
from metarec.data.errors import BadInput
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_matching import key_of
from metarec.data.names.column_names import STAND_IN_COLUMNS, plain
from metarec.data.names.date_names import names_a_moment
from metarec.data.sources.files.single_file import read_table

MIN_FIT = 0.5
"""Minimum share of one table's rows whose key is in the other table."""
_KEY = re.compile(r"(id|ids|no|nr|number|code|key|ref|uuid|编号|编码|号码|号)$")
_OWN = ("id", "entityid", "编号", "序号")
"""Names of a table's own key."""


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Two files whose rows together are events, and their join."""

    many: Path
    """File of which each row is an event."""
    one: Path
    """File of which each row has a unique key."""
    between: Path | None = None
    """Table that links the two by a key of each; None without one."""
    table: pl.DataFrame
    place: Place
    findings: list[Finding]

    @property
    def raw(self) -> RawTable:
        """The events as a raw table."""
        return self.table, self.place, self.findings


@dataclass(frozen=True, kw_only=True)
class Part:
    """A file that may hold one half of the events."""

    path: Path
    raw: RawTable
    user: str | None
    """Its column of users; None without one."""
    item: str | None
    """Its column of items; None without one."""

    @property
    def says_who(self) -> bool:
        """Whether it has users and no items."""
        return self.user is not None and self.item is None and not self.has_stand_in

    @property
    def says_what(self) -> bool:
        """Whether it has items, and no users or only sessions or devices."""
        return self.item is not None and (self.user is None or self.has_stand_in)

    @property
    def has_stand_in(self) -> bool:
        """Whether its users are sessions or devices."""
        return self.user is not None and plain(self.user) in STAND_IN_COLUMNS

    def keys(self) -> Iterator[tuple[str, str]]:
        """Yield pairs of a noun that a column may be the key of and the column: `order` and
        `order_id`.
        """
        noun, last = nouns_of(self.path)
        for column in self.raw[0].columns:
            key = plain(column)
            if names_a_moment(column):  # two orders of one moment are two
                continue
            if key in _OWN:
                yield noun, column
                if last != noun:
                    yield last, column  # `order` of `sales_order`
            elif key and column not in (self.item, None if self.has_stand_in else self.user):
                of = noun_of(column)
                yield of, column
                if _KEY.search(key) and not of.startswith(noun):  # `barcode` of copies
                    yield f"{noun}{of}", column


def noun_of(column: str) -> str:
    """Return what a column may be the key of: `order` for `Order_ID`."""
    return _KEY.sub("", plain(column)) or plain(column)


def nouns_of(path: Path) -> tuple[str, str]:
    """Return what a row of a file is, by the file's name, and by the last word of that name:
    `salesorder` and `order` for `sales_orders.csv`.
    """
    stem = path.name.split(".")[0]
    name = plain(stem)
    noun = f"{name[:-3]}y" if name.endswith("ies") else name.removesuffix("s")
    return noun, plain(re.split(r"[_\W]", stem)[-1].removesuffix("s"))


def joined_events(
    files: Sequence[Path], synonyms: Mapping[str, Sequence[str]], encoding: str | None
) -> Joined | None:
    """Return the events that two of the files hold together; None where no two of them do.

    Raises:
        BadInput: if several pairs or keys join events.
    """
    parts = [part for file in files if (part := _part(file, synonyms, encoding)) is not None]
    pairs = [(a, b) for a, b in product(parts, parts) if a.says_who and b.says_what]
    candidates = [joined for who, what in pairs for joined in joins(who, what)]
    if not candidates:
        candidates = _joined_over(parts)
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        listed = ", ".join(f"{one.many.name} with {one.one.name}" for one in candidates)
        raise BadInput(
            f"{files[0].parent}: events may be joined of several pairs of files or by several "
            f"keys ({listed}); {_HOW}"
        )
    return None


def refuse_torn(
    files: Sequence[Path], synonyms: Mapping[str, Sequence[str]], encoding: str | None
) -> None:
    """Refuse files of which one has users and one items, if no file has both.

    Raises:
        BadInput: if it is so.
    """
    parts = [part for file in files if (part := _part(file, synonyms, encoding)) is not None]
    pairs = [(a, b) for a, b in product(parts, parts) if a.says_who and b.says_what]
    torn = [(who, what) for who, what in pairs if _has_repeated_users(who)]
    if torn and not any(part.user is not None and part.item is not None for part in parts):
        who, what = torn[0]
        raise BadInput(
            f"{files[0].parent}: {who.path.name} says who acted and {what.path.name} on what, and "
            f"no column that both have names one row of either; {_HOW}, or, if a column of "
            f"{who.path.name} says what the acts were on, call it item_id"
        )


def _joined_over(parts: Sequence[Part]) -> list[Joined]:
    """Return the joins of two files by way of a third, which has neither users nor items: bookings
    have a visit, visits a card, and cards a member. Joins with the same users in the same order
    count once.
    """
    candidates = list[Joined]()
    betweens = [p for p in parts if p.item is None and (p.user is None or p.has_stand_in)]
    for what, between in product((p for p in parts if p.says_what), betweens):
        for first in (j for j in joins(between, what) if j.many == what.path):
            longer = replace(what, raw=first.raw)
            for who in (p for p in parts if p.says_who):
                joined = (j for j in joins(who, longer) if j.many == what.path)
                candidates += [(replace(j, between=between.path)) for j in joined]
    events = {_events_of(joined, parts): joined for joined in reversed(candidates)}
    return list(events.values())


def _events_of(joined: Joined, parts: Sequence[Part]) -> tuple[str | None, ...]:
    """Return the users of a join, in the order of its rows."""
    who = next(part for part in parts if part.path == joined.one)
    assert who.user is not None
    name = who.user if who.user in joined.table.columns else f"{joined.one.stem}_{who.user}"
    return tuple(id_text(joined.table[name]).to_list())


_HOW = (
    "join them first (SELECT * FROM lines JOIN orders ON lines.order_id = orders.id in SQL, "
    "lines.merge(orders, on='order_id') in pandas) and give what comes out as interactions.csv"
)
"""Advice on joining tables outside."""


def _part(path: Path, synonyms: Mapping[str, Sequence[str]], encoding: str | None) -> Part | None:
    """Return a file with its columns of users and items; None if it cannot be read."""
    try:
        raw = read_table(path, encoding)
    except BadInput:
        return None
    keys = {key: key_of(raw[0].columns, key, synonyms) for key in ("user_id", "item_id")}
    return Part(path=path, raw=raw, user=keys["user_id"], item=keys["item_id"])


def _has_repeated_users(who: Part) -> bool:
    """Whether some user occurs in several rows."""
    users = who.raw[0][who.user] if who.user is not None else None
    return users is not None and users.n_unique() < len(users)


def joins(who: Part, what: Part) -> list[Joined]:
    """Return the joins of two files: one per name of a key that is unique in one of them."""
    ways = {}
    for (noun, of_who), (other, of_what) in product(who.keys(), what.keys()):
        if noun != other or (plain(of_who) in _OWN and plain(of_what) in _OWN):
            continue
        for many, many_key, one, one_key in (
            (what, of_what, who, of_who),
            (who, of_who, what, of_what),
        ):
            ids = id_text(one.raw[0][one_key]).drop_nulls()
            fit = id_text(many.raw[0][many_key]).is_in(ids.implode()).fill_null(False)
            if len(ids) and ids.n_unique() == len(ids) and int(fit.sum()) >= MIN_FIT * len(fit) > 0:
                ways[noun] = _joined(many, many_key, one, one_key)
                break
    return list(ways.values())


def _joined(many: Part, many_key: str, one: Part, one_key: str) -> Joined:
    """Return the inner join of two files, with findings on rows without a partner."""
    frame, place, findings = many.raw
    beside = one.raw[0].with_columns(id_text(one.raw[0][one_key]).alias("__key"))
    stem = one.path.name.split(".")[0]
    taken = set(frame.columns)
    names = {c: f"{stem}_{c}" for c in beside.columns if c in taken and c != "__key"}
    beside = beside.drop(one_key).rename({c: n for c, n in names.items() if c != one_key})
    rows = frame.with_columns(id_text(frame[many_key]).alias("__key")).with_row_index("__row")
    table = rows.join(beside.drop_nulls("__key"), on="__key", how="inner", maintain_order="left")
    used = table["__key"].n_unique()
    at = table["__row"] if place.rows is None else place.rows.gather(table["__row"])
    both_names = f"{many.path.name} and {one.path.name}"
    why = (
        f"{many.path.name} and {one.path.name} were joined by {many_key!r} and {one_key!r}: each "
        f"row of {many.path.name} is an event"
    )
    notes = [Finding(rule="joins", rows=0, action="noted", why=why)]
    if lost := frame.height - table.height:
        why = f"their {many_key!r} is in no row of {one.path.name}"
        notes.append(Finding(rule="joins", rows=lost, action="removed", why=why))
    if unused := one.raw[0].height - used:
        why = f"rows of {one.path.name} of which {many.path.name} has none say nothing"
        notes.append(Finding(rule="joins", rows=unused, action="noted", why=why))
    return Joined(
        many=many.path,
        one=one.path,
        table=table.drop("__key", "__row"),
        place=replace(place, name=both_names, rows=at),
        findings=[*findings, *one.raw[2], *notes],
    )
