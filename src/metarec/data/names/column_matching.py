"""Match columns of a table to canonical columns by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from metarec.data.errors import BadInput
from metarec.data.findings import Finding
from metarec.data.names.column_names import (
    AT_HOME,
    AT_LAST,
    CANONICAL,
    CARRIERS,
    CHINESE_NAME_ENDINGS,
    FIRST_FRIEND,
    LESS_LIKELY,
    NAME_ENDINGS,
    RATED_BY_OTHERS,
    STAND_INS,
    SYNONYMS,
    plain,
)
from metarec.data.names.date_names import (
    ends_as_a_moment,
    names_a_duration,
    names_a_later_date,
    names_another_date,
)
from metarec.data.names.languages import language_of, names_in, names_in_languages
from metarec.data.names.missing_columns import listed, refuse_missing
from metarec.data.names.traditional import with_traditional

AS_GIVEN = "_as_given"
"""Ending of a column of a canonical name that a mapping takes from elsewhere."""

_AMOUNTS = ("quantity", "qty", "lineitemquantity", "数量", "數量")
_SUMS = (
    *("amount", "total", "totalprice", "revenue", "sales", "lineamount"),
    *with_traditional(("金额", "总价", "销售额")),
)


def is_amount(column: str) -> bool:
    """Whether a column's name is that of a bought quantity; below 0 it counts returns."""
    return plain(column) in _AMOUNTS or plain(column) in names_in_languages("quantities")


def is_sum(column: str) -> bool:
    """Whether a column's name is that of a paid sum."""
    return plain(column) in _SUMS or plain(column) in names_in_languages("sums")


def spoken(columns: Sequence[str]) -> str | None:
    """Return the language of the column names; None where it is English, Chinese or unknown."""
    return language_of([c for c in columns if plain(c) not in AT_HOME])


def rename(
    columns: Sequence[str],
    table: str,
    place: str,
    mapping: Mapping[str, str] | None = None,
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, str]:
    """Decide which columns to rename to their canonical names: `{column in the file: canonical
    name}`.

    A mapping `{canonical: column}` goes first, then the column of that very name, then synonyms in
    their order.

    Args:
        table: `interactions`, `items`, `users`, `friends` or `searches`.
        place: file or table, for the error.
        synonyms: further names by canonical name, from a domain pack.

    Raises:
        BadInput: if a mapped column is not there, or an id column cannot be found.
    """
    mapping = dict(mapping or {})
    for name, column in mapping.items():
        if column not in columns:
            raise BadInput(
                f"{place}: the mapping says {name} = {column!r}, but the columns are "
                f"{listed(columns)}"
            )
    names = {column: name for name, column in mapping.items()}
    names |= _by_synonyms(columns, table, mapping, synonyms or {})
    if "timestamp" in CANONICAL[table] and "timestamp" not in {names.get(c, c) for c in columns}:
        moments = [c for c in columns if c not in names and ends_as_a_moment(c)]
        moments = [c for c in moments if not names_another_date(c) and not names_a_duration(c)]
        if table == "interactions":  # read from cells, if at all
            moments = [c for c in moments if not names_a_later_date(c)]
        names |= {moments[0]: "timestamp"} if len(moments) == 1 else {}
    present, further = {names.get(c, c) for c in columns}, names_in(spoken(columns))
    refuse_missing(columns, present, table, place, further)
    # A canonical name that is mapped from elsewhere must not appear twice.
    names |= {
        c: f"{c}{AS_GIVEN}" for c in columns if c in mapping and mapping[c] != c and c not in names
    }
    return {c: n for c, n in names.items() if c != n}


def _by_synonyms(
    columns: Sequence[str],
    table: str,
    mapping: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Return column -> canonical name, by the first of each name's synonyms that is there."""
    names = dict[str, str]()
    by_plain, further_names = {plain(c): c for c in reversed(columns)}, names_in(spoken(columns))
    for name in CANONICAL[table]:
        if name in mapping or name in columns:
            continue
        is_own = {"items": "item_id", "users": "user_id"}.get(table) == name
        known = (
            *synonyms.get(name, ()),
            *SYNONYMS.get(name, ()),
            *(("id", "编号", "code") if is_own else ()),
            *(FIRST_FRIEND if (table, name) == ("friends", "user_id") else ()),
            *LESS_LIKELY.get(name, ()),
            *further_names.get(name, ()),
            *AT_LAST.get(name, ()),
            name,
        )
        taken = {*mapping.values(), *names, *CANONICAL[table]}
        taken |= {*synonyms.get("title", ())} if name == "kind" else set()  # `event_name`
        matches = (by_plain.get(plain(synonym)) for synonym in known)
        column = next((c for c in matches if c is not None and c not in taken), None)
        if column is None:
            continue
        if name in ("user_id", "item_id"):  # `Product code` beside `Product`, which is the title
            keys = (by_plain.get(plain(column) + end) for end in _ENDS_OF_IDS)
            column = next((c for c in keys if c is not None and c not in taken), column)
        names[column] = name
    item = next((c for c, name in names.items() if name == "item_id"), "")
    noun = title_column_of(item, [c for c in columns if c not in names])
    if noun is not None and "title" in {*CANONICAL[table]} - {*names.values(), *columns}:
        names[noun] = "title"
    return names


def title_column_of(item: str, columns: Sequence[str]) -> str | None:
    """Return the column of titles where the item id is named by a noun: `Product` or `Product name`
    for the id `Product code`; None without one.
    """
    ends = [end for end in _ENDS_OF_IDS if plain(item).endswith(end)]
    nouns = {plain(item).removesuffix(end) for end in ends} - {""}
    named = {noun + end for noun in nouns for end in ("", "name", "title", "名称", "标题")}
    return next((c for c in columns if plain(c) in named), None)


_ENDS_OF_IDS = tuple("guid uuid sku uri id code number no nr key 编号 编码".split())


def key_of(
    columns: Sequence[str], key: str, synonyms: Mapping[str, Sequence[str]] | None = None
) -> str | None:
    """Return the column of user ids (`user_id`) or item ids (`item_id`) by its name; None where
    there is none. A column named `id` does not count.
    """
    named = [c for c in columns if plain(c) != "id"]
    table = "users" if key == "user_id" else "items"
    if key in named:
        return key
    try:
        names = rename(named, table, "", None, synonyms)
    except BadInput:
        return None
    return next((column for column, name in names.items() if name == key), None)


SUFFIXES = {
    "value": ("rating", "ratings", "stars"),
    "title": ("title", "trackname", "itemname", "productname"),
    "author": ("author",),
    "user_id": ("userid", "username", "profilename", "visitorid", "customerid", "steamid"),
    "item_id": (
        "itemid",
        "trackuri",
        "beerid",
        "animeid",
        "productid",
        "movieid",
        "courseid",
        "articleid",
        "contentid",
        "videoid",
        "trackid",
    ),
}
"""Canonical name -> endings of names to match where no synonym does: `Book-Rating`, `Song Title`.
"""
NO_RATING = (
    *("avg", "average", "mean", "num", "number", "count", "total", "max", "min", "age"),
    *RATED_BY_OTHERS,
)
"""Beginnings of names of ratings that no user gave, such as averages and counts."""


def renamed(
    columns: Sequence[str],
    table: str,
    place: str,
    mapping: Mapping[str, str] | None = None,
    synonyms: Mapping[str, Sequence[str]] | None = None,
) -> tuple[dict[str, str], list[Finding]]:
    """Return the renames of `rename`, extended by guesses from endings of names, and findings on
    the guesses.
    """
    guesses = _guesses(columns, table, {**(mapping or {})}, synonyms or {})
    names = rename(
        columns,
        table,
        place,
        mapping,
        {**(synonyms or {}), **{n: (c,) for n, c in guesses.items()}},
    )
    findings = [
        Finding(
            rule="columns",
            rows=0,
            action="noted",
            why=f"column {column!r} of {place} was read as {name}",
            table=table,
        )
        for name, column in guesses.items()
        if names.get(column) == name
    ]
    return names, findings + _stand_ins(names, table, place, mapping or {})


def _stand_ins(
    names: Mapping[str, str], table: str, place: str, mapping: Mapping[str, str]
) -> list[Finding]:
    """Return a finding where a column that stands in for users is read as `user_id`."""
    column = next((c for c, name in names.items() if name == "user_id"), None)
    if table != "interactions" or column is None or "user_id" in mapping:
        return []
    if _NAMES_OF_USERS.search(plain(column)) and plain(column) != "username":
        why = f"column {column!r} of {place} was read as user_id: users of the same name are one"
        return [Finding(rule="columns", rows=0, action="noted", why=why)]
    if plain(column) in CARRIERS:
        why = (
            f"column {column!r} of {place} was read as user_id: each is a user that takes the "
            f"items; if it says who brings what others ordered, say in a TOML file which column "
            f'names these (columns = {{ user_id = "..." }})'
        )
        return [Finding(rule="columns", rows=0, action="noted", why=why)]
    names_of = {n: {plain(name) for name in known} for n, known in STAND_INS.items()}
    noun = next((n for n, known in names_of.items() if plain(column) in known), None)
    if noun is None:
        return []
    why = (
        f"each {noun} is read as a user: no other column of {place} than {column!r} says who "
        f"acted, so a user of several is several users with few events each; if another does, "
        f'say so in a TOML file (columns = {{ user_id = "..." }})'
    )
    return [Finding(rule="columns", rows=0, action="noted", why=why)]


_NAMES_OF_USERS = re.compile(
    f"({'|'.join(map(plain, (*NAME_ENDINGS, *CHINESE_NAME_ENDINGS.split())))}|会员名)$"
)


_DEGREES = {
    "latitude": re.compile(r"[_\W]lat(itude)?$|[a-z]Lat(itude)?$"),
    "longitude": re.compile(r"[_\W](lon|lng|long|longitude)$|[a-z](Lon|Lng|Long|Longitude)$"),
}
"""Endings of names of degrees: `home_lat`, `pickupLng`."""


def _degrees(columns: Sequence[str], table: str, mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the only pair of columns whose names end like `home_lat` and `home_lng`, where none
    has the bare name; else empty.
    """
    taken = {plain(n) for name in _DEGREES for n in (name, *SYNONYMS[name])}
    if "latitude" not in CANONICAL[table] or taken & {plain(c) for c in columns}:
        return {}
    matches = {name: [c for c in columns if form.search(c)] for name, form in _DEGREES.items()}
    if set(mapping) & set(matches) or any(len(one) != 1 for one in matches.values()):
        return {}
    return {name: one[0] for name, one in matches.items()}


def _guesses(
    columns: Sequence[str],
    table: str,
    mapping: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    degrees = _degrees(columns, table, mapping)
    for name, endings in SUFFIXES.items():
        known = {plain(s) for s in (name, *SYNONYMS.get(name, ()), *synonyms.get(name, ()))}
        if name not in CANONICAL[table] or name in mapping or known & {plain(c) for c in columns}:
            continue
        ending = [c for c in columns if plain(c).endswith(endings)]
        ending = [c for c in ending if name != "value" or not plain(c).startswith(NO_RATING)]
        if len(ending) == 1 and ending[0] not in mapping.values():
            degrees[name] = ending[0]
    return _known_by_title(columns, table, mapping, synonyms) | degrees


_ITEMS_AT_LAST = frozenset(
    "url pageurl page clickurl classname uristem projectid channelid eventcontext "
    "kontekstzdarzenia ereigniskontext contextedelévénement contextodelevento contextodoevento "
    "subject subjecturi pathname pagepath pagelocation "
    "clickeditem clickeditemid clickedproduct clickedproductid clickedurl clickeddocid".split()
)
"""Names of item columns of last resort, as `plain` returns them."""


def _known_by_title(
    columns: Sequence[str],
    table: str,
    mapping: Mapping[str, str],
    synonyms: Mapping[str, Sequence[str]],
) -> dict[str, str]:
    """Return the only column of titles, or of another name for items, as `item_id`, for events
    without a column of item ids; else empty.
    """
    further = names_in(spoken(columns))
    ids = ("item_id", *SYNONYMS["item_id"], *LESS_LIKELY["item_id"], *further.get("item_id", ()))
    ids = (*ids, *synonyms.get("item_id", ()))
    present = {plain(c) for c in columns}
    if table != "interactions" or "item_id" in mapping or present & {plain(n) for n in ids}:
        return {}
    titles = {plain(n) for n in ("title", *LESS_LIKELY["title"], *further.get("title", ()))}
    for names in (titles, _ITEMS_AT_LAST):
        by_title = [c for c in columns if plain(c) in names and c not in mapping.values()]
        if by_title:
            return {"item_id": by_title[0]} if len(by_title) == 1 else {}
    codes = [c for c in columns if plain(c) == "code"]
    is_told = present & {"description", "display", "name", "描述", "名称"}
    return {"item_id": codes[0]} if len(codes) == 1 and is_told else {}
