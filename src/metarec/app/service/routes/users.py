"""Routes for users: their stored data, their attributes, forgetting."""

from __future__ import annotations

import asyncio
import math
import time
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import HTTPException, Path, Query

from metarec.app.service import schemas
from metarec.app.service.http.addresses import IdRoute
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.parts import Service
from metarec.app.service.routes.base import Routes, route
from metarec.feedback.forgetting import forget

FORGOTTEN_SECONDS = 600.0
"""Seconds for which a forgotten user is remembered here; no slate takes longer."""
UserId = Annotated[schemas.IdText, Path(description="The user's id; write a `/` in it as %2F.")]
NewId = Annotated[schemas.NewIdText, Path(description="The user's id; write a `/` in it as %2F.")]


class UserRoutes(Routes):
    """Users: their stored data, their attributes, forgetting."""

    route_class = IdRoute

    @route("GET", "/v1/users", "admin", **answers(schemas.RecentUsers, 503))
    async def recent(self, k: Annotated[int, Query(ge=1, le=200)] = 20) -> Json:
        """Users with the latest events."""
        users = await self.service.read(lambda: self.store.recent_users(k))
        return Json(
            {"users": [{"user_id": user, "events": n, "last": at} for user, n, at in users]}
        )

    @route("GET", "/v1/users/{user_id:id}", "read", **answers(schemas.User, 404, 503))
    async def user(self, user_id: UserId, last: Annotated[int, Query(ge=1, le=1000)] = 100) -> Json:
        """Everything stored of a user."""
        kept = await self.service.read(lambda: _kept(self.service, user_id, last))
        if not any(value for name, value in kept.items() if name != "user_id"):
            raise HTTPException(404, "nothing is kept of this user")
        return Json(kept)

    @route("PUT", "/v1/users/{user_id:id}", "write", **answers(schemas.User, 503))
    async def profile(self, user_id: NewId, body: schemas.Profile) -> Json:
        """Set a user's attributes; the answer has all that is stored of them."""
        self.live.served.model.policy_check.refuse_misspelled(body.profile)
        await asyncio.wrap_future(self.store.put_profile(user_id, body.profile))
        return Json(await self.service.read(lambda: _kept(self.service, user_id, 100)))

    @route("DELETE", "/v1/users/{user_id:id}", "admin", **answers(schemas.Forgotten, 503))
    async def delete(self, user_id: UserId) -> Json:
        """Forget a user."""
        self.service.forgotten_at[user_id] = math.inf  # until then no slate of theirs is remembered
        try:
            receipt = await asyncio.to_thread(
                forget,
                self.store,
                user_id,
                models=self.live.registry,
                data=self.service.settings.data,
            )
        finally:
            note_forgotten(self.service, user_id)
        return Json(asdict(receipt))


def _kept(service: Service, user_id: str, last: int) -> dict[str, Any]:
    """Return what the store has of a user under their current id, with the `last` events; each
    field is empty, or 0, where there is nothing.
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
    """Record that slates requested up to now are not stored. The store knows this of those
    requested before its tombstone, which is slightly older.
    """
    now = time.time()
    for user, at in list(service.forgotten_at.items()):
        if at < now - FORGOTTEN_SECONDS:
            del service.forgotten_at[user]
    service.forgotten_at[user_id] = now
