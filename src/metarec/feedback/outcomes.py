"""What a person did about what they were shown, and what an act is worth on a model's scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

LIKED_KINDS = frozenset(
    {
        "like",
        "purchase",
        "buy",
        "cart",
        "bookmark",
        "enrol",
        "enroll",
        "complete",
        "listen",
        "play",
        "share",
        "save",
        "click",
    }
)
"""Acts that say yes without a number."""
DISLIKED_KINDS = frozenset(
    {"dislike", "hide", "skip", "return", "unenrol", "unsubscribe", "report"}
)
"""Acts that say no."""
SEEN_KINDS = frozenset({"view", "impression", "search", "open"})
"""Acts that say neither."""
UNDO = "undo"
"""The act that takes back all that a person said of an item before."""
SAYING_KINDS = LIKED_KINDS | DISLIKED_KINDS | SEEN_KINDS | {UNDO}
"""Acts that say by themselves what they are worth; of any other the value does."""


@dataclass(frozen=True, kw_only=True)
class ValueScale:
    """The scale on which a model's training values lie."""

    has_values: bool
    """True where values are stated ratings."""
    low: float
    high: float
    relevant_from: float
    """From this value upward an item counts as liked."""


def worth(kind: str, value: float | None, scale: ValueScale) -> float | None:
    """An act as a value on the model's scale, or None where it says nothing on that scale.

    On a scale of ratings a like is its top, a dislike its bottom, other acts of liking the least
    that counts as liked. Where values are strengths, acts of liking keep their strength (1 unless
    given) and acts of disliking say nothing.
    """
    if kind not in SAYING_KINDS and scale.has_values:  # a stated rating, as most events are
        return (
            None
            if value is None
            else scale.low
            if value < scale.low
            else scale.high
            if value > scale.high
            else value
        )
    if kind == UNDO:
        return None
    if kind in DISLIKED_KINDS:
        return scale.low if scale.has_values else None
    if not scale.has_values:
        return 1.0 if value is None else value
    if kind == "like":
        return scale.high
    return scale.relevant_from if kind in LIKED_KINDS else None


def as_history(
    events: Iterable[tuple[str, float | None, str, float]], scale: ValueScale
) -> list[tuple[str, float, str, float]]:
    """Stored events `(item_id, value, kind, timestamp)`, oldest first, as a request's history,
    without those that say nothing.

    The latest word on an item counts and takes back what was said before, as in training. Where
    values are ratings every event becomes one, as in training too.
    """
    latest: dict[str, tuple[str, float, str, float]] = {}
    for item_id, value, kind, timestamp in events:
        known = worth(kind, value, scale)
        if known is not None:
            latest.pop(item_id, None)
            latest[item_id] = (item_id, known, "rating" if scale.has_values else kind, timestamp)
        elif kind == UNDO or kind in DISLIKED_KINDS:
            latest.pop(item_id, None)
    return list(latest.values())


def without_undone(events: pl.DataFrame) -> pl.DataFrame:
    """Stored events without those that an `undo` of the same person took back afterwards, and
    without the undoing.
    """
    undoing = events.filter(pl.col("kind") == UNDO)
    if not undoing.height:
        return events
    until = undoing.group_by("user_id", "item_id").agg(pl.col("timestamp").max().alias("undone_at"))
    marked = events.join(until, on=["user_id", "item_id"], how="left", maintain_order="left")
    return marked.filter(
        pl.col("undone_at").is_null() | (pl.col("timestamp") > pl.col("undone_at"))
    ).drop("undone_at")


def as_training_rows(
    events: pl.DataFrame, scale: ValueScale, *, with_disliked: bool = False
) -> pl.DataFrame:
    """Stored events as rows to train on: valued on the model's scale; where values are ratings,
    every row is one.

    Args:
        with_disliked: where values are strengths, keep acts that say no, so that cleaning sees what
            they take back.
    """
    events = without_undone(events)
    kinds = [LIKED_KINDS, DISLIKED_KINDS, SEEN_KINDS]
    liked, disliked, seen = (pl.col("kind").is_in(list(names)) for names in kinds)
    value = pl.col("value").cast(pl.Float64)
    if not scale.has_values:
        return (events if with_disliked else events.filter(~disliked)).with_columns(
            value.fill_null(1.0)
        )
    stated = value.clip(scale.low, scale.high)
    valued = (
        pl.when(disliked)
        .then(scale.low)
        .when(pl.col("kind") == "like")
        .then(scale.high)
        .when(liked)
        .then(scale.relevant_from)
        .when(seen)
        .then(None)
        .otherwise(stated)
    )
    return events.with_columns(valued.alias("value"), pl.lit("rating").alias("kind")).drop_nulls(
        "value"
    )


def join_outcomes(slates: pl.DataFrame, events: pl.DataFrame, scale: ValueScale) -> pl.DataFrame:
    """Each item shown, with what came of it.

    Args:
        slates: as `Store.slates()` gives them.
        events: as `Store.as_frame()` gives them; an event belongs to a slate that it names.
        scale: says which values count as liked.

    Returns:
        `slate_id, user_id, timestamp, model_version, shots, place, item_id, score, propensity,
        outcome`: outcome 1 where the person's latest word on the item after seeing it in this slate
        is that they liked it, else 0 (disliked, taken back, or nothing).
    """
    shown = (
        slates.with_columns(pl.int_ranges(pl.col("item_ids").list.len()).alias("place"))
        .explode("item_ids", "scores", "propensity", "place")
        .rename({"item_ids": "item_id", "scores": "score"})
        .drop_nulls("item_id")
    )
    said = (
        without_undone(events)
        .drop_nulls("slate_id")
        .filter(~pl.col("kind").is_in(list(SEEN_KINDS)))
    )
    kept = as_training_rows(said.sort("timestamp", maintain_order=True), scale, with_disliked=True)
    liked = ~pl.col("kind").is_in(list(DISLIKED_KINDS)) & (
        pl.col("value") >= (scale.relevant_from if scale.has_values else float("-inf"))
    )
    outcomes = kept.group_by("slate_id", "item_id", maintain_order=True).agg(
        liked.last().alias("outcome")
    )
    return shown.join(
        outcomes, on=["slate_id", "item_id"], how="left", maintain_order="left"
    ).with_columns(pl.col("outcome").fill_null(value=False).cast(pl.Float64))


def with_propensity(events: pl.DataFrame, slates: pl.DataFrame) -> pl.DataFrame:
    """Events with a column `propensity`: the probability in (0, 1] with which the slate that an
    event answers showed its item there.

    Null where an event answers no slate known here, or was about an item that the slate did not
    show: the person chose it themselves.
    """
    shown = (
        slates.select("slate_id", "item_ids", "propensity")
        .explode("item_ids", "propensity")
        .rename({"item_ids": "item_id"})
    )
    shown = shown.drop_nulls("item_id").unique(
        ["slate_id", "item_id"], keep="first", maintain_order=True
    )
    return events.join(shown, on=["slate_id", "item_id"], how="left", maintain_order="left")


def teaching_weights(events: pl.DataFrame, clip: float = 0.02) -> dict[str, float]:
    """How much each person's events say of what people choose by themselves, in (0, 1], by user id.

    What a person answered about items that a model chose to show says little of that: a model
    trained on its own choices becomes ever surer of them. So an event that answers a slate counts
    `clip` over the probability with which it was shown, at most 1 (inverse propensity weighting,
    clipped): an item shown for certain teaches next to nothing, one that exploration drew by chance
    nearly as much as one that nobody showed. A person counts as the mean of their events.

    Args:
        events: `user_id` and `propensity`, null where the event answers no slate.
        clip: weight of an event whose item was shown for certain.
    """
    weight = pl.min_horizontal(pl.lit(1.0), clip / pl.col("propensity")).fill_null(1.0)
    found = events.group_by("user_id").agg(
        pl.when(pl.col("propensity").is_null()).then(1.0).otherwise(weight).mean().alias("weight")
    )
    return dict(found.select("user_id", "weight").iter_rows())
