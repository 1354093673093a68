"""Events in order with everything known of them: item, kind, value, recency, context; the input of
Transformers.

Kinds, scales and context categories are learned from training rows; what was never met there is
treated as unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from metarec.data.schema import EVENT_COLUMNS, Interactions, Vocabulary

MOST_CATEGORIES = 16
"""Values of a context column that get a place of their own."""


@dataclass(frozen=True, kw_only=True)
class SequenceInputs:
    """Histories as rectangles: B users, L events, oldest first; padding stands at the end."""

    items: np.ndarray
    """[B, L] int64 item indexes, 0 where padded."""
    kinds: np.ndarray
    """[B, L] int64: 0 unknown, then the kinds met in training."""
    values: np.ndarray
    """[B, L] float32, mean 0 and spread 1 over training events."""
    gaps: np.ndarray
    """[B, L] float32: log(1 + seconds since the event before), scaled; 0 for the first and where
    time is unknown.
    """
    context: np.ndarray
    """[B, L, C] float32: numbers standardised, categories as 0 or 1."""
    is_real: np.ndarray
    """[B, L] bool, False where padded."""

    def rows(self, index: np.ndarray) -> SequenceInputs:
        """The same for some of the users."""
        return SequenceInputs(
            **{name: getattr(self, name)[index] for name in self.__dataclass_fields__}
        )


@dataclass(frozen=True, kw_only=True)
class SequenceFeatures:
    """What is learned from training events so that others are read alike."""

    kinds: list[str]
    value_mean: float
    value_spread: float
    gap_spread: float
    """Spread of log(1 + seconds) in training; 0 where order has no clock."""
    numbers: dict[str, tuple[float, float]]
    """Context column -> mean and spread."""
    categories: dict[str, list[str]]
    """Context column -> values with a place of their own, the most frequent first."""

    @classmethod
    def fit(cls, train: Interactions) -> SequenceFeatures:
        """Learn kinds, scales and categories from training events."""
        frame = train.frame
        gaps = (
            _log_gaps(frame).filter(pl.col("gap") > 0)["gap"]
            if train.has_time
            else pl.Series([], dtype=pl.Float64)
        )
        numbers, categories = {}, {}
        for name in train.context_columns:
            if frame[name].dtype.is_numeric():
                numbers[name] = _mean_and_spread(frame[name])
            elif frame[name].dtype in (pl.Utf8, pl.Boolean, pl.Categorical):
                counted = (
                    frame[name]
                    .cast(pl.Utf8)
                    .drop_nulls()
                    .value_counts()
                    .sort("count", name, descending=[True, False])
                )
                categories[name] = counted[name].head(MOST_CATEGORIES).to_list()
        mean, spread = _mean_and_spread(train.filled["value"])
        return cls(
            kinds=sorted(frame["kind"].unique().to_list()),
            value_mean=mean,
            value_spread=spread,
            # Polars types std() as any literal
            gap_spread=float(gaps.std() or 0.0) if len(gaps) else 0.0,  # type: ignore[arg-type]
            numbers=numbers,
            categories=categories,
        )

    @property
    def context_width(self) -> int:
        """C, the columns of `SequenceInputs.context`."""
        return len(self.numbers) + sum(map(len, self.categories.values()))

    def of_interactions(
        self, events: Interactions, vocabulary: Vocabulary, length: int
    ) -> tuple[SequenceInputs, list[str]]:
        """Every user's newest `length` events on known items, and the user ids in their order."""
        frame = events.filled.unique(["user_id", "item_id"], keep="first", maintain_order=True)
        users = frame["user_id"].unique(maintain_order=True)
        return self._padded(
            frame, users, vocabulary, length, has_time=events.has_time
        ), users.to_list()

    def of_histories(
        self, histories: Sequence[Sequence[tuple[Any, ...]]], vocabulary: Vocabulary, length: int
    ) -> SequenceInputs:
        """The same for histories as a `Request` holds them: `(item_id, value[, kind[,
        timestamp]])`, oldest first.
        """
        rows = [
            (
                str(user),
                str(event[0]),
                0.0 if len(event) < 4 or event[3] is None else float(event[3]),
                1.0 if event[1] is None else float(event[1]),
                "event" if len(event) < 3 else str(event[2]),
            )
            for user, history in enumerate(histories)
            for event in history
        ]
        types = dict.fromkeys(EVENT_COLUMNS, pl.Utf8) | {
            "timestamp": pl.Float64,
            "value": pl.Float32,
        }
        frame = pl.DataFrame(rows, schema=types, orient="row")
        timed = frame.height > 0 and bool((frame["timestamp"] > 0).all())
        users = pl.Series("user_id", [str(user) for user in range(len(histories))], dtype=pl.Utf8)
        return self._padded(frame, users, vocabulary, length, has_time=timed)

    def _padded(
        self,
        frame: pl.DataFrame,
        users: pl.Series,
        vocabulary: Vocabulary,
        length: int,
        *,
        has_time: bool,
    ) -> SequenceInputs:
        ids = pl.DataFrame(
            {"item_id": list(vocabulary.ids), "item": np.arange(len(vocabulary))},
            schema_overrides={"item_id": pl.Utf8},
        )
        rows = pl.DataFrame({"user_id": users, "row": np.arange(len(users))})
        known = frame.join(ids, on="item_id", how="inner", maintain_order="left").join(
            rows, on="user_id", maintain_order="left"
        )
        count = (
            pl.len().over("row").cast(pl.Int64)
        )  # unsigned as it comes, and below zero is where we are going
        known = _log_gaps(known).with_columns(
            (pl.int_range(pl.len()).over("row") - (count - length).clip(lower_bound=0)).alias(
                "place"
            )
        )
        known = known.filter(pl.col("place") >= 0)
        row, place = known["row"].to_numpy(), known["place"].to_numpy()
        width = max(1, int(place.max()) + 1 if len(place) else 1)

        def laid(values: np.ndarray, kind: Any) -> np.ndarray:
            out = np.zeros((len(users), width, *values.shape[1:]), kind)
            out[row, place] = values
            return out

        gaps = (
            known["gap"].to_numpy() / self.gap_spread
            if has_time and self.gap_spread
            else np.zeros(known.height)
        )
        return SequenceInputs(
            items=laid(known["item"].to_numpy(), np.int64),
            kinds=laid(self._kind_indexes(known["kind"]), np.int64),
            values=laid(
                (known["value"].to_numpy() - self.value_mean) / self.value_spread, np.float32
            ),
            gaps=laid(gaps, np.float32),
            context=laid(self._context(known), np.float32),
            is_real=laid(np.ones(known.height), bool),
        )

    def _kind_indexes(self, kinds: pl.Series) -> np.ndarray:
        return kinds.replace_strict(
            self.kinds, range(1, len(self.kinds) + 1), default=0, return_dtype=pl.Int64
        ).to_numpy()

    def _context(self, frame: pl.DataFrame) -> np.ndarray:
        """[rows, C]; a column that is not there, or a missing value, counts as the mean."""
        columns: list[np.ndarray] = [np.zeros((frame.height, 0))]
        for name, (mean, spread) in self.numbers.items():
            column = (
                frame[name].cast(pl.Float64, strict=False).fill_null(mean).fill_nan(mean).to_numpy()
                if name in frame.columns
                else np.full(frame.height, mean)
            )
            columns.append(((column - mean) / spread)[:, None])
        for name, values in self.categories.items():
            met = (
                frame[name].cast(pl.Utf8)
                if name in frame.columns
                else pl.Series([None] * frame.height, dtype=pl.Utf8)
            )
            columns.append(
                np.stack([met.eq_missing(value).to_numpy() for value in values], axis=1)
                if values
                else columns[0]
            )
        return np.concatenate(columns, axis=1).astype(np.float32)


def _log_gaps(frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with `gap`: log(1 + seconds since the user's event before), 0 for the first."""
    seconds = (
        (pl.col("timestamp") - pl.col("timestamp").shift(1))
        .over("user_id")
        .fill_null(0.0)
        .clip(lower_bound=0.0)
    )
    return frame.with_columns(seconds.log1p().alias("gap"))


def _mean_and_spread(column: pl.Series) -> tuple[float, float]:
    numbers = column.cast(pl.Float64).drop_nulls().drop_nans()
    spread = float(np.std(numbers.to_numpy())) if len(numbers) else 0.0
    return (float(np.mean(numbers.to_numpy())) if len(numbers) else 0.0), spread or 1.0
