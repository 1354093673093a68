"""What a request costs, in plain slates: ten items for a history of five, nothing else asked.

Measured over catalogs of thousands of items (`benchmarks/attack/costs.py` measures it again). What
costs much leaves the event loop to others, and what costs too much is refused, with the dearest
wish named.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from fastapi import HTTPException

from metarec.app.service.schemas import RecommendationRequest
from metarec.recommendation.filters import comparisons

IN_LOOP = 3.0
"""Requests that cost more are answered in a thread for costly ones."""
SHARED = 0.5
"""Share of a plain slate that requests of a batch pay together."""
PER_EVENT = 0.025
"""Plain slates that each event of a history adds where models look at all of them, as those of
places do.
"""
PIECE = 3.0
"""A batch is answered in pieces of at most so many plain slates, so that others need not wait for
the whole.
"""


def parts_of(body: RecommendationRequest, explore: float) -> dict[str, float]:
    """Plain slates that each wish of a request adds; `explore` is its strength of exploration."""
    explored = explore and not body.quota and not body.diversity
    return {
        "history": 0.003 * len(body.history),
        "wish": 2.0 if body.wish else 0.0,
        "friends": 0.002 * len(body.friends),
        "searches": 1.0 if body.searches else 0.0,
        "location and context": 0.5 if body.location or body.context else 0.0,
        "within_km": 1.0 if body.within_km is not None else 0.0,
        "exclude and allow": 0.0002 * (len(body.exclude) + len(body.allow or ())),
        "filter": 1.0 + 0.5 * comparisons(body.filter) if body.filter else 0.0,
        "quota": 3.0 + 1.3 * len(body.quota) if body.quota else 0.0,
        "pin": 0.1 * len(body.pin),
        "diversity": 1.0 + 0.035 * body.k if body.diversity else 0.0,
        "explore": 7.0 + 0.02 * body.k if explored else 0.0,
        "explain": 4.0 + 0.07 * body.k if body.explain else 0.0,
        "k": 0.005 * (body.k + body.offset),
    }


def cost_of(body: RecommendationRequest, explore: float, most: float) -> float:
    """Plain slates that a request costs.

    Raises:
        HTTPException: 422, if these are more than `most`.
        BadInput: if the filter cannot be read.
    """
    parts = parts_of(body, explore)
    cost = 1.0 + sum(parts.values())
    if cost > most:
        dearest = sorted((name for name in parts if parts[name]), key=lambda name: -parts[name])
        raise HTTPException(
            422,
            f"this request costs as much as {cost:.0f} plain slates, {most:g} are allowed; the "
            f"dearest of it: {', '.join(dearest[:3])}; ask for less at once, or raise the "
            f"service's setting `max_cost`",
        )
    return cost


def weight_of(cost: float, events: int) -> float:
    """Plain slates that a request of a batch counts for, with so many events in its history, stored
    ones too.
    """
    return max(cost, 1.0 + PER_EVENT * events) - SHARED


def pieces(weights: Sequence[float]) -> list[slice]:
    """Cut a batch into neighbors that cost at most `PIECE` plain slates together, or are one
    request.
    """
    cuts, filled = [0], 0.0
    for place, weight in enumerate(weights):
        if place > cuts[-1] and filled + weight > PIECE:
            cuts.append(place)
            filled = 0.0
        filled += weight
    return [slice(*ends) for ends in pairwise([*cuts, len(weights)])]


def check_batch(weights: Sequence[float], most: float) -> None:
    """Refuse a batch that costs more together than one request may, or than a plain slate for each
    of its requests.

    Args:
        weights: plain slates that each request counts for.
        most: plain slates that one request may cost.

    Raises:
        HTTPException: 422, if so.
    """
    total, number = sum(weights), len(weights)
    allowed = max(most, number)
    if total > allowed:
        raise HTTPException(
            422,
            f"body.requests: together they cost as much as {total:.0f} plain slates, "
            f"{allowed:g} are allowed; send about {max(1, int(number * most / total))} at once",
        )
