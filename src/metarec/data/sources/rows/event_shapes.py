"""Turn tables of other shapes into one row per event: lists of items within an order, cells that
hold for the rows below, and one column per item (`matrices`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from metarec.data.cells.parsing import is_stated, nothing
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.names.column_matching import key_of
from metarec.data.names.column_names import ITEM_NOUNS, SYNONYMS, plain
from metarec.data.sources.acts.outcomes import NAMES
from metarec.data.sources.rows.id_lists import with_written_lists
from metarec.data.sources.rows.impressions import of_impressions, of_shown
from metarec.data.sources.rows.lists_of_acts import of_act_lists
from metarec.data.sources.rows.log_envelopes import LINES
from metarec.data.sources.rows.matrices import from_matrix
from metarec.data.sources.rows.survey_questions import of_questions, with_questions
from metarec.data.sources.values.cell_types import flat

MAX_DEPTH = 4
"""Maximum number of nested lists."""
_ORDER = re.compile(r"(order|invoice|receipt|basket|transaction|ticket|订单|单据|发票|小票)")
_PAGES = {"url", "pageurl", "page"}
_TITLES = {noun + end for noun in ITEM_NOUNS for end in ("name", "title")}
_KINDS = {plain(n) for n in ("kind", *SYNONYMS["kind"])}
_TIMES = {plain(n) for n in ("timestamp", *SYNONYMS["timestamp"])}
Synonyms = Mapping[str, Sequence[str]]


def one_row_an_event(
    frame: pl.DataFrame,
    place: Place,
    synonyms: Synonyms,
    mapped: Mapping[str, str],
    kinds: Kinds,
) -> RawTable:
    """Return one row per event, their places and findings; tables with one already stay unchanged.
    Lists named like kinds that are not positive (`returned_items`) are events of these.

    Args:
        mapped: canonical name -> column, as given by the user.
    """
    who = mapped.get("user_id") or key_of(frame.columns, "user_id", synonyms)
    frame = with_written_lists(frame, _columns_of_items(frame, mapped, synonyms))
    if "item_id" not in mapped and key_of(frame.columns, "item_id", synonyms) is None:
        frame, place, acts = of_act_lists(frame, who, place, kinds)
        if acts:
            return frame, place, acts
    frame, place, survey_findings = with_questions(frame, place)
    frame, place, findings = of_impressions(frame, who, place)
    frame, place, spread = _without_lists(frame, place, mapped, synonyms, kinds)
    findings += spread
    user = mapped.get("user_id") or key_of(frame.columns, "user_id", synonyms)
    item = mapped.get("item_id") or key_of(frame.columns, "item_id", synonyms)
    if item is None and not findings:
        answers = of_questions(frame, place, user)
        answers = answers if answers[2] else from_matrix(frame, place, user, mapped)
        return answers[0], answers[1], [*survey_findings, *answers[2]]
    if item in frame.columns and not frame.schema[item].is_nested():
        frame, place, beside = _with_lists_beside(frame, str(item), place, synonyms)
        findings += beside
    if user in frame.columns and item in frame.columns:
        frame, filled = _filled(frame, str(user), str(item), place)
        frame, states = _filled_states(frame, str(user), place)
        findings += [*filled, *states]
    return frame, place, [*survey_findings, *findings]


def _without_lists(
    frame: pl.DataFrame, place: Place, mapped: Mapping[str, str], synonyms: Synonyms, kinds: Kinds
) -> RawTable:
    """Return one row per item of lists, while no column identifies items; places and findings."""
    findings = list[Finding]()
    for _ in range(MAX_DEPTH):
        given = mapped.get("item_id")
        if given in frame.columns or (not given and key_of(frame.columns, "item_id", synonyms)):
            break
        column = _list_with(frame, given) if given else _list_of_items(frame, synonyms)
        column = column or (None if given else _list_of_pages(frame))
        if column is None:
            break
        before = {*frame.columns}
        frame, place, finding = _exploded(frame, column, place, synonyms)
        findings.append(finding)
        if (item := key_of(frame.columns, "item_id", synonyms)) is not None:
            frame, of_impressions = of_shown(frame, column, item, place, kinds, before)
            findings += of_impressions
        named = {*mapped, *map(plain, frame.columns)}
        if kinds.of(column).sign in ("negative", "neutral") and not _KINDS & named:
            frame = frame.with_columns(pl.lit(kinds.key(column)).alias("kind"))
            why = f"events of {column} are taken as of kind {kinds.key(column)!r}, by its name"
            findings.append(Finding(rule="kinds", rows=0, action="noted", why=why))
    return frame, place, findings


def _list_of_items(frame: pl.DataFrame, synonyms: Synonyms) -> str | None:
    """Return the only column of lists of items, or of objects with such a list; of several, the
    lines of an order. Lists of text are none where another column holds the title of the item.
    """
    columns = [c for c, t in frame.schema.items() if _holds_items(c, t, synonyms)]
    columns = [c for c in columns if (frame[c].list.len() > 0).any()]
    if any(plain(c) in _TITLES for c in frame.columns):
        columns = [c for c in columns if frame.schema[c] != pl.List(pl.Utf8)]
    lines = [c for c in columns if plain(c) == "lineitems"]
    columns = lines or columns
    return columns[0] if len(columns) == 1 else None


def _list_with(frame: pl.DataFrame, field: str) -> str | None:
    """Return the only column of lists of objects with a field; else None."""
    columns = [c for c, t in frame.schema.items() if field in _fields_in(t)]
    return columns[0] if len(columns) == 1 else None


def _fields_in(dtype: object) -> list[str]:
    """Return the names of the fields of the objects in lists; empty for other types."""
    inner = dtype.inner if isinstance(dtype, pl.List) else None
    return [field.name for field in inner.fields] if isinstance(inner, pl.Struct) else []


def fields_of_lists(frame: pl.DataFrame) -> str:
    """Return advice on lists of objects, one field of which may hold the items; else empty."""
    fields = {c: names for c, t in frame.schema.items() if (names := _fields_in(t))}
    if len(fields) != 1:
        return ""
    ((column, names),) = fields.items()
    return (
        f"{column!r} holds lists of objects with {', '.join(map(repr, names[:8]))}; if one of "
        f"these is the item, say so in a TOML file (columns = {{ item_id = {names[0]!r} }})"
    )


def _list_of_pages(frame: pl.DataFrame) -> str | None:
    """Return the only column of lists of objects with the address of a page, where no other column
    holds a page; else None.
    """
    if _PAGES & {plain(c) for c in frame.columns}:
        return None
    columns = [
        name
        for name, dtype in frame.schema.items()
        if isinstance(dtype, pl.List)
        and isinstance(dtype.inner, pl.Struct)
        and _PAGES & {plain(field.name) for field in dtype.inner.fields}
    ]
    return columns[0] if len(columns) == 1 else None


def _holds_items(column: str, dtype: object, synonyms: Synonyms) -> bool:
    """Whether a column holds lists of items, or of objects with such a list."""
    if not isinstance(dtype, pl.List):
        return False
    if not isinstance(dtype.inner, pl.Struct):
        return not dtype.inner.is_nested() and _is_of_items(column, synonyms)
    fields = {field.name: field.dtype for field in dtype.inner.fields}
    if _item_of(column, list(fields), synonyms) is not None:
        return True
    return any(_holds_items(name, inner, synonyms) for name, inner in fields.items())


def _is_of_items(column: str, synonyms: Synonyms) -> bool:
    """Whether a column's name is a plural of a name for items: `products`, `item_ids`."""
    one = _singular(column)
    return one in ITEM_NOUNS or (one != plain(column) and key_of([one], "item_id", synonyms) == one)


def _columns_of_items(
    frame: pl.DataFrame, mapped: Mapping[str, str], synonyms: Synonyms
) -> list[str]:
    """Return the column of items, or those whose name is a plural of a name for items."""
    item = mapped.get("item_id") or key_of(frame.columns, "item_id", synonyms)
    return [item] if item else [c for c in frame.columns if _is_of_items(c, synonyms)]


def _item_of(column: str, fields: Sequence[str], synonyms: Synonyms) -> str | None:
    """Return the field of a list's objects that identifies the item; None without one."""
    field = key_of(fields, "item_id", synonyms)
    is_called = plain(column) in LINES or _singular(column) in ITEM_NOUNS
    return field or ("id" if "id" in fields and is_called else None)


def _singular(column: str) -> str:
    """Return a name without a plural `s`, as `plain` returns it."""
    return plain(column).removesuffix("s")


def _exploded(
    frame: pl.DataFrame, column: str, place: Place, synonyms: Synonyms
) -> tuple[pl.DataFrame, Place, Finding]:
    """Return one row per element of a list, with the fields of its object as columns; rows with
    empty lists are removed. Also return places and a finding.
    """
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    spread = frame.with_columns(rows.alias("__row")).filter(pl.col(column).list.len() > 0)
    empty = frame.height - spread.height
    lengths = spread[column].list.len()
    beside = [
        name
        for name, dtype in spread.schema.items()
        if isinstance(dtype, pl.List) and not dtype.inner.is_nested()
        if spread[name].list.len().equals(lengths)
    ]
    spread = spread.explode(beside if column in beside else column)
    fields = spread.schema[column]
    if isinstance(fields, pl.Struct):
        names = [field.name for field in fields.fields]
        item, taken = _item_of(column, names, synonyms), set(spread.columns)
        new = {n: f"{column}_{n}" if n in taken else n for n in names}
        new |= {item: "item_id"} if item == "id" else {}
        fields_of_element = spread[column].struct.unnest().rename(new)
        spread = spread.drop(column).hstack(fields_of_element)
    else:
        spread = spread.rename({column: _singular(column)})
    why = (
        f"{column} of {place.name} holds lists of items: each of them is a row of its own; "
        f"{empty:,} rows have none"
    )
    finding = Finding(rule="lists", rows=frame.height, action="changed", why=why)
    place = replace(place, rows=spread["__row"])
    return flat(spread.drop("__row")), place, finding


def _with_lists_beside(
    frame: pl.DataFrame, item: str, place: Place, synonyms: Synonyms
) -> RawTable:
    """Return one row per item of a list in rows that have no item otherwise, such as orders of
    several products among views of one; their places and findings.
    """
    column = _list_of_items(frame, synonyms)
    inner = getattr(frame.schema[column], "inner", None) if column is not None else None
    if column is None or not isinstance(inner, pl.Struct):
        return frame, place, []
    blank = nothing(frame[item]).is_null() & (frame[column].list.len() > 0).fill_null(False)
    field = _item_of(column, [field.name for field in inner.fields], synonyms)
    if field is None or not blank.any():
        return frame, place, []
    fields = {f.name: f.dtype for f in inner.fields}
    field_of = {n: n for n, dtype in fields.items() if frame.schema.get(n) == dtype} | {item: field}
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    lists = dict[str, pl.Expr]()
    for name, within in field_of.items():
        kind = fields[within] if frame.schema[name] == fields[within] else pl.Utf8
        listed = pl.col(column).list.eval(pl.element().struct.field(within).cast(kind))
        alone = pl.concat_list(pl.col(name).cast(kind))
        lists[name] = pl.when(blank).then(listed).otherwise(alone).alias(name)
    spread = frame.with_columns(*lists.values(), rows.alias("__row")).explode(list(lists))
    why = (
        f"{column} of {place.name} holds items where {item!r} is blank: each of them is a row of "
        f"its own"
    )
    note = Finding(rule="lists", rows=int(blank.sum()), action="changed", why=why)
    return spread.drop("__row", column), replace(place, rows=spread["__row"]), [note]


def _filled(
    frame: pl.DataFrame, user: str, item: str, place: Place
) -> tuple[pl.DataFrame, list[Finding]]:
    """Fill missing users in rows below the first row of an order, where the order's number or time
    is missing with the user, or the number repeats. Return the table and findings.
    """
    blank = nothing(frame[user]).is_null()
    if not blank.any() or blank[0] or nothing(frame[item]).filter(blank).null_count():
        return frame, []
    others = [c for c in frame.columns if c not in (user, item)]
    orders = [c for c in others if _ORDER.search(plain(c))]
    numbers = [c for c in others if c in orders or plain(c) == "name"]
    numbers = [c for c in numbers if _is_of_one_user(frame, c, user)]
    times = [c for c in others if plain(c) in _TIMES]
    gaps = {c: nothing(frame[c]).is_null() for c in others}
    together = [c for c in others if gaps[c].equals(blank)]
    is_own = any(not gaps[c].equals(blank) for c in times)  # such a row is an event by itself
    if not {*together} & {*orders}:
        is_own |= any(not _repeats_above(frame[c], blank) for c in numbers)
    if not is_own and {*together} & {*orders, *times}:
        frame = frame.with_columns(nothing(frame[c]).forward_fill() for c in (user, *together))
    elif any(_repeats_above(frame[c], blank) for c in numbers):
        frame = frame.with_columns(nothing(frame[user]).forward_fill())
    else:
        return frame, []
    why = (
        f"rows of {place.name} without {user} are of the same order as the row above, and its user"
    )
    rows = int(blank.sum())
    return frame, [Finding(rule="blocks", rows=rows, action="changed", why=why)]


def _filled_states(
    frame: pl.DataFrame, user: str, place: Place
) -> tuple[pl.DataFrame, list[Finding]]:
    """Fill missing states in rows below the first row of an order. Return the table and
    findings.
    """
    states = [c for c in frame.columns if NAMES.search(plain(c))]
    numbers = [c for c in frame.columns if _ORDER.search(plain(c)) or plain(c) == "name"]
    numbers = [c for c in numbers if c != user]
    if not states or not (numbers := [c for c in numbers if c not in states]):
        return frame, []
    numbers = [c for c in numbers if _is_of_one_user(frame, c, user)]
    findings = list[Finding]()
    for column in states if numbers else []:
        blank = ~is_stated(frame[column])
        if blank[0] or not blank.any() or not _repeats_above(frame[numbers[0]], blank):
            continue
        frame = frame.with_columns(nothing(frame[column]).forward_fill())
        why = f"rows of {place.name} without {column} are of the same order as the row above"
        rows = int(blank.sum())
        findings.append(Finding(rule="blocks", rows=rows, action="changed", why=why))
    return frame, findings


def _is_of_one_user(frame: pl.DataFrame, column: str, user: str) -> bool:
    """Whether each distinct cell belongs to one user, like the number of an order and unlike its
    state.
    """
    pairs = frame.select(nothing(frame[column]), nothing(frame[user])).drop_nulls().unique()
    return pairs[column].n_unique() == pairs.height


def _repeats_above(column: pl.Series, blank: pl.Series) -> bool:
    """Whether each row with a blank repeats the cell of the row above."""
    return bool((column == column.shift(1)).filter(blank).fill_null(False).all())
