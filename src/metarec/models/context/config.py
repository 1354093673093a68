"""Hyper-parameters of context: what is tried on held-out users."""

from __future__ import annotations

from dataclasses import dataclass

from metarec.models.config import ModelConfig, setting
from metarec.models.context.lifts import Way


@dataclass(frozen=True, kw_only=True)
class ContextConfig(ModelConfig):
    """Hyper-parameters of context. From each list one value is chosen on held-out users: of the
    dampings one for each column, of the weights one for all.
    """

    damping: tuple[float, ...] = setting((5.0, 20.0, 80.0, 320.0), above=0)
    """Pseudo-counts of events that are tried, which shrink an item's lifts towards the prior (each
    above 0).
    """
    content_damping: tuple[float, ...] = setting((10.0, 100.0), above=0)
    """Pseudo-counts of events that are tried, which shrink the lifts predicted from content towards
    none (each above 0).
    """
    weights: tuple[float, ...] = setting((0.5, 1.0), at_least=0)
    """Weights of the sum over columns that are tried (each 0 or more)."""
    min_t: float = setting(3.0)
    """Smallest t statistic of a column's gain in log-likelihood over held-out users with which it
    is read.
    """
    min_ratio: float = setting(0.02, above=0, at_most=1)
    """Lower bound of P(value | item) / P(value) predicted from content and axes (above 0, 1 at
    most).
    """
    max_acts: int = setting(4000, at_least=1)
    """Held-out events on which these are chosen, at most (1 or more). Each fold chooses anew: after
    one choice for all, slates for new users were worse on Frappe (docs/experiments).
    """

    @property
    def tried(self) -> list[Way]:
        """All ways of shrinking a column; ways with the same prior are neighbors."""
        return [
            Way(damping=damping, content_damping=content_damping, by_axes=by_axes)
            for content_damping in (None, *self.content_damping)
            for by_axes in (False, True)
            for damping in self.damping
        ]
