"""Hyper-parameters of EASE."""

from __future__ import annotations

from dataclasses import dataclass

from metarec.models.base import EventsConfig
from metarec.models.config import setting


@dataclass(frozen=True, kw_only=True)
class EaseConfig(EventsConfig):
    """Hyper-parameters of EASE."""

    regularization: float | None = setting(None, above=0, search_range=(20, 3000))
    """L2 penalty of the weights, as a number of events (above 0); by default 200, or 1000 where
    order carries meaning.
    """
    max_items: int = setting(10_000, at_least=2)
    """Size of the head, the most popular items that are all regressed on each other (2 or more):
    10,000 take 400 MB, and three times that for a moment. All other pairs of items are regressed
    one on one.
    """
    min_events: int = setting(5, at_least=1)
    """Number of events (1 or more) from which an item may belong to the head: fewer do not suffice
    for a regression on thousands of items.
    """
    min_coupling: float = setting(0.1, at_least=0, below=1)
    """An item belongs to the head only if the off-diagonal entries of its Gram matrix row sum to at
    least this share, in [0, 1), of its diagonal and ridge. Ignored with `whole_histories`, and
    where items share weights by place.
    """
    kept: int = setting(500, at_least=1)
    """Weights kept for each item (1 or more), the largest."""
    place_scales: tuple[float, ...] = setting((0.5, 2.0, 8.0, 32.0), above=0)
    """Scales in kilometers (each above 0) of exponential kernels of the distance between items,
    whose mean says how much items share of their weights, where items have places.
    """
    place_shares: tuple[float, ...] = setting((0.02, 0.05, 0.15), above=0)
    """Prior variances of the shared part of the weights that are tried (each above 0), beside
    variance 1 of an item's own part. Nothing is shared unless this clearly improves the
    recommendations to held-out training users.
    """
    max_choosing: int = setting(400, at_least=1)
    """Held-out training users on whom sharing is tried, at most (1 or more)."""
    min_choosing: int = setting(20, at_least=2)
    """Smallest number of such users with which sharing is tried (2 or more)."""
    choosing_items: int = setting(2000, at_least=2)
    """Most popular items on which sharing is tried (2 or more)."""
    choosing_places: int = setting(10, at_least=1)
    """Length of the list in the NDCG by which sharing is tried (1 or more)."""
    choosing_t: float = setting(1.5, at_least=0)
    """Number of standard errors that the mean gain must exceed (0 or more)."""
    min_shown: float = setting(1.5, above=1)
    """Number of events as which a support of one is counted (above 1): one event has no pair to
    learn from, and the regression is then nearly a cosine similarity.
    """
    landmarks: int = setting(500, at_least=1)
    """Landmark items by which the distance kernels are approximated, at most (1 or more)."""
    whole_histories: bool = setting(False)
    """Learn from whole histories, as published (Steck 2019), instead of from as many events as a
    new user has.
    """
