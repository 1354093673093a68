"""Events that come in, and what was stored of them."""

from __future__ import annotations

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
)


class NewEvent(Shape):
    """One act of a user on an item, or a search: a `query` in place of an item."""

    event_id: Id | None = Field(
        None,
        description="Chosen by you, for each user anew; the same id sent again is stored once, and "
        "refused (409) where it is about something else. Made up where not given.",
    )
    user_id: Id
    item_id: Id | None = Field(None, description="Left out of a search, needed otherwise.")
    query: Query | None = Field(
        None, description="What was searched for, of an event of kind `search`."
    )
    kind: Kind = Field(
        "event",
        description="rating, like, dislike, view, purchase, ..., or undo, which takes back all "
        "said of the item, or search.",
    )
    value: Value | None = None
    timestamp: Seconds | None = Field(None, description="Seconds since 1970; now where not given.")
    slate_id: Id | None = Field(None, description="The slate in which the item was shown.")
    context: Attributes = Field(
        default_factory=dict, description="Circumstances of the event: hour, weather, device, ..."
    )
    location: Location | None = Field(None, description="Where it happened.")

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
    duplicates: int = Field(description="Events whose id was stored before; left as they were.")
    unknown_items: int = Field(
        description="Events on items that are not in the catalog; stored, but of no use until the "
        "item is added."
    )
    forgotten: int = Field(
        0, description="Events from before their user asked to be forgotten; not stored."
    )
    unknown_kinds: int = Field(
        0,
        description="Events of kinds that the model's table of kinds does not have; stored, and "
        "positive for the model. `notes` names the kinds.",
    )
    unknown_slates: int = Field(
        0,
        description="New events whose `slate_id` names no slate that is kept; stored, but they "
        "answer no slate.",
    )
    notes: list[str] = Field(
        [],
        description="A sentence on each kind that is not known, and one on ratings off the scale "
        "that the model learned from, whose nearer end they count as.",
    )


class StoredEvent(Shape):
    """An event as stored."""

    event_id: str
    item_id: str | None = Field(description="Null for a search.")
    query: str | None = Field(description="What was searched for.")
    kind: str
    value: float | None
    timestamp: float
    title: str | None
