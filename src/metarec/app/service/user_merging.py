"""The route by which a visitor becomes a customer."""

from __future__ import annotations

import asyncio
import math
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path

from metarec.app.service import schemas
from metarec.app.service.http import Json, Service, answers
from metarec.app.service.users import note_forgotten
from metarec.feedback.merging import merge_user

UserId = Annotated[schemas.IdText, Path(description="The id that is given up.")]


def merge_routes(service: Service) -> APIRouter:
    """Routes of this file; they go before those whose addresses end with an id."""
    router = APIRouter()

    @router.post(
        "/v1/users/{user_id:id}/merge",
        tags=["people"],
        dependencies=service.keys.needs("write"),
        summary="Give everything kept of a user to whom they became; the old id is kept nowhere",
        **answers(schemas.UserMerged, 503),
    )
    async def merge(user_id: UserId, body: schemas.MergeInto) -> Json:
        service.forgotten_at[user_id] = math.inf  # no slate under way is kept under the old id
        try:
            done = await asyncio.to_thread(merge_user, service.store, user_id, body.into)
        finally:
            note_forgotten(service, user_id)
        return Json({"user_id": body.into, **asdict(done)})

    return router
