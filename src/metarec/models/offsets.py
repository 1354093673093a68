"""Baseline predictor of ratings: a mean plus an offset for each item and each user, both shrunk
towards zero (Koren 2010, "Factor in the neighbors", section 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from metarec.features.histories import Histories


@dataclass(frozen=True, kw_only=True)
class Offsets:
    """A rating is `mean + unit * (item offset + user offset)` plus a residual."""

    mean: float
    """Weighted mean of the ratings."""
    items: np.ndarray
    """[N] item offsets in steps of `unit`."""
    user_damping: float
    """Pseudo-count of events that shrinks a user's offset towards zero."""
    unit: float = 1.0
    """Size of one step on the scale of ratings."""

    @classmethod
    def of(
        cls,
        histories: Histories,
        n_items: int,
        *,
        item_damping: float,
        user_damping: float,
        rounds: int,
        weights: Float[np.ndarray, "events"] | None = None,
        unit: float = 1.0,
    ) -> Offsets:
        """Estimate item and user offsets in alternation, since an item rated mostly by harsh users
        is better than its mean says.

        Args:
            item_damping: pseudo-count of events that shrinks an item's offset towards zero.
            user_damping: the same for a user's offset.
            rounds: number of alternations.
            weights: how much each event counts for its item; all the same by default.
            unit: size of one step on the scale of ratings.
        """
        weights = np.ones(len(histories.items)) if weights is None else weights
        values = histories.values.astype(np.float64)
        mean = float(np.average(values, weights=weights)) if len(values) else 0.0
        left = (values - mean) / unit
        counts = np.bincount(histories.items, weights, n_items) + item_damping
        users, items = np.zeros(len(histories)), np.zeros(n_items)
        offsets = cls(mean=mean, items=items, user_damping=user_damping, unit=unit)
        for _ in range(rounds):
            residuals = weights * (left - users[histories.owners])
            items = np.bincount(histories.items, residuals, n_items) / np.maximum(counts, 1e-12)
            offsets = replace(offsets, items=items)
            users = offsets.users(histories)
        return offsets

    def users(self, histories: Histories) -> Float[np.ndarray, "users"]:
        """[B] offsets of users in steps of `unit`; 0 for a user without events."""
        left = self.above_items(histories)
        total = np.bincount(histories.owners, left, len(histories))
        return np.asarray(total / np.maximum(histories.lengths + self.user_damping, 1e-12))

    def residuals(self, histories: Histories) -> Float[np.ndarray, "events"]:
        """Ratings minus mean, item offset and user offset, in steps of `unit`."""
        return np.asarray(self.above_items(histories) - self.users(histories)[histories.owners])

    def above_items(self, histories: Histories) -> Float[np.ndarray, "events"]:
        """Ratings minus mean and item offset, in steps of `unit`."""
        left = (histories.values.astype(np.float64) - self.mean) / self.unit
        return np.asarray(left - self.items[histories.items])
