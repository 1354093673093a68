"""Route for events as they happen."""

from __future__ import annotations

import asyncio
import time

from fastapi import APIRouter, HTTPException

from metarec.app.service import schemas
from metarec.app.service.event_conversion import as_events
from metarec.app.service.http import IdRoute, Json, Service, answers
from metarec.feedback.events import EventConflict


def event_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(route_class=IdRoute)
    write = service.keys.needs("write")
    store, settings, metrics = service.store, service.settings, service.metrics

    @router.post(
        "/v1/events",
        tags=["users"],
        dependencies=write,
        summary="Store events; 200 means they are on disk",
        **answers(schemas.EventsStored, 409, 503),
    )
    async def append(body: schemas.EventBatch) -> Json:
        events = as_events(
            body,
            service.live.served.scale.kinds,
            now=time.time(),
            future_seconds=settings.future_seconds,
        )
        try:
            done = await asyncio.wrap_future(store.append(events, strict=True))
        except EventConflict as error:
            raise HTTPException(409, str(error)) from error
        metrics.events.labels("accepted").inc(done.accepted)
        metrics.events.labels("duplicate").inc(done.duplicates)
        vocabulary = service.live.served.model.vocabulary
        return Json(
            {
                "accepted": done.accepted,
                "duplicates": done.duplicates,
                "unknown_items": sum(
                    e.query is None and e.item_id not in vocabulary for e in events
                ),
                **({"forgotten": done.forgotten} if done.forgotten else {}),
            }
        )

    return router
