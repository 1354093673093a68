"""Open the envelopes in which programs log events: objects such as `properties`, JSON in text
cells, and lists of keys and values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.names.column_matching import key_of
from metarec.data.names.column_names import plain
from metarec.data.sources.rows.change_logs import of_changes

ENVELOPES = frozenset(
    "event properties eventproperties eventvalue eventprops props params eventparams payload "
    "attributes eventattributes data eventdata 属性 事件属性 参数".split()
)
"""Names of objects with the fields of an event, as `plain` returns them. The fields keep their
names, unless another column has the name.
"""
LINES = frozenset("items lines lineitems orderitems orderlines products positions".split())
"""Names of columns of the lines of an order, as `plain` returns them."""
KEYS, VALUES = frozenset("key name k".split()), frozenset("value val v".split())
"""Names of the fields for keys and for values in lists of such objects."""
BULK = frozenset("index create update".split())
"""Names of objects in Elasticsearch's bulk format that state what happens to the next line."""
LOOKED_AT = 1000
"""Number of first cells that decide whether a column may hold objects."""
MAX_KEYS = 100
"""Maximum number of distinct keys in such lists, or of fields of objects in text."""


def opened(frame: pl.DataFrame) -> pl.DataFrame:
    """Convert JSON in text cells to objects, lists of keys and values to columns, and fields of
    `ENVELOPES` to columns without the envelope's name.
    """
    frame = _without_paths(of_changes(frame))
    for name, dtype in list(frame.schema.items()):
        if dtype == pl.Utf8 and (decoded := _decoded(frame[name])) is not None:
            frame = frame.with_columns(decoded)
        elif dtype == pl.Utf8 and (parts := _partly_decoded(frame[name])) is not None:
            frame = frame.with_columns(parts)
        elif (pair := _pair_of(dtype)) is not None:
            frame = _by_keys(frame, name, *pair)
    for name in [n for n, t in frame.schema.items() if isinstance(t, pl.Struct)]:
        if plain(name) in ENVELOPES or _holds_event(frame, name):
            fields = frame[name].struct.unnest()
            taken = {*frame.columns}
            bare = {f: f if f not in taken else f"{name}_{f}" for f in fields.columns}
            kept = [f for f in fields.columns if bare[f] == f or bare[f] not in taken]
            opened_fields = fields.select(kept).rename({f: bare[f] for f in kept})
            frame = frame.drop(name).hstack(opened_fields)
    return _with_health_records(frame)


def only_events(
    raw: RawTable,
) -> RawTable:
    """Remove lines between events that are none, and events that were sent again."""
    return _without_resent(_without_bulk_lines(raw))


def _without_bulk_lines(
    raw: RawTable,
) -> RawTable:
    """Remove the lines of Elasticsearch's bulk format that precede each event: `{"index":
    {"_index": "events", "_id": "e1"}}`.
    """
    frame, place, findings = raw
    lines = [c for c, dtype in frame.schema.items() if c in BULK and _says_where(dtype)]
    others = [c for c in frame.columns if c not in lines]
    if not lines or not others:
        return raw
    is_event = frame.select(pl.any_horizontal(pl.col(others).is_not_null())).to_series()
    if is_event.all() or not is_event.any():
        return raw
    why = f"lines of {place.name} that say where the next goes (bulk format) are no events"
    note = Finding(rule="columns", rows=int((~is_event).sum()), action="noted", why=why)
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    kept = Place(place.name, place.unit, place.first, rows.filter(is_event))
    return frame.filter(is_event).drop(lines), kept, [*findings, note]


def _says_where(dtype: pl.DataType) -> bool:
    """Whether an object has only fields on where the next line goes."""
    fields = [field.name for field in dtype.fields] if isinstance(dtype, pl.Struct) else []
    return bool(fields) and all(name.startswith("_") or name == "routing" for name in fields)


def _holds_event(frame: pl.DataFrame, name: str) -> bool:
    """Whether an object holds ids of users and items that no other column holds, or a FHIR
    resource.
    """
    dtype = frame.schema[name]
    fields = [field.name for field in dtype.fields] if isinstance(dtype, pl.Struct) else []
    if "resourceType" in fields:
        return True
    others = [c for c in frame.columns if c != name]
    keys = ("user_id", "item_id")
    return all(key_of(fields, k) is not None and key_of(others, k) is None for k in keys)


def _with_health_records(frame: pl.DataFrame) -> pl.DataFrame:
    """Replace references in FHIR records by the ids in them, and codes by the first code and its
    text.
    """
    for name, dtype in list(frame.schema.items()):
        if not isinstance(dtype, pl.Struct):
            continue
        fields = {field.name: field.dtype for field in dtype.fields}
        parts = frame[name].struct.unnest()
        if fields.get("reference") == pl.Utf8:
            columns = {f"{name}_id": parts["reference"].str.replace(r"^.*[/:]", "")}
        elif (coded := _codings(parts, fields)) is not None:
            stem = name.removesuffix("CodeableConcept").removesuffix("Code")
            columns = coded if stem == "code" else {f"{stem}_{n}": s for n, s in coded.items()}
        else:
            continue
        if not {*columns} & {*frame.columns} - {name}:
            frame = frame.drop(name).with_columns(s.alias(n) for n, s in columns.items())
    return frame


def _codings(parts: pl.DataFrame, fields: Mapping[str, object]) -> dict[str, pl.Series] | None:
    """Return the first code of each cell and its text, as columns; None where the object has no
    codes.
    """
    coding = fields.get("coding")
    if not isinstance(coding, pl.List) or not isinstance(coding.inner, pl.Struct):
        return None
    first = parts["coding"].list.first().struct.unnest()
    if "code" not in first.columns:
        return None
    names = [parts[c] for c in ("text",) if c in parts.columns]
    names += [first[c] for c in ("display",) if c in first.columns]
    text = pl.DataFrame([s.alias(str(n)) for n, s in enumerate(names)])
    columns = {"code": first["code"]}
    return columns | ({"name": text.select(pl.coalesce(pl.all())).to_series()} if names else {})


def _without_paths(frame: pl.DataFrame) -> pl.DataFrame:
    """Rename columns that are named by a path in an envelope or in the lines of an order:
    `properties.item_id` and `Order Lines/Product` lose the first part.
    """
    renamed = dict[str, str]()
    for column in frame.columns:
        head, _, bare = column.rpartition("/") if "/" in column else column.rpartition(".")
        is_known = plain(head) in ENVELOPES or plain(head) in LINES
        if is_known and plain(bare) not in ("", "id") and bare not in frame.columns:
            renamed[column] = bare
    return frame.rename(renamed if len({*renamed.values()}) == len(renamed) else {})


def _decoded(column: pl.Series) -> pl.Series | None:
    """Return a column of JSON objects as objects; None where some stated cell is none, or all
    objects are empty.
    """
    first = column.head(LOOKED_AT).drop_nulls()
    if not first.str.contains(r"^\s*\{").any():
        return None
    text = nothing(column)
    stated = text.drop_nulls()
    if not len(stated) or not stated.str.contains(r"(?s)^\s*\{.*\}\s*$").all():
        return None
    try:
        cells: list[dict[str, Any] | None] = [c if c is None else json.loads(c) for c in text]
        decoded = pl.Series(column.name, cells, strict=False)
    except (ValueError, TypeError, pl.exceptions.PolarsError, RecursionError):
        return None
    is_opened = isinstance(decoded.dtype, pl.Struct) and 0 < len(decoded.dtype.fields) <= MAX_KEYS
    return decoded if is_opened else None


def _partly_decoded(column: pl.Series) -> list[pl.Series] | None:
    """Return the objects, and the other text, of an envelope with objects in most cells; None for
    others.
    """
    if plain(column.name) not in ENVELOPES:
        return None
    text = nothing(column)
    are_objects = text.str.contains(r"(?s)^\s*\{.*\}\s*$").fill_null(False)
    if 2 * int(are_objects.sum()) <= len(text) - text.null_count():
        return None
    decoded = _decoded(text.set(~are_objects, None))
    other_text = text.set(are_objects, None).alias(f"{column.name}_text")
    return None if decoded is None else [decoded, other_text]


def _pair_of(dtype: pl.DataType) -> tuple[str, str] | None:
    """Return the fields of keys and of values in a list of such objects; None for other types."""
    if not isinstance(dtype, pl.List) or not isinstance(dtype.inner, pl.Struct):
        return None
    names = [field.name for field in dtype.inner.fields]
    keys = [n for n in names if plain(n) in KEYS]
    values = [n for n in names if plain(n) in VALUES]
    return (keys[0], values[0]) if len(keys) == len(values) == 1 and len(names) <= 4 else None


def _by_keys(frame: pl.DataFrame, name: str, key: str, value: str) -> pl.DataFrame:
    """Replace a list of keys and values by one column per key."""
    spread = frame.select(name).with_row_index("row").explode(name).drop_nulls()
    pairs = spread.select("row", pl.col(name).struct.unnest()).select("row", key, value)
    values = pairs[value]
    if isinstance(values.dtype, pl.Struct):  # by type: {"string_value": "x", "int_value": null}
        typed = values.struct.unnest()
        values = typed.select(pl.coalesce(pl.all().cast(pl.Utf8, strict=False))).to_series()
    if values.dtype.is_nested() or not pairs.height or pairs[key].n_unique() > MAX_KEYS:
        return frame
    pairs = pl.DataFrame({"row": pairs["row"], "key": pairs[key], "value": values.cast(pl.Utf8)})
    is_envelope, rows = plain(name) in ENVELOPES, pl.DataFrame({"row": range(frame.height)})
    columns = list[pl.Series]()
    for one in pairs["key"].drop_nulls().unique(maintain_order=True):
        cells = pairs.filter(pl.col("key") == one).unique("row", keep="first")
        cells = rows.with_columns(pl.col("row").cast(pl.UInt32)).join(
            cells, on="row", how="left", maintain_order="left"
        )
        bare = str(one) if is_envelope and str(one) not in frame.columns else f"{name}_{one}"
        columns.append(cells["value"].alias(bare))
    return frame.drop(name).with_columns(columns)


_SENT_ONCE = frozenset(
    "insertid idempotencykey deduplicationid dedupid dedupeid dedupkey dedupekey".split()
)
"""Names of ids by which programs detect events sent again, as `plain` returns them."""


def _without_resent(
    raw: RawTable,
) -> RawTable:
    """Remove events sent again, by a column of ids for this (`$insert_id`). Return the raw
    table.
    """
    frame, place, findings = raw
    named = [c for c, t in frame.schema.items() if plain(c) in _SENT_ONCE and not t.is_nested()]
    if not named:
        return raw
    again = nothing(frame[named[0]].cast(pl.Utf8))
    again = ~again.is_first_distinct() & again.is_not_null()
    if not again.any():
        return raw
    why = f"{named[0]} of {place.name} says that the event was sent before"
    finding = Finding(rule="resent", rows=int(again.sum()), action="removed", why=why)
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    kept = Place(place.name, place.unit, place.first, rows.filter(~again))
    return frame.filter(~again), kept, [*findings, finding]


def without_itemless(frame: pl.DataFrame, place: Place) -> RawTable:
    """Remove events of kinds none of whose events has an item, while other kinds have items: the
    start of a session among views of products. Return events, places and findings.
    """
    if "kind" not in frame.columns or frame["kind"].dtype != pl.Utf8:
        return frame, place, []
    items = frame["item_id"].cast(pl.Utf8, strict=False)
    named = items.is_not_null() & (items != "").fill_null(False)
    if named.all():
        return frame, place, []
    by_kind = pl.DataFrame({"kind": frame["kind"], "named": named}).group_by("kind")
    itemless = by_kind.agg(pl.col("named").any()).filter(~pl.col("named"))["kind"].drop_nulls()
    gone = frame["kind"].is_in(itemless.implode()).fill_null(False)
    if not gone.any() or gone.all():
        return frame, place, []
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    names = itemless.unique().sort().to_list()
    listed = ", ".join(map(repr, names[:4])) + (", ..." if len(names) > 4 else "")
    why = f"no event of these kinds names an item: {listed}"
    finding = Finding(rule="itemless_kinds", rows=int(gone.sum()), action="removed", why=why)
    kept = Place(place.name, place.unit, place.first, rows.filter(~gone))
    return frame.filter(~gone), kept, [finding]
