"""Routes for whom a user knows."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path

from metarec.app.service import schemas
from metarec.app.service.http import IdRoute, Json, Service, answers
from metarec.app.service.request_conversion import weights_of

UserId = Annotated[schemas.IdText, Path(description="The user's id; write a `/` in it as %2F.")]


def friends_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(route_class=IdRoute)
    read, write = (service.keys.needs(role) for role in ("read", "write"))
    store = service.store

    async def kept(user_id: str) -> Json:
        found, now = await service.read(lambda: (store.friends_of(user_id), store.id_now(user_id)))
        return Json({"user_id": now, "friends": _listed(found)})

    @router.get(
        "/v1/users/{user_id:id}/friends",
        tags=["users"],
        dependencies=read,
        summary="Whom a user knows",
        **answers(schemas.FriendsKept, 503),
    )
    async def friends(user_id: UserId) -> Json:
        return await kept(user_id)

    @router.put(
        "/v1/users/{user_id:id}/friends",
        tags=["users"],
        dependencies=write,
        summary="Set whom a user knows; the answer is what is kept",
        **answers(schemas.FriendsKept, 503),
    )
    async def set_friends(user_id: UserId, body: schemas.FriendsOfUser) -> Json:
        weights = weights_of(body.friends)
        if user_id in weights:
            raise HTTPException(422, "body.friends: a user is not their own friend")
        await asyncio.wrap_future(store.put_friends(user_id, weights))
        return await kept(user_id)

    return router


def _listed(friends: dict[str, float]) -> list[dict[str, Any]]:
    return [{"friend_id": friend, "weight": weight} for friend, weight in friends.items()]
