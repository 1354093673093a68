"""Drift of recent events from the training data: three signals, and the advice to retrain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

POPULARITY_BINS = 10
"""Bins of items with equal shares of the training events."""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """Difference of recent events from the training events."""

    events: int
    """Number of recent events; below a few hundred the signals are noise."""
    unprompted: int
    """Recent events that answered no slate. Popularity and values are compared on these alone,
    since answers to slates depend on what the model chose to show.
    """
    popularity_psi: float
    """Population stability index (PSI) of the popularity of unprompted events: below 0.1 stable,
    above 0.2 shifted (customary thresholds).
    """
    value_shift: float
    """Mean value of unprompted events minus the training mean, in standard deviations of the
    training values; 0 where there are no values.
    """
    cold_item_share: float
    """Share of recent events on items outside the training data, in [0, 1]."""
    cold_user_share: float
    """Share of recent events by users outside the training data, in [0, 1]; near 1 for a service
    with mostly new users.
    """


def measure_drift(trained: pl.DataFrame, recent: pl.DataFrame) -> Drift:
    """Compare recent events with the training events.

    Args:
        trained: `user_id, item_id, value`.
        recent: the same columns, and `slate_id` if events may have answered slates (null for those
            that did not).
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
    """Return the PSI over bins of items with equal shares of the training events, and one bin for
    items outside the training data.

    PSI = sum over bins of (recent - trained) * ln(recent / trained); half an event is added to each
    bin that either side uses, so that a bin empty on one side keeps the index finite.
    """
    ranked = counts.sort("len", "item_id", descending=True).with_columns(
        (pl.col("len").cum_sum() * POPULARITY_BINS / (pl.col("len").sum() + 1))
        .floor()
        .cast(pl.Int64)
        .alias("bin")
    )
    edges = ranked.group_by("len").agg(pl.col("bin").min())  # equally popular items share a bin
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
    """Thresholds of the advice to retrain."""

    new_share: float = 0.05
    """New events as a share of the training events."""
    new_events: int = 1_000
    """Minimum number of new events, whatever the share."""
    psi_above: float = 0.2
    cold_items_above: float = 0.1
    value_shift_above: float = 0.3
    """In standard deviations, in either direction."""
    enough: int = 300
    """Number of events below which drift is ignored."""

    @property
    def marks(self) -> dict[str, float]:
        """Signal of `Drift` -> its threshold."""
        return {
            "popularity_psi": self.psi_above,
            "cold_item_share": self.cold_items_above,
            "value_shift": self.value_shift_above,
        }


@dataclass(frozen=True, kw_only=True)
class Crossed:
    """A drift signal above its threshold."""

    signal: str
    """Field of `Drift`."""
    value: float
    mark: float
    sentence: str


def crossed_marks(drift: Drift, rule: RetrainRule) -> list[Crossed]:
    """Return the signals above their thresholds, each only with enough events; a threshold of 0
    switches a signal off.
    """
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
    """Return reasons to retrain, in sentences; empty means that the model can stay.

    Args:
        drift: drift since the serving model was trained.
        trained_events: number of events that the serving model was trained on.
        forgotten: number of users who asked to be forgotten and may still be in the model.
        rule: the thresholds.
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
