"""Transforms between the values of a data set and those that a learner uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from metarec.features.behavior import Behavior
from metarec.features.histories import Histories
from metarec.models.few_shot.inputs_config import DEFAULTS, InputsConfig
from metarec.models.offsets import Offsets

ViewName = Literal["liking", "residual", "unit"]


@dataclass(frozen=True, kw_only=True)
class ValueScale:
    """Scale of the values of a data set, with three views: liking, residual and unit."""

    low: float
    high: float
    middle: float
    """Halfway between the highest value that is not liked and the lowest that is. Where all events
    are liked, 1 below the lowest value (0 or more); where none is, the highest value.
    """
    mean: float
    item_offsets: np.ndarray
    """[N] float32 offset of each item from the mean, beside users' offsets, shrunk towards 0."""
    spread: float
    """Standard deviation of values around mean and item offset."""

    @classmethod
    def fit(cls, behavior: Behavior, config: InputsConfig = DEFAULTS) -> ValueScale:
        """Learn the scale and the item offsets from training events."""
        histories, values = behavior.histories, behavior.histories.values.astype(np.float64)
        low, high = (float(values.min()), float(values.max())) if len(values) else (1.0, 1.0)
        liked = behavior.is_liked(histories)
        middle = (
            max(low - 1.0, 0.0)
            if liked.all()
            else float(values[~liked].max() + values[liked].min()) / 2
            if liked.any()
            else high
        )
        offsets = Offsets.of(
            histories,
            behavior.n_items,
            item_damping=config.item_damping,
            user_damping=config.user_damping,
            rounds=config.offset_rounds,
        )
        left = offsets.above_items(histories)
        return cls(
            low=low,
            high=high,
            middle=middle,
            mean=offsets.mean,
            item_offsets=offsets.items.astype(np.float32),
            spread=float(left.std()) or 1.0,
        )

    def transform(self, histories: Histories, view: ViewName) -> Histories:
        """Return histories with values in a view: `liking` in [-1, 1], above 0 where liked; `unit`
        the place on the scale, in [0, 1]; `residual` the value less mean and item offset, over
        their standard deviation.
        """
        values = histories.values
        if view == "liking":
            values = np.clip((values - self.middle) / max(self.high - self.middle, 1e-6), -1.0, 1.0)
        elif view == "unit":
            values = (values - self.low) / max(self.high - self.low, 1e-6)
        else:
            values = (values - self.mean - self.item_offsets[histories.items]) / self.spread
        return replace(histories, values=values.astype(np.float32))

    def inverse_transform(self, answers: np.ndarray, view: ViewName) -> np.ndarray:
        """Return a learner's predictions [B, N] for the whole catalog on the data's own scale; the
        `view` is `unit` or `residual`.
        """
        if view == "unit":
            values = self.low + (self.high - self.low) * answers
        else:
            fresh = np.zeros(max(0, answers.shape[1] - len(self.item_offsets)), np.float32)
            values = self.mean + np.concatenate([self.item_offsets, fresh]) + self.spread * answers
        return np.asarray(np.clip(values, self.low, self.high), dtype=np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything learned, as named arrays."""
        return {
            "item_offsets": self.item_offsets,
            "scale": np.array([self.low, self.high, self.middle, self.mean, self.spread]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> ValueScale:
        """Return the scale that `arrays()` was called on."""
        low, high, middle, mean, spread = (float(x) for x in arrays["scale"])
        return cls(
            low=low,
            high=high,
            middle=middle,
            mean=mean,
            spread=spread,
            item_offsets=arrays["item_offsets"],
        )
