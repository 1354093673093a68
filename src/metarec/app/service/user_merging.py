"""The route by which an anonymous user becomes a customer."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Path

from metarec.app.service import schemas
from metarec.app.service.http import IdRoute, Json, Service, answers
from metarec.feedback.merging import merge_user

UserId = Annotated[
    schemas.IdText, Path(description="The id that is given up; write a `/` in it as %2F.")
]


def merge_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(route_class=IdRoute)

    @router.post(
        "/v1/users/{user_id:id}/merge",
        tags=["users"],
        dependencies=service.keys.needs("write"),
        summary="Give everything kept of a user to whom they became; the old id is kept nowhere",
        **answers(schemas.UserMerged, 503),
    )
    async def merge(user_id: UserId, body: schemas.MergeInto) -> Json:
        done = await asyncio.to_thread(merge_user, service.store, user_id, body.into)
        return Json(asdict(done))

    return router
