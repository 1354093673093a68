"""Cost of a request in units of one plain slate: ten items for a history of five events, without
further options.

The costs were measured over catalogs of thousands of items (`benchmarks/attack/costs.py` repeats
this). Costly requests leave the event loop free for others, and too costly ones are refused with
the names of their most expensive options.
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
"""Share of a plain slate that the requests of a batch have in common."""
PER_EVENT = 0.025
"""Cost of each event of a history, where models read all of them, as those of locations do."""
PIECE = 3.0
"""Largest cost of one piece of a batch; other requests are answered between pieces."""


def parts_of(body: RecommendationRequest, explore: float) -> dict[str, float]:
    """Return the cost that each option of a request adds; `explore` is the strength of
    exploration.
    """
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


def cost_of(body: RecommendationRequest, explore: float, max_cost: float) -> float:
    """Return the cost of a request.

    Raises:
        HTTPException: 422, if the cost is more than `max_cost`.
        BadInput: if the filter cannot be read.
    """
    parts = parts_of(body, explore)
    cost = 1.0 + sum(parts.values())
    if cost > max_cost:
        dearest = sorted((name for name in parts if parts[name]), key=lambda name: -parts[name])
        raise HTTPException(
            422,
            f"this request costs as much as {cost:.0f} plain slates, {max_cost:g} are allowed; the "
            f"most expensive options: {', '.join(dearest[:3])}; ask for less at once, or raise the "
            f"service's setting `max_cost`",
        )
    return cost


def weight_of(cost: float, events: int) -> float:
    """Return the cost of a request within a batch; `events` is the length of its history, stored
    events included.
    """
    return max(cost, 1.0 + PER_EVENT * events) - SHARED


def pieces(weights: Sequence[float]) -> list[slice]:
    """Split a batch into consecutive pieces that cost at most `PIECE` together, or are one
    request.
    """
    cuts, filled = [0], 0.0
    for place, weight in enumerate(weights):
        if place > cuts[-1] and filled + weight > PIECE:
            cuts.append(place)
            filled = 0.0
        filled += weight
    return [slice(*ends) for ends in pairwise([*cuts, len(weights)])]


def check_batch(weights: Sequence[float], max_cost: float) -> None:
    """Refuse a batch that costs more than one request may, and more than a plain slate for each of
    its requests.

    Args:
        weights: cost of each request.
        max_cost: largest cost of one request.

    Raises:
        HTTPException: 422, if so.
    """
    total, number = sum(weights), len(weights)
    allowed = max(max_cost, number)
    if total > allowed:
        raise HTTPException(
            422,
            f"body.requests: together they cost as much as {total:.0f} plain slates, "
            f"{allowed:g} are allowed; send about {max(1, int(number * max_cost / total))} at once",
        )
