"""What is stored of users: events, attributes, friends; merging and forgetting."""

from __future__ import annotations

from typing import Any

from pydantic import (
    ConfigDict,
    Field,
)

from metarec.app.service.schemas.events import StoredEvent
from metarec.app.service.schemas.fields import Attributes, Friend, Friends, Id, Shape


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


class RecentUser(Shape):
    """A user of whom events came lately."""

    user_id: str
    events: int = Field(description="Of them among the latest events of all users.")
    last: float = Field(description="Time of the newest, seconds since 1970.")


class RecentUsers(Shape):
    """Users with events among the latest of all, the newest first."""

    users: list[RecentUser]
