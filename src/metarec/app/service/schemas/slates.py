"""Users who ask, and the answers to them: slates, explanations, questions to new users."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    ConfigDict,
    Field,
    StringConstraints,
)

from metarec.app.service.schemas.fields import (
    MAX_HISTORY,
    MAX_K,
    MAX_OFFSET,
    MAX_SLATES,
    Attributes,
    Friends,
    Id,
    Kind,
    Location,
    Query,
    Seconds,
    Shape,
    Value,
    Whole,
)
from metarec.app.service.schemas.items import Item


class HistoryEvent(Shape):
    """One event of a history that is sent along and not stored."""

    item_id: Id
    value: Value | None = None
    kind: Kind = "event"
    timestamp: Seconds | None = None


class UserInput(Shape):
    """The user of a request: a known one, an anonymous one who sends a history, or both (sent
    events follow stored ones).
    """

    user_id: Id | None = None
    history: list[Id | HistoryEvent] = Field(
        default_factory=list,
        max_length=MAX_HISTORY,
        description="Events, oldest first; an item id alone counts as liked.",
    )
    profile: Attributes = Field(default_factory=dict)
    wish: Annotated[str, StringConstraints(max_length=500)] | None = None
    context: Attributes = Field(
        default_factory=dict,
        description="Circumstances of the request, such as hour, weather or device, by columns "
        "that the model knows.",
    )
    location: Location | None = Field(
        None,
        description="Location of the user. Where not given: that of their newest event of the last "
        "day, else their home.",
    )
    friends: Friends = Field(
        default_factory=list, description="Friends of the user, in addition to the stored ones."
    )
    searches: list[Query] = Field(
        default_factory=list,
        max_length=20,
        description="Search queries of the user, oldest first; they follow the stored ones.",
    )

    @property
    def events(self) -> list[HistoryEvent]:
        """The history, with item ids alone as events."""
        return [HistoryEvent(item_id=e) if isinstance(e, str) else e for e in self.history]


class RecommendationRequest(UserInput):
    """A request for a slate for one user."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "history": [{"item_id": "50", "value": 5}, {"item_id": "181", "value": 4}],
                    "profile": {"age": 31, "gender": "F"},
                    "k": 5,
                },
                {
                    "user_id": "u1",
                    "wish": "slow science fiction, no gore",
                    "k": 10,
                    "explain": True,
                },
                {
                    "location": {"lat": 52.5, "lon": 13.4},
                    "within_km": 5,
                    "context": {"hour": 22, "weather": "rain"},
                    "friends": ["u7", {"friend_id": "u9", "weight": 3}],
                    "searches": ["trekking poles"],
                },
            ]
        }
    )

    k: Whole = Field(10, ge=1, le=MAX_K, description="Length of the slate.")
    offset: Whole = Field(
        0,
        ge=0,
        le=MAX_OFFSET,
        description="Ranks to skip, for further pages of the same ranking; not with exploration.",
    )
    basket: list[Id] = Field(
        default_factory=list,
        max_length=100,
        description="Items in the cart: they count as just added to it, and are not shown.",
    )
    fields: list[Annotated[str, StringConstraints(min_length=1, max_length=80)]] = Field(
        default_factory=list,
        max_length=50,
        description="Columns of the items to return with each, such as price and image.",
    )
    exclude: list[Id] = Field(
        default_factory=list, max_length=10_000, description="Item ids never to show."
    )
    allow: list[Id] | None = Field(
        None, max_length=10_000, description="If given, only these item ids may be shown."
    )
    filter: Annotated[str, StringConstraints(max_length=2_000)] | None = Field(
        None,
        description='An expression over the catalog, such as `genre = "Sci-Fi" and year > 1990`.',
    )
    within_km: float | None = Field(
        None,
        gt=0.0,
        le=50_000.0,
        description="Only items within this distance of `location`, or of the user's home.",
    )
    pin: list[Id] = Field(
        default_factory=list, max_length=MAX_K, description="Item ids put first, in this order."
    )
    quota: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=80)],
        Annotated[Whole, Field(ge=0, le=MAX_K)],
    ] = Field(
        default_factory=dict,
        max_length=50,
        description="Category -> largest number of its items.",
        json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": 80}},
    )
    diversity: float = Field(
        0.0, ge=0.0, le=1.0, description="0 keeps the ranking; items differ more towards 1."
    )
    explore: float | None = Field(
        None,
        ge=0.0,
        le=10.0,
        description="Strength of exploration; the service's own where not given.",
    )
    cold_share: float | None = Field(
        None,
        ge=0.0,
        le=0.5,
        description="Share of places reserved for items with few or no events; the service's own "
        "where not given.",
    )
    explain: bool = Field(default=False, description="Return short reasons with each item.")


class ShownItem(Shape):
    """One place of a slate."""

    item_id: str
    title: str
    score: float
    uncertainty: float | None
    predicted: float | None = Field(
        description="Predicted value on the data's scale; null where values are not ratings."
    )
    interval: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        description="Ends of the interval that contains the true value in 9 of 10 cases; null "
        "where values are not ratings."
    )
    propensity: float
    reasons: list[str] | None = None
    attributes: dict[str, Any] | None = Field(
        None, description="The columns asked for with `fields`."
    )


class Recommendations(Shape):
    """A slate, best first."""

    slate_id: str
    model_version: str
    n_known: int = Field(
        description="Number of items on which the user acted that the slate is based on; events on "
        "one item count once."
    )
    items: list[ShownItem]
    notes: list[str]
    without_store: bool = Field(
        description="True where the store is unavailable: the slate is based on the request alone, "
        "as for an anonymous user."
    )
    arm: str | None = Field(
        description="The user's arm in the running experiment; null outside of it."
    )


class RecommendationBatch(Shape):
    """Slates for several users at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"requests": [{"user_id": "u1", "k": 5}, {"history": ["50"], "k": 5}]}]
        }
    )

    requests: list[RecommendationRequest] = Field(min_length=1, max_length=MAX_SLATES)


class SlateBatch(Shape):
    """A slate for each request, in the same order."""

    slates: list[Recommendations]


class ContextColumn(Shape):
    """A context column that the model reads."""

    name: str
    values: list[str] = Field(description="Its values; for numbers some of them, in order.")
    is_number: bool


class NamedPlace(Shape):
    """A location, with the title of an item there."""

    title: str
    lat: float
    lon: float


class PolicyAttribute(Shape):
    """An attribute of users that the policy asks for."""

    name: str
    values: list[str] = Field(description="Values that exclude items, the most frequent first.")


class Circumstances(Shape):
    """Inputs that the served model takes beside events, and attributes that its policy asks for."""

    friends: bool
    searches: bool
    location: bool
    context: list[ContextColumn]
    places: list[NamedPlace] = Field(description="Some locations far from each other.")
    policy: list[PolicyAttribute] = Field(
        description="Attributes of users without which the policy cannot be checked in full."
    )
    model_version: str


class ExplanationRequest(UserInput):
    """A request to explain the rank of an item for a user."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"history": [{"item_id": "50", "value": 5}], "item_id": "181"}]
        }
    )

    item_id: Id
    k: Whole = Field(
        10, ge=1, le=MAX_K, description="Length of the slate for 'without these events'."
    )


class Question(Item):
    """An item to ask a new user about."""

    uncertainty_reduction: float = Field(
        description="Expected share of the uncertainty about the user that the answer removes, "
        "in [0, 1]."
    )


class Questions(Shape):
    """Items to ask about, the most useful first; without those that the policy excludes for the
    user.
    """

    items: list[Question]
    notes: list[str]
    model_version: str
