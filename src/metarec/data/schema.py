"""The three tables of a data set: `Interactions` (events), `Catalog` (items), `Profiles` (users).

Ids are text outside and indexes inside; only `Vocabulary` translates between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from metarec.data.arguments import check_type
from metarec.data.errors import BadInput as BadInput
from metarec.data.errors import DataWarning as DataWarning
from metarec.data.events.columns import EARLIEST_MOMENT as EARLIEST_MOMENT
from metarec.data.events.columns import kind_table, targets, with_clock, with_values
from metarec.data.frames import as_polars, in_order
from metarec.data.kinds import Kinds
from metarec.data.vocabulary import Vocabulary as Vocabulary

EVENT_COLUMNS = ("user_id", "item_id", "timestamp", "value", "kind")
NO_KIND = "event"
"""Kind of events for which none is stated."""
RELEVANT_SHARE = 0.75
"""An event is relevant (liked) from this share of the value scale upward: 4 of 1..5, 8 of 1..10."""


MAX_SPLICED, MAX_CHUNKS = 64, 400
"""Largest number of catalog rows updated by slicing instead of a join, and of chunks that the
table may then have before it is copied into one.
"""


@dataclass(frozen=True, kw_only=True)
class Interactions:
    """Events of users, one row each, sorted by user, then time, then item id.

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
    first_time: float | None = None
    """First stated time, where some events state none: times before it are drawn. None where all or
    no events state one, and in data of a saved model.
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
        table, has_time, first_time = with_clock(table)
        if "kind" not in table.columns:
            table = table.with_columns(pl.lit(NO_KIND).alias("kind"))
        context = [c for c in table.columns if c not in (*EVENT_COLUMNS, "seq_pos")]
        table = table.with_columns(
            pl.col("user_id", "item_id").cast(pl.Utf8),
            pl.col("kind").cast(pl.Utf8).fill_null(NO_KIND),
            pl.col("timestamp").cast(pl.Float64),
        )
        table, has_values = with_values(table, kinds)
        return cls(
            frame=in_order(table.select(*EVENT_COLUMNS, *context)),
            has_values=has_values,
            has_time=has_time,
            kinds=kinds,
            target_kinds=targets(table["kind"].unique().to_list(), kinds, has_values),
            first_time=first_time,
        )

    def __len__(self) -> int:
        return self.frame.height

    @property
    def context_columns(self) -> list[str]:
        """Context columns: all but the five in `EVENT_COLUMNS`."""
        return [c for c in self.frame.columns if c not in EVENT_COLUMNS]

    def acts(self) -> pl.DataFrame:
        """Return what each event says about preference, row by row as `frame`.

        Columns: `sign` (Int8: 1 positive or rated, -1 negative, 0 neutral, search or undo),
        `strength` (Float32, above 0), `rating` (Float32, null where the event is no rating),
        `is_target` and `is_undo` (Boolean).
        """
        return self._acts

    @cached_property
    def _acts(self) -> pl.DataFrame:
        kinds = kind_table(
            self.frame["kind"].unique().to_list(), self.kinds, self.target_kinds, self.has_values
        )
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
        """Smallest and largest rating, for implicit data value; (1, 1) where there are none."""
        column = self.acts()["rating"] if self.has_values else self.frame["value"]
        if column.null_count() == len(column):
            return (1.0, 1.0)
        # Polars types min() as any literal
        return float(column.min()), float(column.max())  # type: ignore[arg-type]

    @property
    def relevant_from(self) -> float:
        """Rating from which an event counts as liked; -inf for implicit data."""
        low, high = self.value_range
        return low + RELEVANT_SHARE * (high - low) if self.has_values else -np.inf

    @property
    def number(self) -> pl.Expr:
        """Expression that gives every event a number, for callers that read `value` and not the
        kind: missing values become `relevant_from` where values are ratings, else 1.
        """
        return pl.col("value").fill_null(self.relevant_from if self.has_values else 1.0)

    @property
    def filled(self) -> pl.DataFrame:
        """`frame` with `number` for `value`."""
        return self.frame.with_columns(self.number.cast(pl.Float32).alias("value"))

    def keep(self, frame: pl.DataFrame) -> Interactions:
        """Return interactions with the rows of `frame` and all other fields unchanged."""
        return replace(self, frame=frame)


LATE_ARTICLE = (
    r"^(?P<title>[^,]+(?:,[^,]+)*), (?P<article>The|A|An|Les|Le|La|Der|Die|Das|El|Los|Las|Il)"
    r"(?P<rest> \(.*\))?$"
)
"""Title with its article at the end, before a year in brackets, as catalogs sort titles."""


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
        """Return the display name of each item, or of the items at `rows`: the cell of the column
        `title` (`name` where there is none), the id where that is empty; "Shining, The" becomes
        "The Shining".
        """
        return self.title_column(rows).to_list()

    def title_column(self, rows: Sequence[int] | None = None) -> pl.Series:
        """Return the result of `titles` as a column."""
        column = next(c for c in ("title", "name", "item_id") if c in self.frame.columns)
        named = [self.frame[name] for name in dict.fromkeys((column, "item_id"))]
        if rows is not None:  # column by column: tables are asked with threads of their own
            named = [one[list(rows)] for one in named]
        if column == "item_id":
            return named[0].cast(pl.Utf8)
        title = pl.col(column).cast(pl.Utf8)
        title = pl.coalesce(
            title.str.replace(LATE_ARTICLE, "${article} ${title}${rest}"), "item_id"
        )
        return pl.DataFrame(named).select(title.alias(column)).to_series()

    def with_rows(self, changes: pl.DataFrame, rows: np.ndarray) -> Catalog:
        """Return the catalog updated by the items of `changes`, which are at `rows` of the catalog;
        items of row -1 are new and appended. Null cells change nothing.
        """
        existing, fresh = rows[rows >= 0], changes.filter(pl.Series(rows < 0))
        table = self.frame
        if len(existing) > MAX_SPLICED:
            table = table.update(changes, on="item_id", how="left")
        elif len(existing):
            existing = np.sort(existing)
            updated = table[existing].update(changes, on="item_id", how="left")
            ends = [*existing.tolist(), table.height]
            pieces = [table[: ends[0]]]
            for place, row in enumerate(existing.tolist()):
                pieces += [updated[place : place + 1], table[row + 1 : ends[place + 1]]]
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
        """Columns that models may read: all but the id and moments in time."""
        return [c for c in self.frame.columns if c not in {"user_id", *self.moments}]

    @property
    def moments(self) -> list[str]:
        """Columns of moments in time, such as that of a user's last event. Models must not read
        them: they leak what test users did later.
        """
        return [c for c in self.frame.columns if c != "user_id" and _are_moments(self.frame[c])]

    def of_users(self, user_ids: Iterable[str]) -> list[dict[str, Any]]:
        """Return the attributes of each user as a dict, in the order of `user_ids`, without null
        cells; an empty dict for an unknown user.
        """
        ids = pl.DataFrame({"user_id": list(user_ids)}, schema={"user_id": pl.Utf8})
        rows = ids.join(
            self.frame.select("user_id", *self.attributes),
            on="user_id",
            how="left",
            maintain_order="left",
        ).drop("user_id")
        return (
            [{k: v for k, v in row.items() if v is not None} for row in rows.iter_rows(named=True)]
            if rows.width
            else [{} for _ in range(ids.height)]
        )

    def __len__(self) -> int:
        return self.frame.height


def _are_moments(column: pl.Series) -> bool:
    """Whether a column has dates with times, or numbers that are all at least `EARLIEST_MOMENT`
    (seconds or milliseconds).
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
