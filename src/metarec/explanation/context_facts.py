"""Facts about one item from friends, place and circumstances, in words; friends are never named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from metarec.data.places import location_of
from metarec.explanation.words import DID
from metarec.features.request_context import RequestContext
from metarec.models.context.model import Context
from metarec.models.friends import Friends
from metarec.models.location.model import Location
from metarec.models.registry import CONTEXT, FRIENDS, LOCATION, SEARCH

if TYPE_CHECKING:
    from metarec.explanation.relative_score import Explained
    from metarec.recommendation.slate import Request

STATED, HOME, LAST_PLACE = "stated", "home", "last place"
"""What the distance to an item is measured from."""
MIN_FRIENDS = 3
"""Minimum number of friends to report a count; with fewer, the count would reveal who it was."""


def context_facts(model: Explained, request: Request, items: Sequence[int]) -> list[dict[str, str]]:
    """Return for each item {score component: the fact behind it}; empty for models that are not
    recommenders.
    """
    ensemble = getattr(model, "ensemble", None)
    if ensemble is None or not hasattr(model, "users"):
        return [{} for _ in items]
    context = model.users([request])[0].context
    facts = _of_request(ensemble.scorers, request)
    has_places = isinstance(ensemble.scorers.get(LOCATION), Location)
    from_where = _reference(model, request) if has_places else ""
    n_friends = len({*request.friends})
    return [
        facts | _of_item(model, ensemble.scorers, context, item, n_friends, from_where)
        for item in items
    ]


def _reference(model: Any, request: Request) -> str:
    """Return what distances are measured from: the stated location, else the user's home, else the
    last place of the history, as the model has it.
    """
    if not np.isnan(location_of(request.location)).any():
        return STATED
    location = model.users([replace(request, history=[])])[0].context.location
    return LAST_PLACE if np.isnan(location).any() else HOME


def _of_request(scorers: Mapping[str, Any], request: Request) -> dict[str, str]:
    """Return the facts that hold for any item."""
    facts, context = {}, scorers.get(CONTEXT)
    if isinstance(context, Context):
        read = context.read_columns
        values = [f"{name} {request.context[name]}" for name in read if name in request.context]
        if values:
            facts[CONTEXT] = f"of how it is chosen at {', '.join(values)}"
    if request.searches:
        facts[SEARCH] = f'you searched for "{request.searches[-1]}"'
    return facts


def _of_item(
    model: Explained,
    scorers: Mapping[str, Any],
    context: RequestContext,
    item: int,
    n_friends: int,
    from_where: str,
) -> dict[str, str]:
    """Return the number of friends who took the item, and its distance `from_where`; `n_friends`
    are named, of whom the model may know fewer.
    """
    facts, friends, place = {}, scorers.get(FRIENDS), scorers.get(LOCATION)
    named = context.friends.indices
    if isinstance(friends, Friends) and len(named) >= MIN_FRIENDS:
        count = friends.who_took(named, item)
        if count:
            facts[FRIENDS] = (
                f"{count} of your {len(named)} friends {_verb(model)} it"
                if len(named) == n_friends
                else f"{count} of the {len(named)} friends of yours known here {_verb(model)} it"
            )
    if isinstance(place, Location):
        km = place.km_to(context.location[0], item)
        if not np.isnan(km):
            facts[LOCATION] = _how_far(_distance(km), from_where)
    return facts


def _how_far(distance: str, from_where: str) -> str:
    if from_where == STATED:
        return f"it is {distance} from you"
    if from_where == HOME:
        return f"it is {distance} from your home"
    return f"it is {distance} from the last place you chose"


def _distance(km: float) -> str:
    return "less than a km" if km < 1 else f"{km:.0f} km"


def _verb(model: Explained) -> str:
    """Return the verb for users' events, where all are of one kind."""
    kinds = model.trained_on["kind"].unique().to_list() if hasattr(model, "trained_on") else []
    return DID.get(kinds[0], "chose") if len(kinds) == 1 else "chose"
