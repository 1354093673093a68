"""Merge the rows of each order in logs of states of orders and bookings: one that was placed, paid
and delivered counts once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import polars as pl

from metarec.data.cells.parsing import nothing
from metarec.data.events.rows import Place, RawTable
from metarec.data.findings import Finding
from metarec.data.kinds import Kinds
from metarec.data.names.column_names import CANONICAL, plain
from metarec.data.sources.acts.outcomes import NAMES, outcomes_of
from metarec.data.sources.values.dated_cells import seconds_of

_ORDERS = re.compile(
    r"(order|booking|reservation|appointment|shipment|delivery|application|loan|ticket|claim"
    r"|case|subscription|enrol+ment|request|trip|ride|consignment"
    r"|bestell(ung)?|buchungs?|auftrags?|termin|commande"
    r"|réservation|pedido|reserva|ordine|prenotazione)(id|no|nr|number|ref|key|code|uuid|nummer)$"
    r"|^(id)(order|booking|reservation|pedido|reserva|commande|ordine)$"
    r"|(订单|预约|预订|运单|申请|注文|予約)(id|编号|号|番号)$"
)
"""Pattern of names of ids of orders and bookings, as `plain` returns them."""
MIN_STATES = 1.5
"""Minimum mean number of rows per order and item for a table to be a log of states."""
LOOKED_AT = 1000
"""Number of first rows whose orders are checked before the whole table."""
MAX_ODD = 0.05
"""Maximum share of rows that repeat a state of the same order and item."""


def one_an_order(
    frame: pl.DataFrame, place: Place, kinds: Kinds, context: Sequence[str]
) -> RawTable:
    """Merge the rows of each order and item in a log of states: the last state, with the time of
    the first row unless the last state refuses. Return events, their places and findings.

    Args:
        context: names of context columns given by the user.
    """
    reserved = {*CANONICAL["interactions"], *context}
    if "timestamp" not in frame.columns or {"kind", "value"} & {*frame.columns}:
        return frame, place, []
    flat = [c for c, t in frame.schema.items() if c not in reserved and not t.is_nested()]
    orders = [c for c in flat if _ORDERS.search(plain(c))]
    states = [c for c in flat if NAMES.search(plain(c))]
    states = [c for c in states if c not in orders and frame.schema[c] == pl.Utf8]
    first_rows = {
        o: frame.filter(frame[o].is_in(frame[o].head(LOOKED_AT).implode())) for o in orders
    }
    pairs = [(o, s) for o in orders for s in states if _are_states(first_rows[o], o, s)]
    order_and_state = next(((o, s) for o, s in pairs if _are_states(frame, o, s)), None)
    times = seconds_of(frame["timestamp"]) if order_and_state is not None else None
    if order_and_state is None or times is None or times.null_count():
        return frame, place, []
    order, state = order_and_state
    refused = outcomes_of(frame, kinds, context).get(state, {})
    kept, first = _last_of(frame, times, order, state, refused)
    rows = pl.int_range(frame.height, eager=True) if place.rows is None else place.rows
    gone = frame.height - len(kept)
    why = (
        f"rows of {place.name} of one {order!r} are states of one event: each counts once, by its "
        f"last state, and since its first unless that refuses"
    )
    note = Finding(rule="states", rows=gone, action="changed", why=why)
    frame = frame.with_columns(first.alias("timestamp"))[kept]
    return frame, replace(place, rows=rows.gather(kept)), [note]


def _are_states(frame: pl.DataFrame, order: str, state: str) -> bool:
    """Whether the rows of each order are its successive states, with few repeats."""
    keys = [order, "user_id", "item_id"]
    if any(frame.schema[c].is_nested() for c in keys):
        return False
    rows = frame.select(*keys, nothing(frame[state]).alias(state), "timestamp")
    if rows[order].null_count() or rows[state].null_count():
        return False
    acts = rows.select(keys).n_unique()
    owners = rows.select(order, "user_id").n_unique()
    if rows.height < MIN_STATES * acts or owners > rows[order].n_unique():
        return False
    again = rows.height - rows.select(*keys, state).n_unique()
    at_once = rows.height - rows.select(*keys, "timestamp").n_unique()
    return again <= MAX_ODD * rows.height and 2 * at_once <= rows.height


def _last_of(
    frame: pl.DataFrame,
    times: pl.Series,
    order: str,
    state: str,
    refused: Mapping[str, str],
) -> tuple[pl.Series, pl.Series]:
    """Return the positions of the last row of each order and item, and a time for every row: that
    of the first row of its order and item, or its own where its state refuses.
    """
    rows = frame.select(order, "user_id", "item_id", "timestamp", state).with_row_index("at")
    rows = rows.with_columns(seconds=times).sort("seconds", "at")
    begun = pl.col("timestamp").first().over(order, "user_id", "item_id")
    is_no = nothing(frame[state]).is_in(list(refused)).fill_null(False)
    first = rows.with_columns(begun=begun).sort("at")["begun"]
    last = rows.group_by(order, "user_id", "item_id").agg(pl.col("at").last())["at"].sort()
    return last, frame["timestamp"].zip_with(is_no, first)
