"""What the service takes and gives, as pydantic models with bounds and examples; OpenAPI is made
from these.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from metarec.data.places import location_of

MAX_ID, MAX_HISTORY, MAX_BATCH, MAX_K = 256, 1_000, 1_000, 200
MAX_FRIENDS = 5_000
MAX_OFFSET, MAX_SLATES, MAX_FEED = 2_000, 50, 10_000

_ISO = r"^(19[7-9]|20[01])\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$"
_NO_CONTROL = r"^[^\x00-\x1f\x7f]+$"


def _id_text(given: Any) -> Any:
    """A whole number as text; JSON knows no difference between 5 and 5.0. Larger ones, which not
    every reader of JSON tells apart, are refused and go as text.
    """
    if isinstance(given, float) and given.is_integer() and abs(given) < 2**53:
        given = int(given)
    is_number = isinstance(given, int) and not isinstance(given, bool) and abs(given) < 2**53
    return str(given) if is_number else given


IdText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID, pattern=_NO_CONTROL)]
"""An id in an address or a query, where all is text."""
Id = Annotated[
    IdText,
    BeforeValidator(_id_text),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": MAX_ID,
                    "pattern": _NO_CONTROL,
                },
                {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1},
            ]
        }
    ),
]
"""An id as its owner writes it: 1 to 256 characters without control characters, or a whole number.
"""
Kind = Annotated[
    str,
    StringConstraints(
        min_length=1, max_length=100, strip_whitespace=True, pattern=r"^[^\x00-\x1f\x7f]+$"
    ),
]
"""What was done, in any words; what a model does not know counts as positive."""
Value = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]


def _seconds(given: Any) -> Any:
    """A time written as ISO 8601 has it, as seconds; without a zone it is UTC."""
    if not isinstance(given, str):
        return given
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        return given
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


Seconds = Annotated[
    float,
    Field(
        allow_inf_nan=False,
        ge=0.0,
        le=1e11,
        description="Seconds since 1970, or a time as ISO 8601 has it.",
    ),
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0.0, "maximum": 1e11},
                {"type": "string", "pattern": _ISO},
            ]
        }
    ),
]
_EXACT = 2**53 - 1
"""Whole numbers up to here are told apart by every reader of JSON; one more, and a larger one
rounds to an allowed one.
"""
Scalar = (
    bool
    | Annotated[int, Field(ge=-_EXACT, le=_EXACT)]
    | Annotated[float, Field(allow_inf_nan=False, ge=-_EXACT, le=_EXACT)]
    | Annotated[str, StringConstraints(max_length=10_000)]
    | None
)
Whole = Annotated[
    int,
    BeforeValidator(
        lambda given: int(given) if isinstance(given, float) and given.is_integer() else given
    ),
]
"""A whole number; JSON knows no difference between 5 and 5.0."""
Attributes = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=80)],
        Scalar | Annotated[list[Scalar], Field(max_length=100)],
    ],
    Field(max_length=100, json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": 80}}),
]


class Shape(BaseModel):
    """Unknown fields are refused, so that a misspelled one is noticed, and a text is not taken for
    a number.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


class Location(Shape):
    """A place on the map, in degrees."""

    lat: Annotated[float, Field(json_schema_extra={"minimum": -90, "maximum": 90})]
    lon: Annotated[float, Field(json_schema_extra={"minimum": -180, "maximum": 180})]

    @model_validator(mode="after")
    def _is_somewhere(self) -> Location:
        location_of((self.lat, self.lon))
        return self

    @property
    def degrees(self) -> tuple[float, float]:
        """Latitude and longitude."""
        return self.lat, self.lon


class Friend(Shape):
    """A user whom another knows."""

    friend_id: Id
    weight: float = Field(1.0, gt=0.0, le=1e6, description="How well they know each other.")


Friends = Annotated[list[Id | Friend], Field(max_length=MAX_FRIENDS)]
"""Ids, or ids with weights."""
Query = Annotated[
    str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True, pattern=r"\S")
]
"""What was typed into a search box."""


class HistoryEvent(Shape):
    """One event of a history sent along, not stored."""

    item_id: Id
    value: Value | None = None
    kind: Kind = "event"
    timestamp: Seconds | None = None


class UserInput(Shape):
    """Who asks: a known user, or an anonymous user who sends what they did, or both (sent events
    follow stored ones).
    """

    user_id: Id | None = None
    history: list[Id | HistoryEvent] = Field(
        default_factory=list,
        max_length=MAX_HISTORY,
        description="Oldest first; an item id alone counts as liked.",
    )
    profile: Attributes = Field(default_factory=dict)
    wish: Annotated[str, StringConstraints(max_length=500)] | None = None
    context: Attributes = Field(
        default_factory=dict,
        description="Circumstances of the request, such as hour, weather or device; columns that "
        "the model knows.",
    )
    location: Location | None = Field(
        None,
        description="Where the user is; else where their newest event of the last day happened, "
        "or their home.",
    )
    friends: Friends = Field(
        default_factory=list, description="Whom the user knows, beside those that are stored."
    )
    searches: list[Query] = Field(
        default_factory=list,
        max_length=20,
        description="What the user searched for, oldest first, after the stored searches.",
    )

    @property
    def events(self) -> list[HistoryEvent]:
        """The history, item ids alone as events."""
        return [HistoryEvent(item_id=e) if isinstance(e, str) else e for e in self.history]


class RecommendationRequest(UserInput):
    """A slate for one user."""

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
        description="Places to pass over, for further pages of the same ranking; not with "
        "exploration.",
    )
    basket: list[Id] = Field(
        default_factory=list,
        max_length=100,
        description="Items in the cart: they count as put there just now, and are not shown.",
    )
    fields: list[Annotated[str, StringConstraints(min_length=1, max_length=80)]] = Field(
        default_factory=list,
        max_length=50,
        description="Columns of the items to give with each, such as price and image.",
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
        description="Only items so near to `location`, or to the user's home.",
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
        description="At most so many items of a category.",
        json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": 80}},
    )
    diversity: float = Field(
        0.0, ge=0.0, le=1.0, description="0 keeps the ranking; towards 1, items differ more."
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
    explain: bool = Field(default=False, description="Give a short reason with each item.")


class ShownItem(Shape):
    """One place of a slate."""

    item_id: str
    title: str
    score: float
    uncertainty: float | None
    predicted: float | None = Field(
        description="Predicted value on the data's scale; null where values are no ratings."
    )
    interval: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        description="Ends of the interval that should hold the true value in 9 of 10 cases; null "
        "where values are no ratings."
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
    shots: int = Field(description="Events of the user the slate was made from.")
    items: list[ShownItem]
    notes: list[str]
    without_store: bool = Field(
        description="True where the store is away: the slate is made from what was sent along, as "
        "for an anonymous user."
    )
    arm: str | None = Field(
        description="The user's arm of the experiment that runs; null outside of it."
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
    """A slate for each request, in their order."""

    slates: list[Recommendations]


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


class StoredEvent(Shape):
    """An event as stored."""

    event_id: str
    item_id: str | None = Field(description="Null for a search.")
    query: str | None = Field(description="What was searched for.")
    kind: str
    value: float | None
    timestamp: float
    title: str | None


class User(Shape):
    """What the store holds of a user."""

    user_id: str
    profile: dict[str, Any]
    events: list[StoredEvent] = Field(description="The latest, oldest first.")
    friends: int = Field(description="How many friends are kept; see /v1/users/{user_id}/friends.")
    slates: int = Field(description="How many slates shown to them are kept.")
    experiments: dict[str, str] = Field(description="A/B experiment -> the arm they saw.")


class Profile(Shape):
    """Attributes of a user; they replace those given before."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"profile": {"age": 31, "gender": "F"}}]}
    )

    profile: Attributes


class FriendsOfUser(Shape):
    """Whom a user knows; they replace those given before."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"friends": ["u7", {"friend_id": "u9", "weight": 3}]}]}
    )

    friends: Friends


class FriendsKept(Shape):
    """The friends that are kept of a user."""

    user_id: str
    friends: list[Friend]


class MergeInto(Shape):
    """Whom a user became."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"into": "customer-17"}]})

    into: Id


class UserMerged(Shape):
    """What one user gave another: events, slates, friends, attributes that the other lacked."""

    user_id: str = Field(description="Whose it all is now.")
    events: int = Field(description="Events given, searches among them.")
    copies: int = Field(description="Events that the other had already; deleted.")
    forgotten: int = Field(
        description="Events from before the other asked to be forgotten; deleted."
    )
    slates: int
    friends: int


class ContextColumn(Shape):
    """A circumstance that the model reads."""

    name: str
    values: list[str] = Field(description="Its values; of a number, some from small to large.")
    is_number: bool


class NamedPlace(Shape):
    """A place, by the item that stands there."""

    title: str
    lat: float
    lon: float


class Circumstances(Shape):
    """What, beside events and attributes, changes a slate of the serving model."""

    friends: bool
    searches: bool
    location: bool
    context: list[ContextColumn]
    places: list[NamedPlace] = Field(description="Some places far from each other.")
    model_version: str


class PlaceLookedAt(Shape):
    """A place where a forgotten user may be found."""

    place: str
    removed: int = Field(description="Rows removed there.")
    still_holds: str = Field(
        description="What of the user is, or may be, still there, and what to do; empty where "
        "nothing is."
    )


class Forgotten(Shape):
    """Receipt of a user's deletion."""

    receipt_id: str
    timestamp: float = Field(description="What is older is never stored again; seconds since 1970.")
    rows_deleted: dict[str, int]
    bytes_erased: bool = Field(
        description="Whether not even deleted rows can be read from the store's files."
    )
    in_model: str
    places: list[PlaceLookedAt] = Field(
        description="Every place that was looked at, or is known and cannot be looked at."
    )


class ExplanationRequest(UserInput):
    """Why does this item stand where it stands for this user?"""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"history": [{"item_id": "50", "value": 5}], "item_id": "181"}]
        }
    )

    item_id: Id
    k: Whole = Field(
        10, ge=1, le=MAX_K, description="Length of the slate that 'without these events' speaks of."
    )


class Item(Shape):
    """An item and its content."""

    item_id: str
    title: str
    attributes: dict[str, Any]


class Items(Shape):
    """Items found."""

    items: list[Item]


class SimilarItem(Item):
    """An item and how like it is, in [-1, 1]: by who takes to it and, where there are texts, by
    what they say.
    """

    similarity: float


class SimilarItems(Shape):
    """Items like another, the most alike first; none that the policy keeps from the user."""

    items: list[SimilarItem]
    notes: list[str]


class ItemContent(Shape):
    """Content of an item: any of the catalog's columns, such as title, text, tags, year."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "attributes": {
                        "title": "Solaris (1972)",
                        "text": "A psychologist visits a station above a thinking ocean.",
                        "year": 1972,
                    }
                }
            ]
        }
    )

    attributes: Attributes = Field(default_factory=dict)
    available: bool | None = Field(
        None, description="Whether it can be had; what cannot is shown nowhere."
    )

    @model_validator(mode="after")
    def _says_something(self) -> ItemContent:
        if not self.attributes and self.available is None:
            raise ValueError("name attributes, or say available")
        return self

    @property
    def content(self) -> dict[str, Any]:
        """All of it as attributes."""
        return self.attributes | ({} if self.available is None else {"available": self.available})


class ItemAdded(Shape):
    """The item is stored and recommendable here; elsewhere within a second."""

    item_id: str
    items_version: int
    notes: list[str]


class ItemsAdded(Shape):
    """The items of a feed are stored and recommendable here; elsewhere within a second."""

    items: int
    items_version: int
    notes: list[str]


class ItemDeleted(Shape):
    """The item is shown no more; what users did with it still teaches."""

    item_id: str
    items_version: int


class CountedItem(Item):
    """An item and what it is ranked by."""

    number: float = Field(
        description="Acts in its favour (popular), how much more often than before in standard "
        "deviations (trending), or its place (newest)."
    )


class RankedItems(Shape):
    """Items, the first first; none that cannot be had or that the service's filter leaves out."""

    items: list[CountedItem]
    days: float | None


class Question(Item):
    """An item to ask a new user about."""

    worth: float = Field(
        description="Expected share of what we do not know about the user that asking takes "
        "away, in [0, 1]."
    )


class Questions(Shape):
    """What to ask, the most useful first; nothing that the policy keeps from the user."""

    items: list[Question]
    notes: list[str]
    model_version: str


class Model(Shape):
    """A model of the registry."""

    version: str
    is_current: bool
    problem: str | None = Field(description="Why it cannot be loaded, if it cannot.")
    facts: dict[str, Any] = Field(description="Settings and facts saved with it.")
    decision: dict[str, Any] = Field(
        description="What was measured before it was promoted or refused."
    )


class Models(Shape):
    """All models, the first one first, and every change of the one that serves."""

    models: list[Model]
    promotions: list[dict[str, Any]]
    problems: list[str] = Field(
        description="What of the models' folder cannot be read and was passed over, in sentences."
    )
    value_range: Annotated[list[float], Field(min_length=2, max_length=2)] | None = Field(
        description="Lowest and highest rating the serving model was trained on; null where "
        "values are no ratings."
    )


class PromotionReason(Shape):
    """Why, in a few words; kept with the promotion."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"reason": "back to the one before: complaints since this morning"}]
        }
    )

    reason: Annotated[str, StringConstraints(max_length=500)] = "asked over HTTP"


class Promoted(Shape):
    """The version that serves now and the one before; all workers follow within seconds."""

    current: str
    before: str


class Problem(Shape):
    """What was wrong and the way out."""

    error: str


class Health(Shape):
    """Well."""

    status: str


class Readiness(Shape):
    """Whether a model serves and the store answers; a full disk shows only when something is
    written.
    """

    status: str
    model_version: str
    items: int


class DayOfSlates(Shape):
    """Slates of 24 hours, and how many of them were answered."""

    until: float = Field(description="When the day ends, seconds since 1970.")
    slates: int
    clicked: int = Field(description="Slates with a positive answer.")
    converted: int = Field(description="Slates answered by a kind that recommendations are for.")


class RecentUser(Shape):
    """A user of whom events came lately."""

    user_id: str
    events: int = Field(description="Of them among the latest events of all users.")
    last: float = Field(description="Time of the newest, seconds since 1970.")


class RecentUsers(Shape):
    """Users with events among the latest of all, the newest first."""

    users: list[RecentUser]


class SettingInEffect(Shape):
    """One setting of the running service."""

    name: str
    value: Any = Field(description="Of keys how many there are of each role; of URLs no password.")
    is_default: bool


class SettingsInEffect(Shape):
    """What the service runs with: defaults, file, environment and flags taken together."""

    settings: list[SettingInEffect]


class RaisedAlert(Shape):
    """A signal beyond the mark that the settings give it."""

    name: str = Field(description="Which signal; the label of the metric `metarec_alert`.")
    sentence: str
    value: float
    mark: float
    since: float = Field(description="When this worker saw it first, seconds since 1970.")


class BackgroundJob(Shape):
    """A retraining, an import or slates for all users, whoever started it."""

    job_id: str
    kind: Literal["retraining", "import", "batch"]
    state: Literal["running", "done", "skipped", "failed", "lost"] = Field(
        description="skipped: there was nothing to do; lost: its process has gone."
    )
    started: float = Field(description="Seconds since 1970.")
    ended: float | None
    stage: str = Field(description="What is being done.")
    done: float = Field(description="Share of the stage that is done, in [0, 1].")
    outcome: str = Field(description="What came of it.")
    lines: list[str] = Field(description="The last lines of its log.")


class BackgroundJobs(Shape):
    """The latest, the newest first."""

    jobs: list[BackgroundJob]


class JobToStart(Shape):
    """What to do in the background."""

    kind: Literal["retraining"] = "retraining"


class JobStarted(Shape):
    """It runs in a process of its own; GET /v1/jobs tells how far it is."""

    kind: Literal["retraining"]


class ItemStatistics(Shape):
    """One item as its operator looks at it."""

    item_id: str
    title: str
    is_available: bool = Field(description="False where it cannot be had, so nobody is shown it.")
    is_filtered: bool = Field(description="True where the service's own filter leaves it out.")
    is_cold: bool = Field(description="True where it has fewer than 5 training events.")
    training_events: int
    shown: int = Field(description="Places it held in the slates counted.")
    taken: int = Field(description="How many of these were answered as recommendations should be.")


class ItemsStatistics(Shape):
    """Items with what is in stock, new and shown."""

    items: list[ItemStatistics]
    matching: int = Field(description="Items that the question is about, on all pages.")
    catalog: int
    unavailable: int
    cold: int
    items_shown: int = Field(description="Different items in the slates counted.")
    cold_places: float = Field(description="Share of all places that cold items held, in [0, 1].")
    slates: int = Field(description="Slates counted: the latest of the last 14 days.")
    since: float | None = Field(description="Time of the oldest of them, seconds since 1970.")


class Status(Shape):
    """What an operator looks at."""

    model_version: str
    items: int
    items_version: int
    started: float = Field(description="When this worker started, seconds since 1970.")
    rows: dict[str, int] = Field(description="Rows in each table of the store.")
    events_last_minute: int
    events_by_minute: list[int] = Field(
        description="Events of each of the last 60 minutes, oldest first."
    )
    rows_waiting: int = Field(description="Rows queued to be written by this worker.")
    drift: dict[str, float] | None = Field(
        description="How recent events differ from those trained on, measured on the latest; "
        "null before both are there."
    )
    drift_marks: dict[str, float] = Field(
        description="Values from which signals of drift count; 0 where one never does."
    )
    alerts: list[RaisedAlert] = Field(description="Signals beyond their marks, see the settings.")
    retraining_advised: list[str] = Field(description="Reasons to retrain, in sentences.")
    outcomes: dict[str, float] = Field(
        description="Slates shown over the last day, and the share with something liked among "
        "the latest of them, `slates_measured`."
    )
    days: list[DayOfSlates] = Field(description="Of the last 14 days, the oldest first.")
    reports: list[str] = Field(description="Names for `GET /v1/reports/{name}`.")
