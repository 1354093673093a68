"""Routes for users: what is kept of them, their attributes, forgetting."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query

from metarec.app.service import schemas
from metarec.app.service.http import IdRoute, Json, Service, answers
from metarec.feedback.forgetting import forget

FORGOTTEN_SECONDS = 600.0
"""A slate takes less."""
UserId = Annotated[schemas.IdText, Path(description="The user's id; write a `/` in it as %2F.")]


def user_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(route_class=IdRoute)
    read, write, admin = (service.keys.needs(role) for role in ("read", "write", "admin"))
    store, settings = service.store, service.settings

    @router.get(
        "/v1/users",
        tags=["users"],
        dependencies=admin,
        summary="Users of whom events came lately",
        **answers(schemas.RecentUsers, 503),
    )
    async def recent(k: Annotated[int, Query(ge=1, le=200)] = 20) -> Json:
        found = await service.read(lambda: store.recent_users(k))
        return Json(
            {"users": [{"user_id": user, "events": n, "last": at} for user, n, at in found]}
        )

    @router.get(
        "/v1/users/{user_id:id}",
        tags=["users"],
        dependencies=read,
        summary="What is kept of a user",
        **answers(schemas.User, 404, 503),
    )
    async def user(user_id: UserId, last: Annotated[int, Query(ge=1, le=1000)] = 100) -> Json:
        kept = await service.read(lambda: _kept(service, user_id, last))
        if not any(value for name, value in kept.items() if name != "user_id"):
            raise HTTPException(404, "nothing is kept of this user")
        return Json(kept)

    @router.put(
        "/v1/users/{user_id:id}",
        tags=["users"],
        dependencies=write,
        summary="Set a user's attributes; the answer is what is kept of them",
        **answers(schemas.User, 503),
    )
    async def profile(user_id: UserId, body: schemas.Profile) -> Json:
        service.live.served.model.policy_check.refuse_misspelled(body.profile)
        await asyncio.wrap_future(store.put_profile(user_id, body.profile))
        return Json(await service.read(lambda: _kept(service, user_id, 100)))

    @router.delete(
        "/v1/users/{user_id:id}",
        tags=["users"],
        dependencies=admin,
        summary="Forget a user",
        **answers(schemas.Forgotten, 503),
    )
    async def delete(user_id: UserId) -> Json:
        service.forgotten_at[user_id] = math.inf  # until then no slate of theirs is remembered
        try:
            receipt = await asyncio.to_thread(
                forget, store, user_id, models=service.live.registry, data=settings.data
            )
        finally:
            note_forgotten(service, user_id)
        return Json(asdict(receipt))

    return router


def _kept(service: Service, user_id: str, last: int) -> dict[str, Any]:
    """What the store holds of a user under the id they have now, with the `last` events; each
    part is empty, or 0, where there is nothing.
    """
    store, served = service.store, service.live.served
    return {
        "user_id": store.id_now(user_id),
        "profile": store.profile_of(user_id),
        "slates": store.slates_of(user_id),
        "friends": len(store.friends_of(user_id)),
        "experiments": store.arms_of(user_id),
        "events": [
            {
                "event_id": e.event_id,
                "item_id": e.item_id or None,
                "query": e.query,
                "kind": e.kind,
                "value": e.value,
                "timestamp": e.timestamp,
                "title": served.title_of(e.item_id),
            }
            for e in store.events_of(user_id, last)
        ],
    }


def note_forgotten(service: Service, user_id: str) -> None:
    """Slates asked for up to now are not remembered; the store knows this of those asked for before
    its tombstone, which is a moment older.
    """
    now = time.time()
    for user, at in list(service.forgotten_at.items()):
        if at < now - FORGOTTEN_SECONDS:
            del service.forgotten_at[user]
    service.forgotten_at[user_id] = now
