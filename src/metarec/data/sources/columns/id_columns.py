"""Identify columns of ids where names are not enough: empty columns are skipped, an id beside a
title is preferred to it, and the only remaining id is that of the items.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.errors import BadInput
from metarec.data.findings import Finding, noted
from metarec.data.names.column_matching import AS_GIVEN, is_amount, is_sum, key_of, renamed
from metarec.data.names.column_names import (
    AT_LAST,
    CANONICAL,
    HAPPENINGS,
    LESS_LIKELY,
    SYNONYMS,
    plain,
)
from metarec.data.names.date_names import names_a_moment
from metarec.data.sources.columns.service_classes import destination_column

Synonyms = Mapping[str, Sequence[str]]
IDS = re.compile(
    r"(id|identity|bib|const|no|nr|number|code|key|sku|ean|gtin|upc|isbn|uri|url|link|slug|guid"
    r"|uuid|编号|编码|代码|号|链接|番号|コード|번호|코드|номер|код|артикул"
    r"|código|codigo|référence|referencia|nummer|kennung)$|^(id|code|код|código|codigo)[ _-]"
    r"|^#|^n[°º]",
    re.IGNORECASE,
)
"""Pattern of names of ids and addresses."""
_NO_IDS = re.compile(
    r"^(open|max|min|last|first|current|high|highest|start|starting|winning|your|my)?bid$"
    r"|(paid|grid|void|valid|hybrid|solid|fluid)$"
)
"""Pattern of names that end like those of ids but are none, as `plain` returns them."""
OF_OTHERS = re.compile(
    r"order|invoice|basket|cart|receipt|booking|transaction|session|visit|ticket|bill|request|"
    r"event|message|impression|insert|transact|user|customer|client|buyer|member|account|"
    r"device|cookie|card|zip|post|phone|store|shop|branch|warehouse|location|region|"
    r"country|city|state|categor|brand|seller|vendor|merchant|supplier|campaign|experiment|"
    r"variant|referr|image|img|photo|picture|cover|poster|thumb|icon|avatar|author|director|"
    r"parent|group|cluster|type|class|status|version|lang|currency|colou?r|size|rank|position|"
    r"count|num$|lat$|lon$|seq|row|line|batch|track.*number|season|"
    r"订单|单号|交易|会话|类目|品牌|店铺|卖家|图片|封面|用户|会员|买家|设备|快递|物流|"
    r"注文|店舗|会員|顧客|bestell|auftrag|rechnung|kunde|filial|markt|commande|client|"
    r"pedido|factura|venta|vente|tienda|magasin|ordine|заказ",
    re.IGNORECASE,
)
"""Pattern of names of ids of other things than items."""
MAX_GAPS = 0.05
"""Maximum share of rows without an id."""
MOST_CODES = 2.0
"""Maximum mean number of ids per title: items with the same title are variants, such as sizes."""
MIN_ROWS = 20
"""Minimum number of rows for distinct ids to be row numbers."""
MIN_AGAIN = 0.3
"""Minimum share of rows whose id recurs; other ids may be row numbers."""
MIN_USERS = 1.3
"""Minimum mean number of users per id, where nothing else shows that it is an item's."""
LOOKED_AT = 10_000
"""Number of first events that are used."""


def without_empty_ids(
    frame: pl.DataFrame, place: str, mapped: Mapping[str, str], synonyms: Synonyms
) -> tuple[pl.DataFrame, list[Finding]]:
    """Remove empty columns of ids where another column may hold them. Return events and
    findings.
    """
    findings = list[Finding]()
    has_lists = any(dtype.is_nested() for dtype in frame.schema.values())
    for key in ("item_id", "user_id"):
        column = None if key in mapped else key_of(frame.columns, key, synonyms)
        while column is not None and frame.height and _holds_nothing(frame[column]):
            others = [c for c in frame.columns if c != column]
            another = key_of(others, key, synonyms)
            is_else = has_lists or (
                key == "item_id" and _may_hold_items(frame.select(others), synonyms)
            )
            if another is None and not is_else:
                break
            frame = frame.drop(column)
            why = f"column {column!r} of {place} holds nothing, and is not read as {key}"
            findings.append(noted("columns", why))
            column = another
    return frame, findings


def _holds_nothing(column: pl.Series) -> bool:
    """Whether a column has no stated cell."""
    if isinstance(column.dtype, pl.List):
        return not (column.list.len() > 0).any()
    return nothing(column).null_count() == len(column)


def likely_ids(
    frame: pl.DataFrame, place: str, mapped: Mapping[str, str], synonyms: Synonyms
) -> tuple[Synonyms, list[Finding]]:
    """Identify the columns of items by their cells. Return synonyms with these columns, and
    findings.

    Args:
        mapped: canonical name -> column, as given by the user.
    """
    head, column_by_key, doubts = frame.head(LOOKED_AT), dict[str, str](), list[Finding]()
    if "item_id" not in mapped:
        chosen = _chosen(head, mapped, synonyms)
        item, user = chosen.get("item_id"), chosen.get("user_id")
        if item is None and user is not None:
            column_by_key |= _attended_event(head) or _shared_id(head, user, chosen)
            column_by_key = column_by_key or _finest_title(head, user)
        elif item is not None and (happening := _attended_event(head, within=item)):
            column_by_key |= happening
        elif (better := _not_of_rows(head, user, item, chosen, synonyms)) is not None:
            column_by_key["item_id"] = better
            doubts = [_not_items(head, str(item), better, place)]
        elif user is not None and item is not None and (others := _as_likely(head, user, item)):
            doubts = [_undecided(item, others[0], place)]
        elif user is not None and item is not None and (goal := destination_column(head, item)):
            doubts = [_undecided(item, goal, place)]
        elif item is not None and _are_texts(head, item):
            item = _within(head, item, chosen)
            code = None if _is_id(item) else _code_of(head, item, chosen)
            column_by_key |= {"item_id": code, "title": item} if code is not None else {}
            if code is None and item != chosen["item_id"]:
                column_by_key["item_id"] = item
    findings = doubts or [
        noted("columns", f"column {column!r} of {place} was read as {key}")
        for key, column in column_by_key.items()
        if key != "title"
    ]
    return {
        **synonyms,
        **{k: (c, *synonyms.get(k, ())) for k, c in column_by_key.items()},
    }, findings


def _chosen(frame: pl.DataFrame, mapped: Mapping[str, str], synonyms: Synonyms) -> dict[str, str]:
    """Return canonical name -> column, by the names of the columns."""
    columns = frame.columns
    try:
        names, _ = renamed(columns, "interactions", "", mapped, synonyms)
    except BadInput:
        keys = {key: mapped.get(key) or key_of(columns, key, synonyms) for key in _KEYS}
        return {key: column for key, column in keys.items() if column is not None}
    already_canonical = {n: n for n in CANONICAL["interactions"] if n in columns}
    return {**already_canonical, **{name: column for column, name in names.items()}}


_KEYS = ("user_id", "item_id")


def _candidates(frame: pl.DataFrame, chosen: Mapping[str, str]) -> list[str]:
    """Return columns that may hold the ids of items, addresses last."""
    taken = {*chosen.values()}
    known = (*SYNONYMS["user_id"], *AT_LAST["user_id"], "friend_id", *SYNONYMS["friend_id"])
    users = {plain(name) for name in known}
    free = [c for c in frame.columns if c not in taken and plain(c) not in users]
    free = [c for c in free if not OF_OTHERS.search(c) and not names_a_moment(c)]
    free = [c for c in free if not (is_amount(c) or is_sum(c))]
    free = [c for c in free if frame.schema[c] == pl.Utf8 or frame.schema[c].is_integer()]
    return [
        c
        for c in sorted(free, key=lambda c: bool(re.search(r"ur[il]$|link$|链接$", c.lower())))
        if nothing(frame[c]).null_count() <= MAX_GAPS * frame.height
    ]


def _code_of(frame: pl.DataFrame, title: str, chosen: Mapping[str, str]) -> str | None:
    """Return the column of ids of items identified by a title: each id has one title, and ids
    recur. None without one.
    """
    beside = [c for c in _candidates(frame, chosen) if _is_id(c) or _are_codes(frame[c])]
    titles = frame[title].n_unique()
    for column in sorted(beside, key=lambda c: not _is_id(c)):
        pairs = frame.select(column, title).drop_nulls()
        codes = pairs[column].n_unique()
        if not titles <= codes <= MOST_CODES * titles or pairs.n_unique() > codes:
            continue
        if int(pairs[column].is_duplicated().sum()) >= MIN_AGAIN * pairs.height:
            return column
    return None


def _shared_id(frame: pl.DataFrame, user: str, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return `item_id` -> the only column with a name for ids that several users share; of several,
    the one that determines all others. Empty without one.
    """
    shared = list[str]()
    for column in (c for c in _candidates(frame, chosen) if _is_id(c)):
        pairs = frame.select(column, user).drop_nulls()
        each = pairs.unique()
        ids, users = each[column].n_unique(), each[user].n_unique()
        if ids > 1 and each.height >= MIN_USERS * ids and each.height >= MIN_USERS * users:
            shared.append(column)
    for column in shared:
        distinct = frame.select(shared).unique()
        if distinct.height == distinct[column].n_unique():
            return {"item_id": column}
    return {}


def _not_of_rows(
    frame: pl.DataFrame,
    user: str | None,
    item: str | None,
    chosen: Mapping[str, str],
    synonyms: Synonyms,
) -> str | None:
    """Return another column of items where the one with the name is distinct in each row, such as
    the number of an offer, or constant, such as the only product of a chain; else None.
    """
    if item is None or item == "item_id" or user is None or frame.height < MIN_ROWS:
        return None
    if frame.schema[item].is_nested() or 1 < _without_blanks(frame[item]).n_unique() < frame.height:
        return None
    others = [c for c in frame.columns if c != item]
    varied = [c for c in others if _without_blanks(frame[c]).n_unique() > 1]
    named = key_of(varied, "item_id", synonyms)
    most = (1 - MIN_AGAIN) * frame.height
    if named is not None and frame[named].n_unique() <= most:
        return named
    left = {key: column for key, column in chosen.items() if column != item}
    shared = _shared_id(frame.select(others), user, left).get("item_id")
    titles = (c for c in _titles(frame.select(varied), user) if frame[c].n_unique() <= most)
    return shared or next(titles, None)


def without_row_ids(
    frame: pl.DataFrame, place: str, mapped: Mapping[str, str], synonyms: Synonyms
) -> tuple[pl.DataFrame, list[Finding]]:
    """Rename an `item_id` that is distinct in each row, such as that of order lines in Magento,
    where another column holds the ids of items. Return events and findings.
    """
    head = frame.head(LOOKED_AT)
    if "item_id" in mapped or "item_id" not in head.columns or head.height < MIN_ROWS:
        return frame, []
    named = key_of([c for c in head.columns if c != "item_id"], "item_id", synonyms)
    if named is None or not _is_id(named) or head[named].dtype.is_nested():
        return frame, []
    again = head[named].n_unique() <= (1 - MIN_AGAIN) * head.height
    if not again or head["item_id"].dtype.is_nested() or head["item_id"].n_unique() < head.height:
        return frame, []
    kept = frame.rename({"item_id": f"item_id{AS_GIVEN}"})
    return kept, [_not_items(head, "item_id", named, place)]


def _without_blanks(column: pl.Series) -> pl.Series:
    """Return the stated cells of a column, or the column if there are none."""
    stated = column.drop_nulls() if column.dtype.is_nested() else nothing(column).drop_nulls()
    return stated if len(stated) else column


def _as_likely(frame: pl.DataFrame, user: str, item: str) -> list[str]:
    """Return other columns that may be items as much as the chosen one, where neither determines
    the other: the vehicle and the route of a trip.
    """
    likely = {plain(n) for n in LESS_LIKELY["item_id"]}
    if plain(item) not in likely or not _is_id(item):
        return []
    rivals = list[str]()
    for column in frame.columns:
        if column in (user, item) or plain(column) not in likely or not _is_id(column):
            continue
        if OF_OTHERS.search(column) or frame.schema[column].is_nested():
            continue
        pairs = frame.select(user, item, column).drop_nulls()
        ids = pairs[column].n_unique()
        apart = pairs.select(item, column).n_unique()
        is_shared = pairs.select(user, column).n_unique() >= MIN_USERS * ids
        if ids > 1 and is_shared and apart >= MIN_USERS * max(ids, pairs[item].n_unique()):
            rivals.append(column)
    return rivals


def _undecided(item: str, other: str, place: str) -> Finding:
    """Return a finding on another column that may hold the items."""
    return noted(
        "columns",
        f"column {item!r} of {place} was read as item_id; {other!r} may name what users chose, "
        f"too: if it does, say so in a TOML file (columns = {{ item_id = {other!r} }})",
    )


def _not_items(frame: pl.DataFrame, item: str, better: str, place: str) -> Finding:
    """Return a finding on a column that does not hold the items, as its name suggests."""
    way_out = (
        f"if they are in the former, say so in a TOML file (columns = {{ item_id = {item!r} }})"
    )
    if _without_blanks(frame[item]).n_unique() == 1:
        return noted(
            "columns",
            f"column {item!r} of {place} is the same in each row, so items are read from "
            f"{better!r}; {way_out}",
        )
    return noted(
        "columns",
        f"column {item!r} of {place} is another in each row, so items are read from {better!r}; "
        f"{way_out}",
    )


def _attended_event(frame: pl.DataFrame, within: str | None = None) -> dict[str, str]:
    """Return `event_id` and `event_name` as `item_id` and `title`, where each id has one name and
    recurs, as concerts do and log records do not; else empty.

    Args:
        within: another column named like items. It must be the same in all rows of an event and
            have fewer distinct cells, like the venue of a concert.
    """
    by_plain = {plain(c): c for c in frame.columns}
    names = [by_plain[n] for n in ("eventname", "eventtitle") if n in by_plain]
    codes = [by_plain[n] for n in HAPPENINGS if n in by_plain and by_plain[n] != within]
    if not codes or not names or (within is not None and frame.schema[within].is_nested()):
        return {}
    event = codes[0]
    pairs = frame.select(event, names[0]).drop_nulls()
    ids = pairs[event].n_unique()
    is_one = 1 < ids <= (1 - MIN_AGAIN) * pairs.height and pairs.n_unique() == ids
    if within is not None and within not in names:
        places = frame.select(event, within).unique()
        is_one &= places.height == ids > places[within].n_unique()
    return {"item_id": event, "title": names[0]} if is_one else {}


def _may_hold_items(frame: pl.DataFrame, synonyms: Synonyms) -> bool:
    """Whether another column may hold the ids of items."""
    return "item_id" in _chosen(frame, {}, synonyms) or any(
        _is_id(c) for c in _candidates(frame, {})
    )


def _titles(frame: pl.DataFrame, user: str | None) -> list[str]:
    """Return columns of text with names for titles and at least two distinct cells."""
    titles = {plain(n) for n in ("title", *SYNONYMS["title"], *LESS_LIKELY["title"])}
    named = [c for c in frame.columns if plain(c) in titles and c != user]
    return [c for c in named if frame[c].dtype == pl.Utf8 and frame[c].n_unique() > 1]


def _finest_title(frame: pl.DataFrame, user: str) -> dict[str, str]:
    """Return `item_id` -> the title that determines all other titles: a track, not its artist."""
    named = _titles(frame, user)
    n_combinations = frame.select(named).n_unique() if named else 0
    finest = [c for c in named if frame[c].n_unique() == n_combinations]
    return {"item_id": finest[0]} if finest and len(named) > 1 else {}


def _within(frame: pl.DataFrame, item: str, chosen: Mapping[str, str]) -> str:
    """Return the title or the id of a part, where the items are named like the whole: the track of
    an artist. The column unchanged without one.
    """
    if _HOLDING.search(plain(item)) is None:
        return item
    for title in _titles(frame, chosen.get("user_id")):
        pairs = frame.select(item, title).drop_nulls().unique()
        if title != item and pairs.height == pairs[title].n_unique() > pairs[item].n_unique():
            return title
    for column in (c for c in _candidates(frame, chosen) if _is_id(c)):
        cells = frame.select(item, column).drop_nulls()
        pairs, ids = cells.unique(), cells[column].n_unique()
        comes_again = int(cells[column].is_duplicated().sum()) >= MIN_AGAIN * cells.height
        if pairs.height == ids > pairs[item].n_unique() and comes_again:
            return column
    return item


_HOLDING = re.compile(
    r"^(artist|author|album|podcast|publisher|show|channel|creator|singer|band|label|series)"
    r"(s|name)?$|^(歌手|专辑|播客|作者|频道)(名|名称)?$"
)
"""Pattern of names of a whole with parts, as `plain` returns them."""


def _is_id(column: str) -> bool:
    """Whether a column has a name for ids."""
    return IDS.search(column.rstrip(" .:*")) is not None and not _NO_IDS.search(plain(column))


def _are_texts(frame: pl.DataFrame, column: str) -> bool:
    """Whether most cells are titles rather than codes."""
    if frame.schema[column] != pl.Utf8 or _is_id(column):
        return False
    cells = frame[column].drop_nulls()
    texts = cells.str.contains(r"\pL{2,}[^\pL\d]+\pL|[\p{Han}\p{Kana}\p{Hangul}]{2}|^\pL+$")
    return 2 * int(texts.sum()) > len(cells)


def _are_codes(column: pl.Series) -> bool:
    """Whether all cells are codes of letters and digits, such as `tt0111161`, or addresses."""
    if column.dtype != pl.Utf8:
        return False
    code = r"^\w*([A-Za-z]\w*\d|\d\w*[A-Za-z])[\w-]*$|^https?://\S+$"
    return bool(column.drop_nulls().str.contains(code).all())
