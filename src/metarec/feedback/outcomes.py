"""Outcomes of impressions, and the meaning of stored events on a model's scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from metarec.data.cold_users import accepted_items
from metarec.data.kinds import Kinds
from metarec.data.schema import Interactions
from metarec.feedback.events import Event


@dataclass(frozen=True, kw_only=True)
class ValueScale:
    """Meaning of kinds and values of stored events for a model: the same as in its training."""

    has_values: bool
    """Whether values are stated ratings."""
    low: float
    high: float
    relevant_from: float
    """Rating from which an item counts as liked."""
    kinds: Kinds = field(default_factory=Kinds.default)
    target_kinds: frozenset[str] = frozenset()
    """Target kinds; empty means every positive kind."""

    @classmethod
    def of(cls, training: Interactions) -> ValueScale:
        """Take the scale of the training events."""
        low, high = training.value_range
        return cls(
            has_values=training.has_values,
            low=low,
            high=high,
            relevant_from=training.relevant_from,
            kinds=training.kinds,
            target_kinds=training.target_kinds,
        )

    def shows_preference(self, kind: str) -> bool:
        """Return whether a kind is evidence of the user's taste: impressions and searches are
        not.
        """
        return self.kinds.of(kind).sign in {"positive", "negative", "undo"}

    def preference_kinds(self, kinds: Iterable[str]) -> set[str]:
        """The kinds among these whose events say anything of taste; each is looked up once."""
        return {kind for kind in set(kinds) if self.shows_preference(kind)}

    def is_off(self, event: Event) -> bool:
        """Return whether an event states a rating off the scale."""
        return (
            self.has_values
            and event.value is not None
            and not self.low <= event.value <= self.high
            and self.kinds.is_rating(event.kind)
        )

    def targets(self, names: Iterable[str]) -> frozenset[str]:
        """Return the target kinds among `names`, by `Kinds.key`: those of the training and targets
        defined since; every positive kind if the training targets are unknown.
        """
        signs = {self.kinds.key(name): self.kinds.of(name) for name in names}
        positive = {key: kind for key, kind in signs.items() if kind.sign == "positive"}
        if not self.target_kinds:
            return frozenset(positive)
        return frozenset(k for k in positive if k in self.target_kinds or positive[k].target)

    def acts(self, events: pl.DataFrame) -> pl.DataFrame:
        """Return sign, strength and rating of each stored event: see `Interactions.acts`."""
        frame = events.select("kind", pl.col("value").cast(pl.Float32))
        return Interactions(
            frame=frame,
            has_values=self.has_values,
            has_time=True,
            kinds=self.kinds,
            target_kinds=self.targets(frame["kind"].unique()),
        ).acts()

    def clipped(self, events: pl.DataFrame) -> pl.DataFrame:
        """Return the events with ratings clipped to the scale."""
        if not self.has_values:
            return events
        rated = pl.col("kind").map_elements(self.kinds.is_rating, return_dtype=pl.Boolean)
        value = pl.col("value").cast(pl.Float64)
        return events.with_columns(
            pl.when(rated).then(value.clip(self.low, self.high)).otherwise(value).alias("value")
        )


def as_history(
    events: Sequence[tuple[str, float | None, str, float | None]], scale: ValueScale
) -> list[tuple[Any, ...]]:
    """Return stored events `(item_id, value, kind, timestamp)`, oldest first, as a request's
    history, without kinds that are no evidence of taste. The model aggregates repeated events.
    """
    preference_kinds = scale.preference_kinds(kind for _, _, kind, _ in events)
    return [event for event in events if event[2] in preference_kinds]


def as_training_rows(events: pl.DataFrame, scale: ValueScale) -> pl.DataFrame:
    """Return stored events as training rows, unchanged except that ratings are clipped to the
    scale.
    """
    return scale.clipped(events)


def taken_items(events: pl.DataFrame, scale: ValueScale) -> pl.DataFrame:
    """Return `slate_id, item_id, is_taken` of the items on which users acted in answer to a slate:
    taken by an event of a target kind, and neither refused, undone nor rated below those that
    count as liked.

    Args:
        events: `item_id, timestamp, kind, value, slate_id` in order of arrival.
        scale: which kinds and values count as liked.
    """
    acts = events.drop_nulls("slate_id").sort("timestamp", maintain_order=True)
    acts = acts.with_columns(scale.acts(acts), number=pl.lit(1.0))
    acts = acts.filter((pl.col("sign") != 0) | pl.col("is_undo"))
    # Outcomes are per slate, so slate ids take the place of user ids in `accepted_items`.
    by_slate = acts.drop("user_id", strict=False).rename({"slate_id": "user_id"})
    return accepted_items(by_slate, scale.relevant_from).select(
        pl.col("user_id").alias("slate_id"), "item_id", pl.col("is_relevant").alias("is_taken")
    )


def answered_slates(answers: pl.DataFrame, scale: ValueScale) -> pl.DataFrame:
    """Return `slate_id, clicked, refused`: whether a slate has a positive and a negative answer. A
    rating below those that count as liked is no positive one.

    Args:
        answers: `slate_id, kind, value` of events on items that their slate showed.
        scale: which kinds and values count as liked.
    """
    is_low = (pl.col("rating") < scale.relevant_from).fill_null(value=False)
    with_signs = answers.with_columns(scale.acts(answers).select("sign", "rating"))
    return with_signs.group_by("slate_id").agg(
        ((pl.col("sign") > 0) & ~is_low).any().alias("clicked"),
        (pl.col("sign") < 0).any().alias("refused"),
    )


def join_outcomes(slates: pl.DataFrame, events: pl.DataFrame, scale: ValueScale) -> pl.DataFrame:
    """Return each item shown with its outcome.

    Args:
        slates: result of `Store.slates()`.
        events: result of `Store.as_frame()`; an event belongs to the slate that it names.
        scale: which kinds and values count as liked.

    Returns:
        `slate_id, user_id, timestamp, model_version, n_support, experiment, arm, place, item_id,
        score, propensity, outcome`: outcome 1 where the user took the item after seeing it
        in this slate, by an event of a target kind, and did not refuse it or undo that; else 0.
    """
    shown = (
        slates.with_columns(pl.int_ranges(pl.col("item_ids").list.len()).alias("place"))
        .explode("item_ids", "scores", "propensity", "place")
        .rename({"item_ids": "item_id", "scores": "score"})
        .drop_nulls("item_id")
    )
    return shown.join(
        taken_items(events, scale).rename({"is_taken": "outcome"}),
        on=["slate_id", "item_id"],
        how="left",
        maintain_order="left",
    ).with_columns(pl.col("outcome").fill_null(value=False).cast(pl.Float64))


def with_propensity(events: pl.DataFrame, slates: pl.DataFrame) -> pl.DataFrame:
    """Return the events with a column `propensity`: the probability in (0, 1] with which the slate
    that an event answers showed its item.

    Null where an event answers no known slate, or is on an item that the slate did not show: the
    user chose it without the model.
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
    """Return the weight of each user's events in training, in (0, 1], by user id: clipped inverse
    propensity weighting.

    Answers to items that a model chose to show are biased towards that model: a model trained on
    its own choices becomes ever more confident of them. So an event that answers a slate weighs
    `min(1, clip / propensity)`: an item shown for certain counts next to nothing, one that
    exploration drew by chance nearly as much as one that no slate showed. A user's weight is the
    mean over the user's events.

    Args:
        events: `user_id` and `propensity`, null where the event answers no slate.
        clip: weight of an event whose item was shown for certain.
    """
    weight = pl.min_horizontal(pl.lit(1.0), clip / pl.col("propensity")).fill_null(1.0)
    weight_of = events.group_by("user_id").agg(
        pl.when(pl.col("propensity").is_null()).then(1.0).otherwise(weight).mean().alias("weight")
    )
    return dict(weight_of.select("user_id", "weight").iter_rows())
