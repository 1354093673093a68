"""Hyper-parameters of EASE."""

from __future__ import annotations

from dataclasses import dataclass

from metarec.models.base import EventsConfig
from metarec.models.config import setting


@dataclass(frozen=True, kw_only=True)
class EaseConfig(EventsConfig):
    """Hyper-parameters of EASE."""

    regularization: float | None = setting(None, above=0, tried=(20, 3000))
    """Events' worth of pull of the weights towards zero (above 0); unless given 200, or 1000 where
    order carries meaning.
    """
    max_items: int = setting(10_000, least=2)
    """Most popular items that are regressed on each other (2 or more): 10,000 take 400 MB, three
    times that for a moment; all others are regressed one on one.
    """
    min_events: int = setting(5, least=1)
    """Events of an item (1 or more) from which on it is among those: fewer do not carry a
    regression on thousands of others.
    """
    min_coupling: float = setting(0.1, least=0, below=1)
    """Part of an item's diagonal and ridge in [0, 1) that its pairs with all others must sum up to
    for it to be among those; of no account with `whole_histories`.
    """
    kept: int = setting(500, least=1)
    """Weights kept for each item (1 or more), the largest."""
    place_scales: tuple[float, ...] = setting((0.5, 2.0, 8.0, 32.0), above=0)
    """Kilometers (each above 0) at which two items clearly share less of their weights, where
    items have places; the mean of as many kernels.
    """
    place_shares: tuple[float, ...] = setting((0.02, 0.05, 0.15), above=0)
    """Variances of what is shared that are tried (each above 0), beside 1 of what an item has
    alone; none unless training users are clearly better recommended to.
    """
    max_choosing: int = setting(400, least=1)
    """Users on whom that is tried at most (1 or more)."""
    min_choosing: int = setting(20, least=2)
    """With fewer users (2 or more) it is not tried."""
    choosing_items: int = setting(2000, least=2)
    """Most popular items on which it is tried (2 or more)."""
    choosing_places: int = setting(10, least=1)
    """Places of the NDCG by which it is tried (1 or more)."""
    choosing_t: float = setting(1.5, least=0)
    """Standard errors that the mean gain must exceed (0 or more)."""
    min_shown: float = setting(1.5, above=1)
    """One event has no pair to learn from; it is taken as this many (above 1), where the regression
    is nearly a cosine.
    """
    landmarks: int = setting(500, least=1)
    """Items by the distances to which it is told how near two items are (1 or more)."""
    whole_histories: bool = setting(False)
    """Learn from whole histories, as published (Steck 2019), instead of from as many events as a
    new user has.
    """
