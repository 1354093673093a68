"""Statistics of items for the operator: stock, novelty, exposure."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import Query
from pydantic import BeforeValidator

from metarec.app.service import schemas
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.parts import Service
from metarec.app.service.routes.base import Routes, route
from metarec.app.service.routes.items import Most, Offset
from metarec.app.service.scoring.live_model import Served
from metarec.feedback.exposure import Exposure
from metarec.runtime.old_names import IN_REQUESTS

Only = Literal["all", "cold", "unavailable", "filtered", "unshown"]
Order = Literal["shown", "conversions", "events", "newest"]


def _current(order: Any) -> Any:
    return IN_REQUESTS.get(order, order)


@dataclass(frozen=True, kw_only=True)
class Statistics:
    """[N] statistics of each item, in vocabulary order."""

    events: np.ndarray
    """Number of training events."""
    shown: np.ndarray
    conversions: np.ndarray
    is_cold: np.ndarray
    is_available: np.ndarray
    is_filtered: np.ndarray
    is_there: np.ndarray
    """False for deleted items."""

    def only(self, which: Only) -> np.ndarray:
        """[N] whether an item belongs to the selection."""
        chosen = {
            "all": np.ones(len(self.shown), bool),
            "cold": self.is_cold,
            "unavailable": ~self.is_available,
            "filtered": self.is_filtered,
            "unshown": (self.shown == 0) & self.is_available & ~self.is_filtered,
        }[which]
        return np.asarray(chosen & self.is_there)

    def ordered(self, order: Order) -> np.ndarray:
        """Return the rows in the given order; ties in catalog order."""
        if order == "newest":  # items added later come later in the catalog
            return np.arange(len(self.shown))[::-1]
        by = {"shown": self.shown, "conversions": self.conversions, "events": self.events}[order]
        return np.argsort(-by, kind="stable")

    def of_row(self, row: int) -> dict[str, Any]:
        """Return the statistics of one item, as plain data."""
        return {
            "is_available": bool(self.is_available[row]),
            "is_filtered": bool(self.is_filtered[row]),
            "is_cold": bool(self.is_cold[row]),
            "training_events": int(self.events[row]),
            "shown": int(self.shown[row]),
            "conversions": int(self.conversions[row]),
        }

    def totals(self, exposure: Exposure) -> dict[str, Any]:
        """Return the statistics of the whole catalog."""
        return {
            "catalog": int(self.is_there.sum()),
            "unavailable": int((~self.is_available & self.is_there).sum()),
            "cold": int((self.is_cold & self.is_there).sum()),
            "items_shown": int(((self.shown > 0) & self.is_there).sum()),
            "cold_exposure": float(self.shown[self.is_cold].sum() / max(1, self.shown.sum())),
            "slates": exposure.slates,
            "since": exposure.since,
        }


def statistics_of(served: Served, exposure: Exposure) -> Statistics:
    """Return the statistics of every item of the served catalog."""
    size, model = len(served.model.vocabulary), served.model
    rows = model.vocabulary.indexes(exposure.by_item["item_id"])
    is_known = rows >= 0
    shown, conversions = np.zeros(size, np.int64), np.zeros(size, np.int64)
    shown[rows[is_known]] = exposure.by_item["shown"].to_numpy()[is_known]
    conversions[rows[is_known]] = exposure.by_item["conversions"].to_numpy()[is_known]
    is_cold, is_available = np.zeros(size, bool), np.ones(size, bool)
    is_cold[model.cold_items] = True
    is_available[model.policy_check.unavailable] = False
    return Statistics(
        events=model.n_events,
        shown=shown,
        conversions=conversions,
        is_cold=is_cold,
        is_available=is_available,
        is_filtered=~served.passes & served.is_there,
        is_there=served.is_there,
    )


class ItemStatisticsRoutes(Routes):
    """Items with their statistics, for the operator."""

    tags = ("operator",)

    @route("GET", "/v1/item-statistics", "read", **answers(schemas.ItemsStatistics, 503))
    async def item_statistics(
        self,
        q: Annotated[str, Query(max_length=200, description="Words of the title, or the id.")] = "",
        only: Annotated[Only, Query(description="Which items.")] = "all",
        order: Annotated[
            Order, BeforeValidator(_current), Query(description="Order of the items.")
        ] = "shown",
        k: Most = 20,
        offset: Offset = 0,
    ) -> Json:
        """Items with stock, training events, places in the latest slates and positive outcomes."""
        return Json(await asyncio.to_thread(_answer, self.service, q, only, order, k, offset))


def _answer(
    service: Service, q: str, only: Only, order: Order, k: int, offset: int
) -> dict[str, Any]:
    served, exposure = service.live.served, service.monitor.exposure()
    numbers = statistics_of(served, exposure)
    chosen = numbers.only(only)
    if q.strip():
        named = np.zeros(len(chosen), bool)
        named[served.search(q, len(chosen))] = True
        if (row := served.row_of(q.strip())) >= 0:
            named[row] = True
        chosen &= named
    rows = [int(row) for row in numbers.ordered(order) if chosen[row]]
    page = rows[offset : offset + k]
    items = [
        {
            "item_id": served.model.vocabulary.ids[row],
            "title": title,
            **numbers.of_row(row),
        }
        for row, title in zip(page, served.titles_at(page), strict=True)
    ]
    return {"items": items, "matching": len(rows), **numbers.totals(exposure)}
