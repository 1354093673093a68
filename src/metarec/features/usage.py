"""Report of the use of each column of a data set, so that no column is ignored silently."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import asdict, dataclass
from typing import Any, Literal

import polars as pl

from metarec.data.dataset import Dataset
from metarec.data.events.times import HOURS_FROM_UTC
from metarec.data.places import LATITUDE, LONGITUDE
from metarec.features.context_columns import MIN_EVENTS, NOT_CONTEXT, ContextColumns
from metarec.features.items import SKIPPED, tag_columns, tags_of
from metarec.features.profiles import ProfileInputs
from metarec.features.text import TEXT_COLUMNS

Use = Literal[
    "id",
    "time",
    "rating",
    "amount",
    "kind",
    "context",
    "place",
    "friends",
    "search",
    "text",
    "tags",
    "number",
    "not used",
]


@dataclass(frozen=True, kw_only=True)
class ColumnUse:
    """Use of one column."""

    table: str
    """`interactions`, `items`, `users`, `friends` or `searches`."""
    column: str
    use: Use
    why: str
    """Details of its use, or the reason why it is not used."""

    def line(self) -> str:
        """Return one line for a terminal."""
        return f"  {self.table:<14}{self.column:<24}{self.use:<10}{self.why}".rstrip()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, for JSON."""
        return asdict(self)


def column_use(data: Dataset) -> list[ColumnUse]:
    """Return the use of every column of events, items, users, friends and searches."""
    return [*_of_events(data), *_of_items(data), *_of_users(data), *_of_relations(data)]


def usage_text(uses: Sequence[ColumnUse]) -> str:
    """Return the report as text for a terminal."""
    return "\n".join(["Columns", *(use.line() for use in uses)])


def _of_events(data: Dataset) -> list[ColumnUse]:
    events = data.interactions
    uses = [_used("interactions", c, "id") for c in ("user_id", "item_id")]
    no_clock = "there are no times, or all are the same; the order of events is taken as random"
    uses.append(
        _used("interactions", "timestamp", "time", "orders events")
        if events.has_time
        else _used("interactions", "timestamp", "not used", no_clock)
    )
    uses.append(_of_values(data))
    kinds = events.frame["kind"].n_unique()
    uses.append(_used("interactions", "kind", "kind", f"{kinds} {_plural(kinds, 'kind')}"))
    coded = set(ContextColumns.fit(events).names)
    return uses + [_of_context(events.frame[c], coded) for c in events.context_columns]


def _of_values(data: Dataset) -> ColumnUse:
    events = data.interactions
    stated = len(events) - events.frame["value"].null_count()
    if events.has_values:
        rated = len(events) - events.acts()["rating"].null_count()
        low, high = events.value_range
        why = f"{rated:,} ratings of {low:g} to {high:g}"
        return _used("interactions", "value", "rating", why)
    if not stated:
        return _used("interactions", "value", "not used", "no event states a number")
    why = "amounts of events: one of 0 or less says no, others change nothing"
    return _used("interactions", "value", "amount", why)


def _of_context(column: pl.Series, coded: Set[str]) -> ColumnUse:
    """Return the use of a column of events beside their own.

    Args:
        coded: columns with codes, which models read as circumstances.
    """
    name, stated = column.name, column.drop_nulls()
    if not len(stated):
        return _used("interactions", name, "not used", "it is empty")
    if name == HOURS_FROM_UTC:
        return _used("interactions", name, "time", "hour and weekday are those of the place")
    if stated.n_unique() == 1:
        or_empty = " or empty" if len(stated) < len(column) else ""
        why = f"it is always {_short(stated[0])}{or_empty}"
        return _used("interactions", name, "not used", why)
    if name in (LATITUDE, LONGITUDE):
        return _used("interactions", name, "place", "where events happened")
    is_number, values = column.dtype.is_numeric(), stated.n_unique()
    if is_number or column.dtype in (pl.Utf8, pl.Boolean, pl.Categorical):
        if not is_number and values == len(column) and values > 30:
            return _used("interactions", name, "not used", "each event has a value of its own")
        if name in NOT_CONTEXT:
            return _used("interactions", name, "not used", "it names sessions or orders")
        if name not in coded:
            why = f"fewer than two values are stated by {MIN_EVENTS} events each"
            return _used("interactions", name, "not used", why)
        why = "a number" if is_number else f"{values:,} different values"
        return _used("interactions", name, "context", why)
    return _used("interactions", name, "not used", f"cells of type {column.dtype} are not read")


def _of_items(data: Dataset) -> list[ColumnUse]:
    frame = data.items.frame
    tagged, common = set(tag_columns(frame)), tags_of(frame)
    return [_of_item_column(frame[c], tagged, common) for c in frame.columns]


def _of_item_column(column: pl.Series, tagged: set[str], common: Sequence[str]) -> ColumnUse:
    name, stated = column.name, column.drop_nulls()
    if name == "item_id":
        return _used("items", name, "id")
    if not len(stated):
        return _used("items", name, "not used", "it is empty")
    if name in tagged:
        n = sum(tag.startswith(f"{name}=") for tag in common)
        also = " and as text" if name in TEXT_COLUMNS else ""
        if n or also:
            return _used("items", name, "tags", f"{n} {_plural(n, 'tag')}{also}")
        return _used("items", name, "not used", "no value is shared by 3 items and not by all")
    if name in TEXT_COLUMNS:
        return _used("items", name, "text", "read by the text encoder")
    if name == "image":
        return _used("items", name, "not used", "pictures are read with --pictures FOLDER")
    if column.dtype.is_numeric() and name.lower() not in SKIPPED:
        if name in (LATITUDE, LONGITUDE):
            return _used("items", name, "place", f"where items are: {_range(stated)}")
        if stated.n_unique() > 1:
            return _used("items", name, "number", _range(stated))
        return _used("items", name, "not used", f"it is always {_short(stated[0])}")
    return _used("items", name, "not used", _why_no_content(column))


def _why_no_content(column: pl.Series) -> str:
    if column.dtype == pl.Utf8:
        return (
            f"text of {column.n_unique():,} different values; to have it read, map it to text in a "
            f"TOML file (item_columns)"
        )
    return f"cells of type {column.dtype} are not read"


def _of_users(data: Dataset) -> list[ColumnUse]:
    frame, moments = data.users.frame, set(data.users.moments)
    seen = data.interactions.frame["user_id"].unique().to_list()
    inputs = ProfileInputs.fit(data.users, seen)
    uses = []
    for name in frame.columns:
        if name == "user_id":
            uses.append(_used("users", name, "id"))
        elif name in (LATITUDE, LONGITUDE) and frame[name].dtype.is_numeric():
            uses.append(_used("users", name, "place", "where users live"))
        elif name in moments:
            uses.append(_used("users", name, "not used", "moments may tell what users did later"))
        elif name in inputs.categories:
            n = len(inputs.categories[name])
            uses.append(_used("users", name, "tags", f"{n} {_plural(n, 'value')}"))
        elif name in inputs.edges:
            uses.append(_used("users", name, "number", _range(frame[name].drop_nulls())))
        else:
            why = "fewer than two values are shared by 3 users with events"
            uses.append(_used("users", name, "not used", why))
    return uses


def _of_relations(data: Dataset) -> list[ColumnUse]:
    """Return the use of the columns of friends and searches, where there are any."""
    friends, searches = data.relations.friends, data.relations.searches
    uses = []
    if friends.height:
        users = friends["user_id"].n_unique()
        why = f"{friends.height // 2:,} friendships of {users:,} users"
        uses += [_used("friends", "friend_id", "friends", why)]
        if friends["weight"].n_unique() > 1:
            uses += [_used("friends", "weight", "friends", _range(friends["weight"]))]
    if searches.height:
        users = searches["user_id"].n_unique()
        why = f"{searches.height:,} searches of {users:,} users"
        uses += [_used("searches", "query", "search", why)]
        clock = "orders searches" if searches["timestamp"].null_count() == 0 else "not all have one"
        uses += [_used("searches", "timestamp", "time", clock)]
    return uses


def _used(table: str, column: str, use: Use, why: str = "") -> ColumnUse:
    return ColumnUse(table=table, column=column, use=use, why=why)


def _plural(n: int, word: str) -> str:
    return word if n == 1 else f"{word}s"


def _range(stated: pl.Series) -> str:
    numbers = stated.cast(pl.Float64)
    # Polars types min() as any literal
    return f"{float(numbers.min()):g} to {float(numbers.max()):g}"  # type: ignore[arg-type]


def _short(value: object, max_letters: int = 30) -> str:
    text = repr(value.to_list() if isinstance(value, pl.Series) else value)
    return text if len(text) <= max_letters else f"{text[:max_letters]}..."
