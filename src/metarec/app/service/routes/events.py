"""Route for events as they happen."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from fastapi import HTTPException

from metarec.app.service import schemas
from metarec.app.service.conversion.events import as_events, unknown_kinds
from metarec.app.service.http.addresses import IdRoute
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.routes.base import Routes, route
from metarec.data.kinds import Kinds
from metarec.feedback.events import EventConflict


class EventRoutes(Routes):
    """Events as they happen."""

    route_class = IdRoute

    @route("POST", "/v1/events", "write", **answers(schemas.EventsStored, 409, 503))
    async def append(self, body: schemas.EventBatch) -> Json:
        """Store events; 200 means they are on disk."""
        kinds = self.live.served.scale.kinds
        events = as_events(
            body,
            kinds,
            now=time.time(),
            future_seconds=self.service.settings.future_seconds,
        )
        try:
            done = await asyncio.wrap_future(self.store.append(events, strict=True))
        except EventConflict as error:
            raise HTTPException(409, str(error)) from error
        counted = self.service.metrics.events
        counted.labels("accepted").inc(done.accepted)
        counted.labels("duplicate").inc(done.duplicates)
        vocabulary = self.live.served.model.vocabulary
        return Json(
            {
                "accepted": done.accepted,
                "duplicates": done.duplicates,
                "unknown_items": sum(
                    e.query is None and e.item_id not in vocabulary for e in events
                ),
                **({"forgotten": done.forgotten} if done.forgotten else {}),
                **_of_unknown_kinds([e.kind for e in events], kinds),
            }
        )


def _of_unknown_kinds(named: list[str], kinds: Kinds) -> dict[str, Any]:
    """How many events are of kinds that are not known, and which; nothing where none are."""
    notes = unknown_kinds(named, kinds)
    if not notes:
        return {}
    return {"unknown_kinds": sum(not kinds.known(kind) for kind in named), "notes": notes}
