"""Rankings for all users: popular, trending and newest items, of a category and a window of
days.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated, Literal

import numpy as np
from fastapi import Query

from metarec.app.service import schemas
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.parts import Service
from metarec.app.service.routes.base import Routes, route
from metarec.app.service.routes.items import Fields, Most, Offset, described, names_in
from metarec.app.service.scoring.live_model import Served
from metarec.feedback.recent_acts import RecentActs
from metarec.recommendation.ordering.rules import category_matrix
from metarec.recommendation.slate import Request

DAY = 86_400.0
Order = Literal["popular", "trending", "newest"]
Days = Annotated[
    float | None,
    Query(gt=0.0, le=3_650.0, description="Only events of this many days before now."),
]
Category = Annotated[str | None, Query(max_length=200, description="Only items of this category.")]


class ItemRankingRoutes(Routes):
    """Rankings for all users; tried before routes whose addresses end with an id."""

    tags = ("items",)

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._acts = RecentActs(service.store)

    async def _listed(
        self,
        order: Order,
        days: float | None,
        category: str | None,
        k: int,
        offset: int,
        fields: str,
    ) -> Json:
        served = self.live.served
        numbers = await self.service.pools.heavy.run(_numbers, order, served, self._acts, days)
        rows = best(served, numbers, category)[offset : offset + k]
        items = described(served, rows, names_in(fields))
        entries = [
            {**item, "number": float(numbers[row])} for item, row in zip(items, rows, strict=True)
        ]
        notes = served.model.policy_notes(Request(), rows)
        return Json({"items": entries, "days": days, "notes": notes})

    @route("GET", "/v1/items/popular", "read", **answers(schemas.RankedItems, 503))
    async def popular(
        self,
        days: Days = None,
        category: Category = None,
        k: Most = 20,
        offset: Offset = 0,
        fields: Fields = "",
    ) -> Json:
        """Items with the most positive events."""
        return await self._listed("popular", days, category, k, offset, fields)

    @route("GET", "/v1/items/trending", "read", **answers(schemas.RankedItems, 503))
    async def trending(
        self,
        days: Days = 7.0,
        category: Category = None,
        k: Most = 20,
        offset: Offset = 0,
        fields: Fields = "",
    ) -> Json:
        """Items with more positive events in the last days than in as many days before."""
        return await self._listed("trending", days or 7.0, category, k, offset, fields)

    @route("GET", "/v1/items/newest", "read", **answers(schemas.RankedItems, 503))
    async def newest(
        self, category: Category = None, k: Most = 20, offset: Offset = 0, fields: Fields = ""
    ) -> Json:
        """Items by their date, else in the order in which they were added, newest first."""
        return await self._listed("newest", None, category, k, offset, fields)


def best(served: Served, numbers: np.ndarray, category: str | None) -> list[int]:
    """Return the rows of the items that may be shown to any user, largest number first; items with
    a number of 0 or less are left out.
    """
    may = served.passes & served.model.policy_check.allowed([Request()])[0] & (numbers > 0)
    if category is not None:
        may &= category_matrix(served.model.catalog.frame, [category])[:, 0]
    order = np.argsort(-numbers, kind="stable")
    return [int(row) for row in order if may[row]]


def _numbers(order: Order, served: Served, acts: RecentActs, days: float | None) -> np.ndarray:
    if order == "newest":
        return _dates(served)
    now = time.time()
    counts = partial(acts.counts, served.model.vocabulary, served.scale.kinds)
    if order == "trending":
        span = (days or 7.0) * DAY
        late, early = counts(now - span), counts(now - 2 * span, now - span)
        return np.asarray((late - early) / np.sqrt(np.maximum(late + early, 1.0)))
    if days is not None:
        return counts(now - days * DAY)
    return np.asarray(served.trained_counts + counts(served.model.new_from))


def _dates(served: Served) -> np.ndarray:
    """[N] rank by date from 1 (oldest) to N (newest), by the catalog's first column of dates; items
    without a date come after all others. In the order of the catalog where it has no such column.
    """
    frame = served.model.catalog.frame.with_row_index("row")
    dated = [name for name, dtype in frame.schema.items() if dtype.is_temporal()]
    order = frame.sort([*dated[:1], "row"], nulls_last=True)["row"].to_numpy()
    places = np.empty(len(order))
    places[order] = np.arange(1, len(order) + 1)
    return places
