"""Route for new events."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

from fastapi import HTTPException

from metarec.app.service import schemas
from metarec.app.service.conversion.events import as_events, unknown_kinds
from metarec.app.service.http.addresses import IdRoute
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.routes.base import Routes, route
from metarec.data.schema import Vocabulary
from metarec.data.unicode_forms import form_notes
from metarec.feedback.events import Event, EventConflict
from metarec.feedback.outcomes import ValueScale
from metarec.recommendation.notes import scale_notes


class EventRoutes(Routes):
    """The route for new events."""

    route_class = IdRoute

    @route("POST", "/v1/events", "write", **answers(schemas.EventsStored, 409, 503))
    async def append(self, body: schemas.EventBatch) -> Json:
        """Store events; 200 means they are on disk."""
        scale = self.live.served.scale
        events = as_events(
            body,
            scale.kinds,
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
                **({"unknown_slates": done.unknown_slates} if done.unknown_slates else {}),
                **_odd(events, scale, vocabulary),
            }
        )


def _odd(events: Sequence[Event], scale: ValueScale, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the number of events of unknown kinds, and a sentence on each such kind, on ratings
    off the scale and on an item known in another Unicode form; empty where there are none.
    """
    kinds, named = scale.kinds, [event.kind for event in events]
    n_unknown = sum(not kinds.known(kind) for kind in named)
    notes = [
        *unknown_kinds(named, kinds),
        *scale_notes(sum(map(scale.is_off, events)), scale.low, scale.high),
        *form_notes((event.item_id for event in events), vocabulary),
    ]
    return {
        **({"unknown_kinds": n_unknown} if n_unknown else {}),
        **({"notes": notes} if notes else {}),
    }
