"""Route that says what, beside events and attributes, a request may tell the serving model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from metarec.app.service import schemas
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.routes.base import Routes, route
from metarec.app.service.scoring.live_model import Served
from metarec.data.places import degrees_of, is_placed, km_between
from metarec.data.policy_values import is_single
from metarec.models.context.model import Context
from metarec.models.registry import CONTEXT, FRIENDS, PLACE, SEARCH
from metarec.recommender import Recommender

N_VALUES = 30
"""Values of one attribute that are named, to choose from."""
N_PLACES = 6
"""Places far from each other that are named, to choose from."""


class RequestInputsRoutes(Routes):
    """What, beside events and attributes, a request may tell the serving model."""

    @route("GET", "/v1/circumstances", "read", **answers(schemas.Circumstances))
    async def circumstances(self) -> Json:
        """What, beside events and attributes, a request may tell the model."""
        return Json(told_to(self.live.served))


def told_to(served: Served) -> dict[str, Any]:
    """Which of friends, places and searches the model reads, and its context columns."""
    scorers = served.model.ensemble.scorers
    return {
        "friends": FRIENDS in scorers,
        "searches": SEARCH in scorers or bool(served.model.text.shape[1]),
        "location": PLACE in scorers,
        "context": _columns(served.model),
        "places": _places(served) if PLACE in scorers else [],
        "policy": _asked_for(served.model),
        "model_version": served.model.version,
    }


def _asked_for(model: Recommender) -> list[dict[str, Any]]:
    """Attributes that the policy asks for, with what items say of those that exclude."""
    check = model.policy_check
    columns = {
        e.profile_attribute: check.columns.column(e.item_column) or ""
        for e in check.policy.exclusions
    }
    tags = check.columns.items_of_tag
    return [
        {"name": name, "values": _frequent(tags.get(columns.get(name, ""), {}))}
        for name in check.attributes.asked_for
    ]


def _frequent(items_of_tag: Mapping[str, np.ndarray]) -> list[str]:
    single = [tag for tag in items_of_tag if is_single(tag)]
    return sorted(single, key=lambda tag: -len(items_of_tag[tag]))[:N_VALUES]


def _columns(model: Recommender) -> list[dict[str, Any]]:
    """Columns that the model reads, with the values of words and some of numbers."""
    context, known = model.ensemble.scorers.get(CONTEXT), model.context_columns
    if not isinstance(context, Context):
        return []
    return [
        {
            "name": name,
            "values": known.categories.get(name) or [f"{end:g}" for end in known.edges[name]],
            "is_number": name in known.edges,
        }
        for name in context.read_columns
    ]


def _places(served: Served) -> list[dict[str, Any]]:
    """Items far from each other, the first in the middle."""
    degrees = degrees_of(served.model.catalog.frame)
    rows = np.flatnonzero(is_placed(degrees))
    middle = np.median(degrees[rows], axis=0)
    chosen = [int(rows[np.argmin(km_between(middle[None], degrees[rows]))])]
    nearest = km_between(degrees[chosen], degrees[rows])
    while len(chosen) < min(N_PLACES, len(rows)) and nearest.max() > 1.0:
        chosen.append(int(rows[int(np.argmax(nearest))]))
        nearest = np.minimum(nearest, km_between(degrees[chosen[-1:]], degrees[rows]))
    return [
        {
            "title": title,
            "lat": float(degrees[row, 0]),
            "lon": float(degrees[row, 1]),
        }
        for row, title in zip(chosen, served.titles_at(chosen), strict=True)
    ]
