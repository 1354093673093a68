"""Items of the catalog: search, changes, statistics."""

from __future__ import annotations

from typing import Any

from pydantic import (
    ConfigDict,
    Field,
    model_validator,
)

from metarec.app.service.schemas.fields import Attributes, Shape


class Item(Shape):
    """An item and its content."""

    item_id: str
    title: str
    attributes: dict[str, Any]


class Items(Shape):
    """Items found."""

    items: list[Item]


class SimilarItem(Item):
    """An item and its similarity: that of the embeddings and texts, in [-1, 1], or that of the
    items' users.
    """

    similarity: float


class SimilarItems(Shape):
    """Items similar to another, most similar first; without those that the policy excludes for the
    user.
    """

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
        None, description="Whether it is available; unavailable items are never shown."
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
    """The item is stored and can be recommended: here at once, by other workers within a second."""

    item_id: str
    items_version: int
    notes: list[str]


class ItemsAdded(Shape):
    """The items of a feed are stored and can be recommended: here at once, by other workers within
    a second.
    """

    items: int
    items_version: int
    notes: list[str]


class ItemDeleted(Shape):
    """The item is no longer shown; events on it remain training data."""

    item_id: str
    items_version: int


class CountedItem(Item):
    """An item and the number by which it is ranked."""

    number: float = Field(
        description="Positive events (popular), their growth in standard deviations (trending), or "
        "the rank by date from the oldest (newest)."
    )


class RankedItems(Shape):
    """Items in order; without unavailable ones and those that the service's filter excludes."""

    items: list[CountedItem]
    days: float | None
    notes: list[str] = Field(
        [], description="Rules of the policy that could not be checked for these items."
    )


class ItemStatistics(Shape):
    """Statistics of one item."""

    item_id: str
    title: str
    is_available: bool = Field(description="False where it is unavailable and so never shown.")
    is_filtered: bool = Field(description="True where the service's own filter excludes it.")
    is_cold: bool = Field(description="True where it has fewer than 5 training events.")
    training_events: int
    shown: int = Field(description="How many of the slates counted it was shown in.")
    conversions: int = Field(
        description="How many of these were answered by an event of a target kind."
    )


class ItemsStatistics(Shape):
    """Items with their statistics, and totals of the catalog."""

    items: list[ItemStatistics]
    matching: int = Field(description="Items that match the request, on all pages.")
    catalog: int
    unavailable: int
    cold: int
    items_shown: int = Field(description="Different items in the slates counted.")
    cold_exposure: float = Field(
        description="Share of the items shown that were cold, in [0, 1]; an item counts once for "
        "each slate."
    )
    slates: int = Field(description="Slates counted: the latest of the last 14 days.")
    since: float | None = Field(description="Time of the oldest of them, seconds since 1970.")
