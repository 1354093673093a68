"""The nouns of stage 1: what users did, what there is, who they are.

Ids are text outside and indexes inside; `Vocabulary` is the one place that translates.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from metarec.data.arguments import check_type
from metarec.data.dates import as_seconds
from metarec.data.errors import BadInput as BadInput
from metarec.data.errors import DataWarning as DataWarning
from metarec.data.kinds import Kinds
from metarec.data.parsing import as_numbers
from metarec.data.vocabulary import Vocabulary as Vocabulary

if TYPE_CHECKING:
    pass

EVENT_COLUMNS = ("user_id", "item_id", "timestamp", "value", "kind")
NO_KIND = "event"
"""The kind of events that say none."""
MIN_TIMED = 0.1
"""From this share of events with a time on, times order events."""
RELEVANT_SHARE = 0.75
"""An event is relevant (liked) from this share of the value scale upward: 4 of 1..5, 8 of 1..10."""
EARLIEST_MOMENT = 315_532_800
"""1980 in seconds since 1970: an attribute of users that is nowhere less is taken for a moment in
time.
"""


MAX_SPLICED, MAX_CHUNKS = 64, 400
"""Rows of a catalog that are changed one by one, and pieces that it may then lie in."""


def as_polars(frame: Any, what: str) -> pl.DataFrame:
    """Take a polars or pandas frame (or anything polars reads) as a polars frame.

    Raises:
        BadInput: if `frame` is not a table.
    """
    if isinstance(frame, pl.DataFrame):
        return widened(frame)
    if isinstance(frame, pl.LazyFrame):
        return widened(frame.collect())
    if type(frame).__module__.split(".")[0] == "pandas":
        return widened(_of_pandas(frame))
    try:
        return widened(pl.DataFrame(frame))
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise BadInput(
            f"{what} must be a polars or pandas frame, got {type(frame).__name__}"
        ) from error


def widened(table: pl.DataFrame) -> pl.DataFrame:
    """Whole numbers of any width as 64 bits, so that they compare with any other; spans of time as
    seconds; objects, such as keys of a program, as text.
    """
    found: list[pl.Expr | pl.Series] = []
    for name, dtype in table.schema.items():
        if dtype == pl.Object:
            cells = [None if cell is None else str(cell) for cell in table[name]]
            found.append(pl.Series(name, cells, pl.Utf8))
        elif isinstance(dtype, pl.Duration):
            found.append(pl.col(name).dt.total_microseconds() / 1e6)
        elif dtype.is_integer() and dtype != pl.Int64:
            largest = table[name].max()
            if not isinstance(largest, int) or largest < 2**63:  # an id may be larger
                found.append(pl.col(name).cast(pl.Int64))
    return table.with_columns(found)


def _of_pandas(frame: Any) -> pl.DataFrame:
    """A pandas frame; columns of objects that are neither text nor numbers (keys) become text."""

    def with_texts(names: Iterable[str]) -> Any:
        return frame.assign(
            **{n: [None if c is None or c != c else str(c) for c in frame[n]] for n in names}
        )

    try:
        table = pl.from_pandas(frame)
    except (TypeError, ValueError):
        return pl.from_pandas(with_texts(n for n in frame.columns if frame[n].dtype == object))
    objects = [n for n, dtype in table.schema.items() if dtype in (pl.Object, pl.Binary)]
    return pl.from_pandas(with_texts(objects)) if objects else table


def id_order(column: str) -> list[pl.Expr]:
    """Sort ids as whole numbers where they are, else as text, so that the order never depends on
    the file.
    """
    return [pl.col(column).cast(pl.Int64, strict=False), pl.col(column)]


def id_codes(ids: pl.Series) -> pl.Series:
    """Each id's place among the ids in `id_order`, as uint32: equal for equal ids, and much faster
    to sort and compare.
    """
    places = pl.DataFrame({"id": ids.unique()}).sort(id_order("id")).with_row_index("place")
    return pl.DataFrame({"id": ids}).join(places, on="id", how="left", maintain_order="left")[
        "place"
    ]


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """Events by user, time and item; kind and value decide what is left, so that the order of the
    input rows never does.
    """
    keys = events.with_columns(
        id_codes(events["user_id"]).alias("__user"),
        id_codes(events["item_id"]).alias("__item"),
        id_codes(events["kind"]).alias("__kind"),
    )
    return keys.sort("__user", "timestamp", "__item", "__kind", "value").drop(
        "__user", "__item", "__kind"
    )


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """What users did: one row an event, sorted by user, then time, then item id.

    `frame` has `user_id, item_id` (text), `timestamp` (seconds, float), `value` (float32; null
    where no number is stated), `kind` (text) and any further columns, which are context (device,
    place, hour, sensor readings).
    """

    frame: pl.DataFrame
    has_values: bool
    """True where some events are ratings on a scale; False where a `value` is only an amount of an
    implicit act.
    """
    has_time: bool
    """True where `timestamp` orders events; False where the order within a user carries no meaning.
    """
    kinds: Kinds = field(default_factory=Kinds.default)
    """What each kind of event says about preference."""
    target_kinds: frozenset[str] = frozenset()
    """Kinds that recommendations of these data are for, by `Kinds.key`: the positive targets
    that occur, else every positive kind that does. Decided on the data as a whole, so that a part
    of them without purchases does not take views for targets.
    """

    def __post_init__(self) -> None:
        check_type(
            "Interactions.frame",
            self.frame,
            pl.DataFrame,
            "a polars frame (Interactions.of reads others)",
        )

    @classmethod
    def of(cls, frame: Any, kinds: Kinds | None = None) -> Interactions:
        """Check and complete a table of events: `rating` is read as `value`, `seq_pos` stands in
        for a timestamp.

        Raises:
            BadInput: if `user_id` or `item_id` is missing, or a column cannot be read as its type.
        """
        kinds = kinds or Kinds.default()
        table = as_polars(frame, "interactions")
        for alias, name in (("rating", "value"), ("event", "kind")):
            if alias in table.columns and name not in table.columns:
                table = table.rename({alias: name})
        for column in ("user_id", "item_id"):
            if column not in table.columns:
                raise BadInput(
                    f"interactions have no column {column!r} (columns: "
                    f"{', '.join(table.columns)}); "
                    "rename one or map it in a TOML file"
                )
        table, has_time = _with_clock(table)
        if "kind" not in table.columns:
            table = table.with_columns(pl.lit(NO_KIND).alias("kind"))
        context = [c for c in table.columns if c not in (*EVENT_COLUMNS, "seq_pos")]
        table = table.with_columns(
            pl.col("user_id", "item_id").cast(pl.Utf8),
            pl.col("kind").cast(pl.Utf8).fill_null(NO_KIND),
            pl.col("timestamp").cast(pl.Float64),
        )
        table, has_values = _with_values(table, kinds)
        return cls(
            frame=in_order(table.select(*EVENT_COLUMNS, *context)),
            has_values=has_values,
            has_time=has_time,
            kinds=kinds,
            target_kinds=_targets(table["kind"].unique().to_list(), kinds, has_values),
        )

    def __len__(self) -> int:
        return self.frame.height

    @property
    def context_columns(self) -> list[str]:
        """Columns beyond the five of every event."""
        return [c for c in self.frame.columns if c not in EVENT_COLUMNS]

    def acts(self) -> pl.DataFrame:
        """What each event says, row by row as `frame`.

        Columns: `sign` (Int8: 1 positive or rated, -1 negative, 0 neutral, search or undo),
        `strength` (Float32, above 0), `rating` (Float32, null where the event is no rating),
        `is_target` and `is_undo` (Boolean).
        """
        return self._acts

    @cached_property
    def _acts(self) -> pl.DataFrame:
        kinds = _kind_table(self.frame["kind"].unique().to_list(), self)
        rows = self.frame.select("kind", "value").join(
            kinds, on="kind", how="left", maintain_order="left"
        )
        rating = pl.when(pl.col("is_rating")).then(pl.col("value"))
        takes_no = pl.col("value").le(0).fill_null(False) & (pl.col("sign") > 0)
        refused = pl.lit(False) if self.has_values else takes_no
        is_rated = pl.col("is_rating") & pl.col("value").is_not_null()
        return rows.select(
            pl.when(refused).then(pl.lit(-1, pl.Int8)).otherwise(pl.col("sign")).alias("sign"),
            "strength",
            rating.alias("rating"),
            ((pl.col("is_target") & ~pl.col("is_rating") & ~refused) | is_rated).alias("is_target"),
            "is_undo",
        )

    @cached_property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest rating; of implicit data, value."""
        column = self.acts()["rating"] if self.has_values else self.frame["value"]
        if column.null_count() == len(column):
            return (1.0, 1.0)
        # Polars types min() as any literal
        return float(column.min()), float(column.max())  # type: ignore[arg-type]

    @property
    def relevant_from(self) -> float:
        """The value from which an event counts as liked; every implicit event does."""
        low, high = self.value_range
        return low + RELEVANT_SHARE * (high - low) if self.has_values else -np.inf

    @property
    def number(self) -> pl.Expr:
        """A number for every event, for readers of `value` that know no kinds: an event without a
        rating counts as just liked, an implicit one as 1.
        """
        return pl.col("value").fill_null(self.relevant_from if self.has_values else 1.0)

    @property
    def filled(self) -> pl.DataFrame:
        """`frame` with `number` for `value`."""
        return self.frame.with_columns(self.number.cast(pl.Float32).alias("value"))

    def keep(self, frame: pl.DataFrame) -> Interactions:
        """The same kind of events with other rows."""
        return replace(self, frame=frame)


def _kind_table(names: Sequence[str], events: Interactions) -> pl.DataFrame:
    """What each kind that occurs says, a row a kind."""
    kinds = [events.kinds.of(name) for name in names]
    return pl.DataFrame(
        {
            "kind": names,
            "sign": [{"positive": 1, "negative": -1}.get(k.sign, 0) for k in kinds],
            "strength": [k.strength for k in kinds],
            "is_target": [events.kinds.key(name) in events.target_kinds for name in names],
            "is_undo": [k.sign == "undo" for k in kinds],
            "is_rating": [events.has_values and events.kinds.is_rating(name) for name in names],
        },
        schema={
            "kind": pl.Utf8,
            "sign": pl.Int8,
            "strength": pl.Float32,
            "is_target": pl.Boolean,
            "is_undo": pl.Boolean,
            "is_rating": pl.Boolean,
        },
    )


def _targets(names: Iterable[str], kinds: Kinds, has_values: bool) -> frozenset[str]:
    """The positive targets that occur; where there are none, and no ratings to stand for them,
    every positive kind.
    """
    positive = {kinds.key(n): kinds.of(n) for n in names if kinds.of(n).sign == "positive"}
    targets = frozenset(n for n, kind in positive.items() if kind.target)
    return targets if targets or has_values else frozenset(positive)


def _with_clock(table: pl.DataFrame) -> tuple[pl.DataFrame, bool]:
    """Give every event a `timestamp`: the given one, else the position, else a seeded shuffle (a
    random order). Events without a time, where others have one, come before all of them, shuffled.
    """
    for clock in ("timestamp", "seq_pos"):
        if clock not in table.columns or table[clock].null_count() == table.height:
            continue
        column = as_seconds(table[clock]).fill_nan(None)
        if column.null_count() > table[clock].null_count() + _nans(table[clock]):
            odd = table[clock].filter(column.is_null() & table[clock].is_not_null())[0]
            raise BadInput(f"{clock} {odd!r} is neither seconds nor an ISO date")
        known = column.filter(column.is_finite().fill_null(False))
        if known.n_unique() > 1 and len(known) >= MIN_TIMED * len(column):
            return _untimed_first(table.with_columns(column.alias("timestamp")), known), True
    table = table.with_columns(pl.col("user_id", "item_id").cast(pl.Utf8)).sort(
        *id_order("user_id"), *id_order("item_id")
    )
    order = np.random.default_rng(0).permutation(table.height).astype(np.float64)
    return table.with_columns(pl.Series("timestamp", order)), False


def _nans(column: pl.Series) -> int:
    return int(column.is_nan().sum()) if column.dtype.is_float() else 0


def _untimed_first(table: pl.DataFrame, known: pl.Series) -> pl.DataFrame:
    """Times for events without one, in a random order in the second before the first."""
    if len(known) == table.height:
        return table
    table = table.with_columns(pl.col("user_id", "item_id").cast(pl.Utf8)).sort(
        *id_order("user_id"), *id_order("item_id"), maintain_order=True
    )
    # Polars types min() as any literal
    first = float(known.min())  # type: ignore[arg-type]
    drawn = pl.Series(first - np.random.default_rng(0).uniform(0.001, 1.0, table.height))
    is_timed = table["timestamp"].is_finite().fill_null(False)
    return table.with_columns(table["timestamp"].zip_with(is_timed, drawn))


def _with_values(table: pl.DataFrame, kinds: Kinds) -> tuple[pl.DataFrame, bool]:
    """Values are ratings where some events are of a kind that states ratings and these differ;
    where no number is stated, the value stays null.
    """
    if "value" not in table.columns or table["value"].null_count() == table.height:
        return table.with_columns(pl.lit(None, pl.Float32).alias("value")), False
    numbers = as_numbers(table["value"])
    if numbers.null_count() > table["value"].null_count():
        odd = table["value"].filter(numbers.is_null() & table["value"].is_not_null())[0]
        raise BadInput(f"value {odd!r} is not a number; map the right column to `value`")
    table = table.with_columns(numbers.cast(pl.Float32).alias("value"))
    rated = [name for name in table["kind"].unique().to_list() if kinds.is_rating(name)]
    ratings = table.filter(pl.col("kind").is_in(rated))["value"].drop_nulls()
    if len(ratings) and ratings.min() != ratings.max() and not _are_thumbs(ratings):
        return table, True
    return table.with_columns(_amounts()), False


def _are_thumbs(ratings: pl.Series) -> bool:
    """Whether numbers say yes and no, 1 and -1, rather than how much: below 0 is a refusal."""
    return set(ratings.unique().to_list()) == {-1.0, 1.0}


def _amounts() -> pl.Expr:
    """Amounts of implicit acts; a kind that never says more than 0 (views in a column of sums
    paid) states none.
    """
    high, low = (f("value").over("kind") for f in (pl.max, pl.min))
    return (
        pl.when(~((high == 0) & (low == 0)).fill_null(False)).then(pl.col("value")).alias("value")
    )


LATE_ARTICLE = (
    r"^(?P<title>[^,]+(?:,[^,]+)*), (?P<article>The|A|An|Les|Le|La|Der|Die|Das|El|Los|Las|Il)"
    r"(?P<rest> \(.*\))?$"
)
"""A title as catalogs sort it: its article last, before a year."""


@dataclass(frozen=True, kw_only=True)
class Catalog:
    """Items and their content: `item_id` and any of `title, text, tags/categories/genres, image`,
    numbers, dates.
    """

    frame: pl.DataFrame

    def __post_init__(self) -> None:
        check_type(
            "Catalog.frame", self.frame, pl.DataFrame, "a polars frame (Catalog.of reads others)"
        )

    @classmethod
    def of(cls, frame: Any) -> Catalog:
        """Check a table of items; repeated ids keep their first row.

        Raises:
            BadInput: if there is no column `item_id`.
        """
        return cls(frame=_side_table(frame, "item_id", "items"))

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """Item id <-> row of `frame`."""
        return Vocabulary.of(self.frame["item_id"])

    def titles(self, rows: Sequence[int] | None = None) -> list[str]:
        """What to call each item on a page, or those at some rows: its title, else its name, else
        its id; "Shining, The" as "The Shining".
        """
        return self.title_column(rows).to_list()

    def title_column(self, rows: Sequence[int] | None = None) -> pl.Series:
        """The same as a column."""
        column = next(c for c in ("title", "name", "item_id") if c in self.frame.columns)
        named = [self.frame[name] for name in dict.fromkeys((column, "item_id"))]
        if rows is not None:  # column by column: tables are asked with threads of their own
            named = [one[list(rows)] for one in named]
        if column == "item_id":
            return named[0].cast(pl.Utf8)
        told = pl.col(column).cast(pl.Utf8)
        told = pl.coalesce(told.str.replace(LATE_ARTICLE, "${article} ${title}${rest}"), "item_id")
        return pl.DataFrame(named).select(told.alias(column)).to_series()

    def with_rows(self, given: pl.DataFrame, rows: np.ndarray) -> Catalog:
        """The same catalog with what `given` says over its items at `rows`, those of row -1 behind
        it; an empty cell changes nothing.
        """
        known, fresh = rows[rows >= 0], given.filter(pl.Series(rows < 0))
        table = self.frame
        if len(known) > MAX_SPLICED:
            table = table.update(given, on="item_id", how="left")
        elif len(known):
            known = np.sort(known)
            told = table[known].update(given, on="item_id", how="left")
            ends = [*known.tolist(), table.height]
            pieces = [table[: ends[0]]]
            for place, row in enumerate(known.tolist()):
                pieces += [told[place : place + 1], table[row + 1 : ends[place + 1]]]
            table = pl.concat(pieces)
        table = pl.concat([table, fresh], how="diagonal")
        grown = Catalog(frame=table.rechunk() if table.n_chunks() > MAX_CHUNKS else table)
        vars(grown)["vocabulary"] = self.vocabulary.joined_by(fresh["item_id"].to_list())
        return grown

    def __len__(self) -> int:
        return self.frame.height


@dataclass(frozen=True, kw_only=True)
class Profiles:
    """Users and their attributes: `user_id` and any columns; every attribute may be missing."""

    frame: pl.DataFrame

    def __post_init__(self) -> None:
        check_type(
            "Profiles.frame", self.frame, pl.DataFrame, "a polars frame (Profiles.of reads others)"
        )

    @classmethod
    def of(cls, frame: Any) -> Profiles:
        """Check a table of users; repeated ids keep their first row.

        Raises:
            BadInput: if there is no column `user_id`.
        """
        return cls(frame=_side_table(frame, "user_id", "users"))

    @property
    def attributes(self) -> list[str]:
        """Every column that may be learned from: all but the id and moments in time."""
        return [c for c in self.frame.columns if c not in {"user_id", *self.moments}]

    @property
    def moments(self) -> list[str]:
        """Columns of moments in time, such as that of a user's last event: they tell what users
        evaluated did after their first.
        """
        return [c for c in self.frame.columns if c != "user_id" and _are_moments(self.frame[c])]

    def of_users(self, user_ids: Iterable[str]) -> list[dict[str, Any]]:
        """Attributes of each user as a dict, in the order asked; nulls and unknown users leave keys
        out.
        """
        wanted = pl.DataFrame({"user_id": list(user_ids)}, schema={"user_id": pl.Utf8})
        rows = wanted.join(
            self.frame.select("user_id", *self.attributes),
            on="user_id",
            how="left",
            maintain_order="left",
        ).drop("user_id")
        return (
            [{k: v for k, v in row.items() if v is not None} for row in rows.iter_rows(named=True)]
            if rows.width
            else [{} for _ in range(wanted.height)]
        )

    def __len__(self) -> int:
        return self.frame.height


def _are_moments(column: pl.Series) -> bool:
    """Whether values are dates with times, or numbers that are all seconds (or milliseconds) after
    1980.
    """
    if column.dtype.is_numeric():
        return bool((column.drop_nulls() >= EARLIEST_MOMENT).all()) and column.null_count() < len(
            column
        )
    return isinstance(column.dtype, pl.Datetime)


def _side_table(frame: Any, key: str, what: str) -> pl.DataFrame:
    table = as_polars(frame, what)
    if key not in table.columns:
        raise BadInput(
            f"{what} have no column {key!r} (columns: {', '.join(table.columns)}); rename one or "
            f"map it in a TOML file"
        )
    return (
        table.with_columns(pl.col(key).cast(pl.Utf8))
        .drop_nulls(key)
        .unique(key, keep="first", maintain_order=True)
    )
