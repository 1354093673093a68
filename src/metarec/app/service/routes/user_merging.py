"""Route that merges an anonymous user into another user."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import Annotated

from fastapi import Path

from metarec.app.service import schemas
from metarec.app.service.http.addresses import IdRoute
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.routes.base import Routes, route
from metarec.feedback.merging import merge_user

UserId = Annotated[
    schemas.IdText, Path(description="The id that is merged; write a `/` in it as %2F.")
]


class MergeRoutes(Routes):
    """Merges an anonymous user into another user."""

    route_class = IdRoute

    @route("POST", "/v1/users/{user_id:id}/merge", "write", **answers(schemas.UserMerged, 503))
    async def merge(self, user_id: UserId, body: schemas.MergeInto) -> Json:
        """Move everything stored of a user to another user id; nothing is stored under the old id
        any more.
        """
        done = await asyncio.to_thread(merge_user, self.store, user_id, body.into)
        return Json(asdict(done))
