"""Routes for slates: recommendations, explanations, questions to a new user."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any

import numpy as np
from fastapi import Query

from metarec.app.service import schemas
from metarec.app.service.conversion.explanations import explain_one
from metarec.app.service.conversion.requests import (
    stated_user,
)
from metarec.app.service.http.addresses import IdRoute
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.parts import Service
from metarec.app.service.routes.base import Routes, route
from metarec.app.service.routes.items import Stated, described, no_item
from metarec.app.service.routes.slate_answers import SlateAnswers
from metarec.app.service.scoring.live_model import Served
from metarec.app.service.scoring.request_cost import check_batch
from metarec.recommendation.slate import Request, Slate

NOTHING: list[str] = []
"""Default of lists in a query; FastAPI copies it for each request."""


class SlateRoutes(Routes):
    """Recommendations, explanations, questions to a new user."""

    route_class = IdRoute

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._made = SlateAnswers(service)

    @route("POST", "/v1/recommendations", "read", **answers(schemas.Recommendations, 501, 503))
    async def recommend(self, body: schemas.RecommendationRequest) -> Json:
        """A slate for one user."""
        prepared = await self._made.prepared(body)
        return Json(await self._made.slate_for(prepared, self._made.scored(prepared)))

    @route("POST", "/v1/recommendations/batch", "read", **answers(schemas.SlateBatch, 501, 503))
    async def batch(self, body: schemas.RecommendationBatch) -> Json:
        """Slates for several users."""
        prepared = [await self._made.prepared(one) for one in body.requests]
        check_batch([one.weight for one in prepared], self.service.settings.max_cost)
        slates = asyncio.ensure_future(self._made.in_pieces(prepared))
        answers = (
            self._made.slate_for(one, _at(slates, place)) for place, one in enumerate(prepared)
        )
        return Json({"slates": await asyncio.gather(*answers)})

    @route("POST", "/v1/explanations", "read", **answers(dict[str, Any], 404, 501, 503))
    async def explain(self, body: schemas.ExplanationRequest) -> Json:
        """Explain the rank of an item for a user."""
        served = (await self._made.placed(body.user_id)).served
        if served.row_of(body.item_id) < 0:
            raise no_item(served, body.item_id)
        request = await self._made.as_request(body, served)
        return Json(
            await self.service.pools.heavy.run(explain_one, served, request, body.item_id, body.k)
        )

    @route("GET", "/v1/onboarding", "read", **answers(schemas.Questions, 503))
    async def onboarding(
        self,
        user_id: Annotated[schemas.IdText | None, Query()] = None,
        like: Annotated[list[schemas.IdText], Query(max_length=100)] = NOTHING,
        dislike: Annotated[list[schemas.IdText], Query(max_length=100)] = NOTHING,
        skip: Annotated[
            list[schemas.IdText], Query(max_length=1000, description="Items not to ask about.")
        ] = NOTHING,
        k: Annotated[int, Query(ge=1, le=50)] = 5,
        profile: Stated = NOTHING,
    ) -> Json:
        """Items to ask a new user about, given the answers so far."""
        served = self.live.served
        history = [
            schemas.HistoryEvent(item_id=i, kind=kind)
            for kind, ids in (("like", like), ("dislike", dislike))
            for i in ids
        ]
        who = stated_user(user_id, profile, history=history)
        request = await self._made.as_request(who, served)
        rows, items = await self._questions(served, request, {*skip, *like, *dislike}, k)
        notes = served.model.policy_notes(request, rows)
        return Json({"items": items, "notes": notes, "model_version": served.model.version})

    async def _questions(
        self, served: Served, request: Request, answered: set[str], k: int
    ) -> tuple[list[int], list[dict[str, Any]]]:
        """Return the rows of the items to ask about, and the items as answers show them, each with
        its `uncertainty_reduction`.
        """
        hidden = np.flatnonzero(~served.passes).tolist()
        left_out = sorted({*answered, *served.model.vocabulary.names(hidden)})
        chosen = await self.service.pools.heavy.run(
            lambda: served.model.questions([request], k, exclude=[left_out])
        )
        rows = [int(row) for row in chosen.items[0] if row >= 0]
        items = [
            {**item, "uncertainty_reduction": float(reduction)}
            for item, reduction in zip(
                described(served, rows), chosen.uncertainty_reduction[0], strict=False
            )
        ]
        return rows, items


async def _at(slates: Awaitable[list[Slate]], place: int) -> Slate:
    return (await slates)[place]
