"""Data stored of users: events, attributes, friends; merging and forgetting."""

from __future__ import annotations

from typing import Any

from pydantic import (
    ConfigDict,
    Field,
)

from metarec.app.service.schemas.events import StoredEvent
from metarec.app.service.schemas.fields import Attributes, Friend, Friends, Id, Shape


class User(Shape):
    """Everything that the store has of a user."""

    user_id: str
    profile: dict[str, Any]
    events: list[StoredEvent] = Field(description="The latest events, oldest first.")
    friends: int = Field(description="Number of friends; see /v1/users/{user_id}/friends.")
    slates: int = Field(description="Number of stored slates shown to the user.")
    experiments: dict[str, str] = Field(description="A/B experiment -> arm that the user saw.")


class Profile(Shape):
    """Attributes of a user; they replace those set before."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"profile": {"age": 31, "gender": "F"}}]}
    )

    profile: Attributes


class FriendsOfUser(Shape):
    """Friends of a user; they replace those set before."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"friends": ["u7", {"friend_id": "u9", "weight": 3}]}]}
    )

    friends: Friends


class FriendsKept(Shape):
    """The stored friends of a user."""

    user_id: str
    friends: list[Friend]


class MergeInto(Shape):
    """The user id that takes over the data."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"into": "customer-17"}]})

    into: Id


class UserMerged(Shape):
    """Data that one user took over from another: events, slates, friends, missing attributes."""

    user_id: str = Field(description="The user who has the data now.")
    events: int = Field(description="Events taken over, searches included.")
    copies: int = Field(description="Events that this user had already; deleted.")
    forgotten: int = Field(
        description="Events from before this user asked to be forgotten; deleted."
    )
    slates: int
    friends: int


class PlaceLookedAt(Shape):
    """A place that may have data of a forgotten user."""

    place: str
    removed: int = Field(description="Rows removed there.")
    still_holds: str = Field(
        description="Data of the user that are, or may be, left there, and what to do; empty "
        "where nothing is left."
    )


class Forgotten(Shape):
    """Receipt of a user's deletion."""

    receipt_id: str
    timestamp: float = Field(
        description="Seconds since 1970; older events of the user are never stored again."
    )
    rows_deleted: dict[str, int]
    bytes_erased: bool = Field(
        description="Whether the deleted rows are erased from the store's files too."
    )
    in_model: str
    digests: list[str] = Field(
        description="Keyed digests of the user's ids, for `metarec store forget-again`."
    )
    places: list[PlaceLookedAt] = Field(
        description="Every place that was searched, or is known and cannot be searched."
    )


class RecentUser(Shape):
    """A user with events among the latest ones."""

    user_id: str
    events: int = Field(description="Number of their events among the latest of all users.")
    last: float = Field(description="Time of their newest event, seconds since 1970.")


class RecentUsers(Shape):
    """Users with events among the latest of all users, newest first."""

    users: list[RecentUser]
