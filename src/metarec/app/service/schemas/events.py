"""Events that are sent, and the answer on what was stored."""

from __future__ import annotations

from typing import Any

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from metarec.app.service.schemas.fields import (
    MAX_BATCH,
    Attributes,
    Id,
    Kind,
    Location,
    Query,
    Seconds,
    Shape,
    Value,
    offset_of,
)
from metarec.data.events.times import HOURS_FROM_UTC


class NewEvent(Shape):
    """One act of a user on an item, or a search: a `query` instead of an item."""

    event_id: Id | None = Field(
        None,
        description="Your own id, unique for each user. An id sent again is stored once, and "
        "refused (409) with another content. Generated where not given.",
    )
    user_id: Id
    item_id: Id | None = Field(None, description="Required, except for a search.")
    query: Query | None = Field(None, description="The search query of an event of kind `search`.")
    kind: Kind = Field(
        "event",
        description="rating, like, dislike, view, purchase, ..., search, or undo, which takes back "
        "all earlier events on the item.",
    )
    value: Value | None = None
    timestamp: Seconds | None = Field(None, description="Seconds since 1970; now where not given.")
    slate_id: Id | None = Field(None, description="The slate in which the item was shown.")
    context: Attributes = Field(
        default_factory=dict, description="Circumstances of the event: hour, weather, device, ..."
    )
    location: Location | None = Field(None, description="Where it happened.")

    @model_validator(mode="before")
    @classmethod
    def _keep_offset(cls, event: Any) -> Any:
        """Keep the offset from UTC that a time states among the circumstances: hour and weekday are
        those of the place, in data and here.
        """
        if not isinstance(event, dict) or not isinstance(event.get("timestamp"), str):
            return event
        context, hours = event.get("context") or {}, offset_of(event["timestamp"])
        if hours is None or not isinstance(context, dict) or HOURS_FROM_UTC in context:
            return event
        return {**event, "context": {**context, HOURS_FROM_UTC: hours}}

    @model_validator(mode="after")
    def _is_about_something(self) -> NewEvent:
        if (self.item_id is None) == (self.query is None):
            raise ValueError("an event needs an item_id, or, of kind search, a query")
        return self


class EventBatch(Shape):
    """Events to store."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {"event_id": "a1", "user_id": "u1", "item_id": "50", "kind": "like"},
                        {
                            "event_id": "a2",
                            "user_id": "u1",
                            "item_id": "181",
                            "kind": "rating",
                            "value": 4,
                            "context": {"device": "phone"},
                            "location": {"lat": 52.5, "lon": 13.4},
                        },
                        {"user_id": "u1", "kind": "search", "query": "slow science fiction"},
                    ]
                }
            ]
        }
    )

    events: list[NewEvent] = Field(min_length=1, max_length=MAX_BATCH)


class EventsStored(Shape):
    """The events are on disk."""

    accepted: int
    duplicates: int = Field(description="Events whose id was stored before; not stored again.")
    unknown_items: int = Field(
        description="Events on items that are not in the catalog; stored, but without effect until "
        "the item is added."
    )
    forgotten: int = Field(
        0, description="Events from before their user asked to be forgotten; not stored."
    )
    unknown_kinds: int = Field(
        0,
        description="Events of kinds that the model's table of kinds does not have; stored, and "
        "counted as positive. `notes` names the kinds.",
    )
    unknown_slates: int = Field(
        0,
        description="New events whose `slate_id` is that of no stored slate; stored, but not "
        "counted as an answer to a slate.",
    )
    notes: list[str] = Field(
        [],
        description="A sentence on each unknown kind, and one on ratings outside the scale of the "
        "training data, which count as its nearer end.",
    )


class StoredEvent(Shape):
    """An event as it is stored."""

    event_id: str
    item_id: str | None = Field(description="Null for a search.")
    query: str | None = Field(description="The search query.")
    kind: str
    value: float | None
    timestamp: float
    title: str | None
