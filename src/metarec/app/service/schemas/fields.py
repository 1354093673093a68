"""Fields that schemas share, with their bounds: ids, kinds, times, attributes, locations,
friends.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from metarec.data.arguments import MAX_ID, MAX_SECONDS
from metarec.data.places import location_of
from metarec.data.sources.values.time_zones import MAX_OFFSET as MAX_HOURS

MAX_HISTORY, MAX_BATCH, MAX_K = 1_000, 1_000, 200
MAX_FRIENDS = 5_000
MAX_OFFSET, MAX_SLATES, MAX_FEED = 2_000, 50, 10_000

_ISO = r"^(19[7-9]|20[01])\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ$"
NO_CONTROL = r"^[^\x00-\x1f\x7f]+$"
_NOT_BLANK = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"


def _id_text(value: Any) -> Any:
    """Convert a whole number to text; JSON does not distinguish 5 and 5.0. Numbers from 2**53 are
    refused, because not every JSON reader keeps them apart; they can be sent as text.
    """
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53
    return str(value) if is_number else value


def _not_blank(text: str) -> str:
    """Refuse a blank id, which is one that the sender has lost."""
    if not text.strip():
        raise ValueError("is blank; send the id of who or what is meant")
    return text


_TEXT = {"type": "string", "minLength": 1, "maxLength": MAX_ID, "pattern": _NOT_BLANK}
IdText = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ID, pattern=NO_CONTROL)]
"""An id in an address or a query, where every value is text. It may be blank: data that earlier
versions stored under such ids can be read and forgotten.
"""
NewIdText = Annotated[IdText, AfterValidator(_not_blank), WithJsonSchema(_TEXT)]
"""An id in an address under which data are stored."""
Id = Annotated[
    IdText,
    BeforeValidator(_id_text),
    AfterValidator(_not_blank),
    WithJsonSchema(
        {"anyOf": [_TEXT, {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}]}
    ),
]
"""An id as its owner writes it: 1 to 256 characters without control characters, not all of them
blanks, or a whole number.
"""
Kind = Annotated[
    str,
    StringConstraints(min_length=1, max_length=100, strip_whitespace=True, pattern=NO_CONTROL),
]
"""Kind of an event, in any words; an unknown one counts as positive."""
Value = Annotated[float, Field(allow_inf_nan=False, ge=-1e9, le=1e9)]


def _seconds(moment_sent: Any) -> Any:
    """Convert an ISO 8601 time to seconds; without a zone it is UTC. Milliseconds are refused; they
    are recognized by their size.
    """
    if isinstance(moment_sent, int | float) and MAX_SECONDS < moment_sent < 1_000 * MAX_SECONDS:
        raise ValueError(f"{moment_sent:.0f} is in milliseconds; send seconds since 1970 in UTC")
    if not isinstance(moment_sent, str):
        return moment_sent
    try:
        moment = datetime.fromisoformat(moment_sent)
    except ValueError:
        return moment_sent
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def offset_of(time: str) -> float | None:
    """Return the offset from UTC in hours that an ISO 8601 time states; None where it states none
    that a place has.
    """
    try:
        offset = datetime.fromisoformat(time).utcoffset()
    except ValueError:
        return None
    hours = None if offset is None else offset.total_seconds() / 3600.0
    return None if hours is None or abs(hours) > MAX_HOURS else hours


Seconds = Annotated[
    float,
    Field(
        allow_inf_nan=False,
        ge=0.0,
        le=MAX_SECONDS,
        description="Seconds since 1970, or an ISO 8601 time.",
    ),
    BeforeValidator(_seconds),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0.0, "maximum": MAX_SECONDS},
                {"type": "string", "pattern": _ISO},
            ]
        }
    ),
]
_EXACT = 2**53 - 1
"""Largest whole number that every JSON reader keeps apart from the next one."""
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
"""A whole number; JSON does not distinguish 5 and 5.0."""
Attributes = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=80)],
        Scalar | Annotated[list[Scalar], Field(max_length=100)],
    ],
    Field(max_length=100, json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": 80}}),
]


class Shape(BaseModel):
    """Base of all schemas. Unknown fields are refused, so that a misspelled one is noticed, and
    text is not converted to a number.
    """

    model_config = ConfigDict(extra="forbid", strict=True)


class Location(Shape):
    """A location, in degrees."""

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
    """A friend of a user."""

    friend_id: Id
    weight: float = Field(1.0, gt=0.0, le=1e6, description="Strength of the relation.")


Friends = Annotated[list[Id | Friend], Field(max_length=MAX_FRIENDS)]
"""Ids, or ids with weights."""
Query = Annotated[
    str, StringConstraints(min_length=1, max_length=500, strip_whitespace=True, pattern=r"\S")
]
"""A search query."""
