"""Has the world moved since the model was trained? Three signals, and what they advise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

POPULARITY_BINS = 10


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How recent events differ from those a model was trained on."""

    events: int
    """Recent events looked at; below a few hundred the signals are noise."""
    unprompted: int
    """Those of them that answered no slate. Answers about what a model chose to show are never like
    what users chose by themselves, so
    popularity and values are compared on these alone."""
    popularity_psi: float
    """Population stability index of the popularity of unprompted events: below 0.1 steady, above
    0.2 moved (customary marks).
    """
    value_shift: float
    """Mean value of unprompted events less the mean trained on, in standard deviations of the
    latter; 0 where there are no values.
    """
    cold_item_share: float
    """Share of recent events on items not trained on, in [0, 1]."""
    cold_user_share: float
    """Share of recent events by users not trained on, in [0, 1]; near 1 for a service that meets
    new users.
    """


def measure_drift(trained: pl.DataFrame, recent: pl.DataFrame) -> Drift:
    """Compare recent events with those trained on.

    Args:
        trained: `user_id, item_id, value`.
        recent: the same, and `slate_id` where events may have answered slates (null for those that
            did not).
    """
    unprompted = (
        recent.filter(pl.col("slate_id").is_null()) if "slate_id" in recent.columns else recent
    )
    if not recent.height or not trained.height:
        return Drift(
            events=recent.height,
            unprompted=unprompted.height,
            popularity_psi=0.0,
            value_shift=0.0,
            cold_item_share=0.0,
            cold_user_share=0.0,
        )
    counts = trained.group_by("item_id").len()
    joined = recent.join(counts, on="item_id", how="left")
    return Drift(
        events=recent.height,
        unprompted=unprompted.height,
        popularity_psi=_psi(counts, unprompted.join(counts, on="item_id", how="left")["len"])
        if unprompted.height
        else 0.0,
        value_shift=_shift(trained["value"].cast(pl.Float64), unprompted["value"].cast(pl.Float64)),
        cold_item_share=joined["len"].null_count() / recent.height,
        cold_user_share=1.0
        - recent.join(trained.select("user_id").unique(), on="user_id", how="semi").height
        / recent.height,
    )


def _psi(counts: pl.DataFrame, recent_counts: pl.Series) -> float:
    """Index over bins of items that held equal shares of the training events, and one bin for items
    not trained on.

    PSI = sum over bins of (recent - trained) * ln(recent / trained); half an event is added to each
    bin that either side uses, so that one empty on the other side stays finite.
    """
    ranked = counts.sort("len", "item_id", descending=True).with_columns(
        (pl.col("len").cum_sum() * POPULARITY_BINS / (pl.col("len").sum() + 1))
        .floor()
        .cast(pl.Int64)
        .alias("bin")
    )
    edges = ranked.group_by("len").agg(pl.col("bin").min())  # items equally popular share a bin
    bins = (
        pl.DataFrame({"len": recent_counts})
        .join(edges, on="len", how="left")["bin"]
        .fill_null(POPULARITY_BINS)
        .to_numpy()
    )
    trained_bins = ranked.drop("bin").join(edges, on="len")
    trained = np.bincount(
        trained_bins["bin"], weights=trained_bins["len"], minlength=POPULARITY_BINS + 1
    ).astype(np.float64)
    recent = np.bincount(bins, minlength=POPULARITY_BINS + 1).astype(np.float64)
    used = (trained > 0) | (recent > 0)
    trained, recent = trained[used] + 0.5, recent[used] + 0.5
    trained, recent = trained / trained.sum(), recent / recent.sum()
    return float(np.sum((recent - trained) * np.log(recent / trained)))


def _shift(trained: pl.Series, recent: pl.Series) -> float:
    spread = trained.std()
    if not isinstance(spread, float) or spread == 0.0 or recent.mean() is None:
        return 0.0
    # Polars types mean() as any literal
    return (float(recent.mean()) - float(trained.mean())) / spread  # type: ignore[arg-type]


@dataclass(frozen=True, kw_only=True)
class RetrainRule:
    """When a new model is worth training."""

    new_share: float = 0.05
    """New events as a share of those trained on."""
    new_events: int = 1_000
    """At least so many new events, whatever the share."""
    psi_above: float = 0.2
    cold_items_above: float = 0.1
    value_shift_above: float = 0.3
    """In standard deviations, either way."""
    enough: int = 300
    """Events below which drift is not believed."""

    @property
    def marks(self) -> dict[str, float]:
        """Signal of `Drift` -> the value from which it counts."""
        return {
            "popularity_psi": self.psi_above,
            "cold_item_share": self.cold_items_above,
            "value_shift": self.value_shift_above,
        }


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """A signal of drift beyond its mark."""

    signal: str
    """Field of `Drift`."""
    value: float
    mark: float
    sentence: str


def crossed_marks(drift: Drift, rule: RetrainRule) -> list[Crossed]:
    """Signals beyond their marks, where enough events say so; a mark of 0 is never crossed."""
    signals = [
        (
            "popularity_psi",
            drift.unprompted,
            drift.popularity_psi,
            "what users choose has moved (popularity index {:.2f}, mark {:.2f})",
        ),
        (
            "cold_item_share",
            drift.events,
            drift.cold_item_share,
            "{:.0%} of new events are on items not trained on (mark {:.0%})",
        ),
        (
            "value_shift",
            drift.unprompted,
            abs(drift.value_shift),
            "values have moved by {:.2f} standard deviations (mark {:.2f})",
        ),
    ]
    marks = rule.marks
    return [
        Crossed(
            signal=signal,
            value=value,
            mark=marks[signal],
            sentence=sentence.format(value, marks[signal]),
        )
        for signal, events, value, sentence in signals
        if events >= rule.enough and 0.0 < marks[signal] < value
    ]


def advise_retraining(
    drift: Drift, *, trained_events: int, forgotten: int, rule: RetrainRule
) -> list[str]:
    """Reasons to retrain, in plain sentences; none means: leave the model as it is.

    Args:
        drift: since the serving model was trained.
        trained_events: how many events the serving model was trained on.
        forgotten: users who asked to be forgotten and may still be in the model.
        rule: the marks.
    """
    reasons = []
    if drift.events >= max(rule.new_events, rule.new_share * trained_events):
        reasons.append(f"{drift.events:,} new events since training on {trained_events:,}")
    reasons += [one.sentence for one in crossed_marks(drift, rule)]
    if forgotten:
        reasons.append(
            f"{forgotten} forgotten {'user' if forgotten == 1 else 'users'} may still be in "
            f"the model"
        )
    return reasons
