"""What a user did about what they were shown, and what an act is worth on a model's scale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from metarec.data.cold_users import accepted_items
from metarec.data.kinds import Kinds
from metarec.data.schema import Interactions
from metarec.feedback.events import Event


@dataclass(frozen=True, kw_only=True)
class ValueScale:
    """What kinds and values of stored events mean to a model: what they meant in its training."""

    has_values: bool
    """True where values are stated ratings."""
    low: float
    high: float
    relevant_from: float
    """From this rating upward an item counts as liked."""
    kinds: Kinds = field(default_factory=Kinds.default)
    target_kinds: frozenset[str] = frozenset()
    """Kinds that recommendations are for; empty: every positive one."""

    @classmethod
    def of(cls, training: Interactions) -> ValueScale:
        """As the training events had it."""
        low, high = training.value_range
        return cls(
            has_values=training.has_values,
            low=low,
            high=high,
            relevant_from=training.relevant_from,
            kinds=training.kinds,
            target_kinds=training.target_kinds,
        )

    def says(self, kind: str) -> bool:
        """Whether an event says anything of the user's taste: impressions and searches do not."""
        return self.kinds.of(kind).sign in {"positive", "negative", "undo"}

    def is_off(self, event: Event) -> bool:
        """Whether an event states a rating off the scale."""
        return (
            self.has_values
            and event.value is not None
            and not self.low <= event.value <= self.high
            and self.kinds.is_rating(event.kind)
        )

    def targets(self, names: Iterable[str]) -> frozenset[str]:
        """Of these kinds those that recommendations are for, by `Kinds.key`: as in training, and
        targets that came later; where nothing is known of training, every positive one.
        """
        signs = {self.kinds.key(name): self.kinds.of(name) for name in names}
        positive = {key: kind for key, kind in signs.items() if kind.sign == "positive"}
        if not self.target_kinds:
            return frozenset(positive)
        return frozenset(k for k in positive if k in self.target_kinds or positive[k].target)

    def acts(self, events: pl.DataFrame) -> pl.DataFrame:
        """What each stored event says: see `Interactions.acts`."""
        frame = events.select("kind", pl.col("value").cast(pl.Float32))
        return Interactions(
            frame=frame,
            has_values=self.has_values,
            has_time=True,
            kinds=self.kinds,
            target_kinds=self.targets(frame["kind"].unique()),
        ).acts()

    def clipped(self, events: pl.DataFrame) -> pl.DataFrame:
        """Events with ratings off the scale moved to its ends, and acts that say nothing left
        out.
        """
        if not self.has_values:
            return events
        rated = pl.col("kind").map_elements(self.kinds.is_rating, return_dtype=pl.Boolean)
        value = pl.col("value").cast(pl.Float64)
        return events.with_columns(
            pl.when(rated).then(value.clip(self.low, self.high)).otherwise(value).alias("value")
        )


def as_history(
    events: Iterable[tuple[str, float | None, str, float]], scale: ValueScale
) -> list[tuple[Any, ...]]:
    """Stored events `(item_id, value, kind, timestamp)`, oldest first, as a request's history,
    without those that say nothing. What repeated acts come to is the model's to say.
    """
    return [event for event in events if scale.says(event[2])]


def as_training_rows(events: pl.DataFrame, scale: ValueScale) -> pl.DataFrame:
    """Stored events as rows to train on, as they were sent; ratings are kept on the scale."""
    return scale.clipped(events)


def join_outcomes(slates: pl.DataFrame, events: pl.DataFrame, scale: ValueScale) -> pl.DataFrame:
    """Each item shown, with what came of it.

    Args:
        slates: as `Store.slates()` gives them.
        events: as `Store.as_frame()` gives them; an event belongs to a slate that it names.
        scale: says which acts and values count as liked.

    Returns:
        `slate_id, user_id, timestamp, model_version, shots, experiment, arm, place, item_id, score,
        propensity, outcome`: outcome 1 where the user took the item after seeing it in this slate,
        in a way that recommendations are for, and did not refuse it or take that back; else 0.
    """
    shown = (
        slates.with_columns(pl.int_ranges(pl.col("item_ids").list.len()).alias("place"))
        .explode("item_ids", "scores", "propensity", "place")
        .rename({"item_ids": "item_id", "scores": "score"})
        .drop_nulls("item_id")
    )
    said = events.drop_nulls("slate_id").sort("timestamp", maintain_order=True)
    said = said.with_columns(scale.acts(said), number=pl.lit(1.0))
    said = said.filter((pl.col("sign") != 0) | pl.col("is_undo"))
    # Outcomes belong to slates, so a slate stands where `accepted_items` has a user.
    taken = accepted_items(
        said.drop("user_id").rename({"slate_id": "user_id"}), scale.relevant_from
    ).rename({"user_id": "slate_id"})
    return shown.join(
        taken.select("slate_id", "item_id", pl.col("is_relevant").alias("outcome")),
        on=["slate_id", "item_id"],
        how="left",
        maintain_order="left",
    ).with_columns(pl.col("outcome").fill_null(value=False).cast(pl.Float64))


def with_propensity(events: pl.DataFrame, slates: pl.DataFrame) -> pl.DataFrame:
    """Events with a column `propensity`: the probability in (0, 1] with which the slate that an
    event answers showed its item there.

    Null where an event answers no slate known here, or was about an item that the slate did not
    show: the user chose it themselves.
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
    """How much each user's events say of what users choose by themselves, in (0, 1], by user id.

    What a user answered about items that a model chose to show says little of that: a model
    trained on its own choices becomes ever surer of them. So an event that answers a slate counts
    `clip` over the probability with which it was shown, at most 1 (inverse propensity weighting,
    clipped): an item shown for certain teaches next to nothing, one that exploration drew by chance
    nearly as much as one that nobody showed. A user counts as the mean of their events.

    Args:
        events: `user_id` and `propensity`, null where the event answers no slate.
        clip: weight of an event whose item was shown for certain.
    """
    weight = pl.min_horizontal(pl.lit(1.0), clip / pl.col("propensity")).fill_null(1.0)
    found = events.group_by("user_id").agg(
        pl.when(pl.col("propensity").is_null()).then(1.0).otherwise(weight).mean().alias("weight")
    )
    return dict(found.select("user_id", "weight").iter_rows())
