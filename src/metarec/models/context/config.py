"""Hyper-parameters of context: what is tried on held-out users, or what was chosen before."""

from __future__ import annotations

from dataclasses import dataclass, replace

from metarec.data.errors import BadInput
from metarec.models.config import ModelConfig, setting
from metarec.models.context.lifts import Way

UNREAD = -1
"""Index of the way of a column that is not read."""


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
    weights: tuple[float, ...] = setting((0.5, 1.0), least=0)
    """Weights of the sum over columns that are tried (each 0 or more)."""
    min_t: float = setting(3.0)
    """Smallest t statistic of a column's gain in log-likelihood over held-out users with which it
    is read.
    """
    min_ratio: float = setting(0.02, above=0, most=1)
    """Lower bound of P(value | item) / P(value) predicted from content and axes (above 0, 1 at
    most).
    """
    max_acts: int = setting(4000, least=1)
    """Held-out events on which these are chosen, at most (1 or more)."""
    chosen: tuple[float, ...] | None = setting(None, least=UNREAD)
    """For each column the index in `tried` of the way in which its lifts are shrunk, -1 where it is
    not read; the first of `weights` goes with them. None: both are chosen on held-out users, anew
    in each fold: chosen once for all, slates for new users were worse on Frappe (docs/experiments).
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

    def with_chosen(self, ways: list[Way | None], weight: float) -> ContextConfig:
        """The config with the way of each column, None where it is not read, and their weight."""
        tried = self.tried
        places = [UNREAD if way is None else tried.index(way) for way in ways]
        return replace(self, chosen=tuple(map(float, places)), weights=(weight,))

    def ways_of(self, names: tuple[str, ...]) -> list[Way | None]:
        """The way of each of the columns `names` by `chosen`; None where it is not read.

        Raises:
            BadInput: if their number is another, or an index is out of range.
        """
        tried = self.tried
        assert self.chosen is not None, "asked once it is chosen"
        if len(self.chosen) != len(names):
            raise BadInput(
                f"ContextConfig.chosen must have a number for each of the {len(names)} context "
                f"columns ({', '.join(names)}), got {len(self.chosen)}; leave it out to choose"
            )
        unknown = [place for place in self.chosen if place not in range(UNREAD, len(tried))]
        if unknown:
            raise BadInput(
                f"ContextConfig.chosen must be whole numbers from {UNREAD} to {len(tried) - 1}, "
                f"which ways of shrinking there are, got {unknown[0]:g}"
            )
        return [None if place == UNREAD else tried[int(place)] for place in self.chosen]
