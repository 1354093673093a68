"""Routes for the friends of a user."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import HTTPException, Path

from metarec.app.service import schemas
from metarec.app.service.conversion.requests import weights_of
from metarec.app.service.http.addresses import IdRoute
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.routes.base import Routes, route

UserId = Annotated[schemas.IdText, Path(description="The user's id; write a `/` in it as %2F.")]
NewId = Annotated[schemas.NewIdText, Path(description="The user's id; write a `/` in it as %2F.")]


class FriendsRoutes(Routes):
    """The friends of a user."""

    route_class = IdRoute

    async def _kept(self, user_id: str) -> Json:
        friends, now = await self.service.read(
            lambda: (self.store.friends_of(user_id), self.store.id_now(user_id))
        )
        return Json({"user_id": now, "friends": _listed(friends)})

    @route("GET", "/v1/users/{user_id:id}/friends", "read", **answers(schemas.FriendsKept, 503))
    async def friends(self, user_id: UserId) -> Json:
        """The friends of a user."""
        return await self._kept(user_id)

    @route("PUT", "/v1/users/{user_id:id}/friends", "write", **answers(schemas.FriendsKept, 503))
    async def set_friends(self, user_id: NewId, body: schemas.FriendsOfUser) -> Json:
        """Set the friends of a user; the answer has all that are stored."""
        weights = weights_of(body.friends)
        if user_id in weights:
            raise HTTPException(422, "body.friends: a user is not their own friend")
        await asyncio.wrap_future(self.store.put_friends(user_id, weights))
        return await self._kept(user_id)


def _listed(friends: dict[str, float]) -> list[dict[str, Any]]:
    return [{"friend_id": friend, "weight": weight} for friend, weight in friends.items()]
