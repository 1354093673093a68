"""Items of the catalog: looked up, added, counted."""

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
        description="Acts in its favor (popular), how much more often than before in standard "
        "deviations (trending), or its rank (newest)."
    )


class RankedItems(Shape):
    """Items, the first first; none that cannot be had or that the service's filter leaves out."""

    items: list[CountedItem]
    days: float | None
    notes: list[str] = Field(
        [], description="What of the policy could not be checked of these items for anybody."
    )


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
