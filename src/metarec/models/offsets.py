"""Who rates high and what is rated high: a mean, and an offset of each item and of each user, each
pulled towards zero (Koren 2010, "Factor in the neighbors", section 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from metarec.features.histories import Histories


@dataclass(frozen=True, kw_only=True)
class Offsets:
    """A rating is `mean + unit (item offset + user offset)` and what is left."""

    mean: float
    items: np.ndarray
    """[N] in steps of `unit`."""
    user_damping: float
    """Events' worth of pull of a user's offset towards zero."""
    unit: float = 1.0
    """Ratings for one step."""

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
        """Found in turns, since an item met mostly by harsh users is better than its mean says.

        Args:
            weights: how much each event counts for its item; all the same by default.
        """
        weights = np.ones(len(histories.items)) if weights is None else weights
        values = histories.values.astype(np.float64)
        mean = float(np.average(values, weights=weights)) if len(values) else 0.0
        left = (values - mean) / unit
        counts = np.bincount(histories.items, weights, n_items) + item_damping
        users, items = np.zeros(len(histories)), np.zeros(n_items)
        found = cls(mean=mean, items=items, user_damping=user_damping, unit=unit)
        for _ in range(rounds):
            rest = weights * (left - users[histories.owners])
            items = np.bincount(histories.items, rest, n_items) / np.maximum(counts, 1e-12)
            found = replace(found, items=items)
            users = found.users(histories)
        return found

    def users(self, histories: Histories) -> Float[np.ndarray, "users"]:
        """Offsets of users in steps of `unit`; 0 for a user without events."""
        left = self.above_items(histories)
        total = np.bincount(histories.owners, left, len(histories))
        return np.asarray(total / np.maximum(histories.lengths + self.user_damping, 1e-12))

    def residuals(self, histories: Histories) -> Float[np.ndarray, "events"]:
        """What the offsets leave unexplained, in steps of `unit`."""
        return np.asarray(self.above_items(histories) - self.users(histories)[histories.owners])

    def above_items(self, histories: Histories) -> Float[np.ndarray, "events"]:
        """What lies above what is expected of an item, in steps of `unit`."""
        left = (histories.values.astype(np.float64) - self.mean) / self.unit
        return np.asarray(left - self.items[histories.items])
