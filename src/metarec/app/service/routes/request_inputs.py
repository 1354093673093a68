"""Route that lists the inputs, beside events and attributes, that the served model takes."""

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
from metarec.models.registry import FRIENDS, LOCATION, SEARCH
from metarec.recommendation.notes import columns_read
from metarec.recommender import Recommender

N_VALUES = 30
"""Number of values that are listed for one attribute."""
N_PLACES = 6
"""Number of places, far from each other, that are listed."""


class RequestInputsRoutes(Routes):
    """Inputs that the served model takes beside events and attributes."""

    @route("GET", "/v1/circumstances", "read", **answers(schemas.Circumstances))
    async def circumstances(self) -> Json:
        """Inputs that the served model takes beside events and attributes."""
        return Json(read_inputs(self.live.served))


def read_inputs(served: Served) -> dict[str, Any]:
    """Return which of friends, location and searches the model reads, its context columns, and the
    attributes that its policy asks for.
    """
    scorers = served.model.ensemble.scorers
    return {
        "friends": FRIENDS in scorers,
        "searches": SEARCH in scorers or bool(served.model.text.shape[1]),
        "location": LOCATION in scorers,
        "context": _columns(served.model),
        "places": _places(served) if LOCATION in scorers else [],
        "policy": _asked_for(served.model),
        "model_version": served.model.version,
    }


def _asked_for(model: Recommender) -> list[dict[str, Any]]:
    """Return the attributes that the policy asks for, each with the most frequent values that
    exclude items.
    """
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
    """Return the context columns that the model reads, with their categories, or with the bin edges
    of numbers.
    """
    columns = model.context_columns
    return [
        {
            "name": name,
            "values": columns.categories.get(name) or [f"{end:g}" for end in columns.edges[name]],
            "is_number": name in columns.edges,
        }
        for name in columns_read(model.ensemble.scorers)
    ]


def _places(served: Served) -> list[dict[str, Any]]:
    """Return up to `N_PLACES` items far from each other, the most central first."""
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
