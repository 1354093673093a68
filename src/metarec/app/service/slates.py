"""Routes for slates: recommendations, explanations, what to ask a new user."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Query

from metarec.app.service import schemas
from metarec.app.service.catalog import Stated, described
from metarec.app.service.http import IdRoute, Json, Service, answers
from metarec.app.service.reasons import explain_one
from metarec.app.service.request_conversion import (
    stated_user,
)
from metarec.app.service.request_cost import check_batch
from metarec.app.service.slate_answers import SlateAnswers
from metarec.recommendation.slate import Slate

NOTHING: list[str] = []
"""Default of lists in a query; FastAPI copies it for each request."""


def slate_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(route_class=IdRoute)
    read, settings, made = service.keys.needs("read"), service.settings, SlateAnswers(service)

    @router.post(
        "/v1/recommendations",
        tags=["users"],
        dependencies=read,
        summary="A slate for one user",
        **answers(schemas.Recommendations, 501, 503),
    )
    async def recommend(body: schemas.RecommendationRequest) -> Json:
        asked = await made.prepared(body)
        return Json(await made.slate_for(asked, made.scored(asked)))

    @router.post(
        "/v1/recommendations/batch",
        tags=["users"],
        dependencies=read,
        summary="Slates for several users",
        **answers(schemas.SlateBatch, 501, 503),
    )
    async def batch(body: schemas.RecommendationBatch) -> Json:
        asked = [await made.prepared(one) for one in body.requests]
        check_batch([one.weight for one in asked], settings.max_cost)
        slates = asyncio.ensure_future(made.in_pieces(asked))
        answers = (made.slate_for(one, _at(slates, place)) for place, one in enumerate(asked))
        return Json({"slates": await asyncio.gather(*answers)})

    @router.post(
        "/v1/explanations",
        tags=["users"],
        dependencies=read,
        summary="Why an item stands where it stands for a user",
        **answers(dict[str, Any], 404, 501, 503),
    )
    async def explain(body: schemas.ExplanationRequest) -> Json:
        served = (await made.placed(body.user_id)).served
        if served.row_of(body.item_id) < 0:
            raise HTTPException(
                404, f"there is no item {body.item_id!r}; add it with PUT /v1/items/{{id}}"
            )
        request = await made.as_request(body, served)
        return Json(
            await service.pools.heavy.run(explain_one, served, request, body.item_id, body.k)
        )

    @router.get(
        "/v1/onboarding",
        tags=["users"],
        dependencies=read,
        summary="What to ask a new user, given the answers so far",
        **answers(schemas.Questions, 503),
    )
    async def onboarding(
        user_id: Annotated[schemas.IdText | None, Query()] = None,
        like: Annotated[list[schemas.IdText], Query(max_length=100)] = NOTHING,
        dislike: Annotated[list[schemas.IdText], Query(max_length=100)] = NOTHING,
        skip: Annotated[
            list[schemas.IdText], Query(max_length=1000, description="Items not to ask about.")
        ] = NOTHING,
        k: Annotated[int, Query(ge=1, le=50)] = 5,
        profile: Stated = NOTHING,
    ) -> Json:
        served = service.live.served
        said = [
            schemas.HistoryEvent(item_id=i, kind=kind)
            for kind, ids in (("like", like), ("dislike", dislike))
            for i in ids
        ]
        request = await made.as_request(stated_user(user_id, profile, history=said), served)
        hidden = np.flatnonzero(~served.passes).tolist()
        asked = {*skip, *like, *dislike, *served.model.vocabulary.names(hidden)}
        chosen = await service.pools.heavy.run(
            lambda: served.model.questions([request], k, exclude=[sorted(asked)])
        )
        rows = [int(row) for row in chosen.items[0] if row >= 0]
        items = [
            {**item, "worth": float(worth)}
            for item, worth in zip(described(served, rows), chosen.worth[0], strict=False)
        ]
        notes = served.model.policy_notes(request, rows)
        return Json({"items": items, "notes": notes, "model_version": served.model.version})

    return router


async def _at(slates: Awaitable[list[Slate]], place: int) -> Slate:
    return (await slates)[place]
