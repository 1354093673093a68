"""Routes for items: search, show, add, change, delete, and similar ones."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import HTTPException, Path, Query, Request

from metarec.app.items import items_frame
from metarec.app.service import schemas
from metarec.app.service.conversion.feed import read_feed
from metarec.app.service.conversion.requests import request_of, stated_user
from metarec.app.service.http.addresses import IdRoute
from metarec.app.service.http.answers import Json, answers
from metarec.app.service.routes.base import Routes, route
from metarec.app.service.scoring.likeness import Likeness
from metarec.app.service.scoring.live_model import Served
from metarec.data.unicode_forms import form_notes

ItemId = Annotated[schemas.IdText, Path(description="The item's id; write a `/` in it as %2F.")]
NewId = Annotated[schemas.NewIdText, Path(description="The item's id; write a `/` in it as %2F.")]
ForUser = Annotated[
    schemas.IdText | None, Query(description="The user they are for, with their stored data.")
]
Stated = Annotated[
    list[Annotated[str, Query(max_length=300)]],
    Query(max_length=50, description="An attribute of the user, as NAME=VALUE; may be repeated."),
]
Offset = Annotated[int, Query(ge=0, le=100_000, description="Number of items to skip.")]
Fields = Annotated[
    str, Query(max_length=2_000, description="Columns of the items to return, as price,image.")
]
Most = Annotated[int, Query(ge=1, le=100, alias="k", description="Largest number of items.")]


class CatalogRoutes(Routes):
    """Items: search, show, add, change, delete, and similar ones."""

    tags = ("items",)
    route_class = IdRoute

    @route("GET", "/v1/items", "read", **answers(schemas.Items))
    async def search(
        self,
        q: Annotated[str, Query(max_length=200)] = "",
        k: Most = 20,
        offset: Offset = 0,
        fields: Fields = "",
    ) -> Json:
        """Items whose title contains all words of `q`."""
        served = self.live.served
        rows = await asyncio.to_thread(served.search, q, k + offset)
        return Json({"items": described(served, rows[offset:], names_in(fields))})

    @route(
        "GET", "/v1/items/{item_id:id}/similar", "read", **answers(schemas.SimilarItems, 404, 503)
    )
    async def similar(
        self,
        item_id: ItemId,
        k: Most = 10,
        user_id: ForUser = None,
        profile: Stated = [],  # noqa: B006  # FastAPI copies it
        by: Annotated[
            Likeness,
            Query(description="Similar by embeddings and texts, or by users in common."),
        ] = "taste",
        fields: Fields = "",
    ) -> Json:
        """Items similar to another."""
        served = self.live.served
        row, user = _row(served, item_id), stated_user(user_id, profile)
        request = await asyncio.to_thread(  # a user may have thousands of events
            request_of, user, served, self.service.store, self.service.settings.history_length
        )
        rows, closeness = await asyncio.to_thread(served.similar, row, k, request, by)
        return Json(
            {
                "items": [
                    {**item, "similarity": cosine}
                    for item, cosine in zip(
                        described(served, rows, names_in(fields)), closeness, strict=True
                    )
                ],
                "notes": served.model.policy_notes(request, rows),
            }
        )

    @route("GET", "/v1/items/{item_id:id}", "read", **answers(schemas.Item, 404))
    async def item(self, item_id: ItemId, fields: Fields = "") -> Json:
        """One item."""
        served = self.live.served
        return Json(described(served, [_row(served, item_id)], names_in(fields))[0])

    @route("PUT", "/v1/items/{item_id:id}", "write", **answers(schemas.ItemAdded, 501, 503))
    async def put(self, item_id: NewId, body: schemas.ItemContent) -> Json:
        """Add an item, or change its content; it can be recommended at once."""
        version, notes = await self._stored([(item_id, body.content)])
        return Json({"item_id": item_id, "items_version": version, "notes": notes})

    @route("PATCH", "/v1/items/{item_id:id}", "write", **answers(schemas.ItemAdded, 404, 501, 503))
    async def patch(self, item_id: ItemId, body: schemas.ItemContent) -> Json:
        """Change some attributes of an existing item, or whether it is available."""
        _row(self.live.served, item_id)
        version, notes = await self._stored([(item_id, body.content)])
        return Json({"item_id": item_id, "items_version": version, "notes": notes})

    @route("DELETE", "/v1/items/{item_id:id}", "write", **answers(schemas.ItemDeleted, 404, 503))
    async def delete(self, item_id: ItemId) -> Json:
        """Delete an item; it is shown no more."""
        _row(self.live.served, item_id)
        version = await asyncio.wrap_future(self.store.delete_item(item_id))
        await self._taken_up()
        return Json({"item_id": item_id, "items_version": version})

    @route(
        "PUT",
        "/v1/items",
        "write",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
            }
        },
        **answers(schemas.ItemsAdded, 501, 503),
    )
    async def feed(self, request: Request) -> Json:
        """Add or change the items of a feed, one JSON object per line; all of them or none."""
        items = read_feed(await request.body())
        version, notes = await self._stored(items)
        return Json({"items": len(items), "items_version": version, "notes": notes})

    async def _stored(self, items: list[tuple[str, dict[str, Any]]]) -> tuple[int, list[str]]:
        _, notes = items_frame(items, self.live.served.model.catalog.frame.schema)
        version = await asyncio.wrap_future(self.store.put_items(items))
        await self._taken_up()
        return version, notes

    async def _taken_up(self) -> None:
        self.service.metrics.items_added.inc(await asyncio.to_thread(self.live.refresh_items))


def _row(served: Served, item_id: str) -> int:
    row = served.row_of(item_id)
    if row < 0:
        raise no_item(served, item_id)
    return row


def no_item(served: Served, item_id: str) -> HTTPException:
    """Return the error for an id that no item has."""
    add = f"there is no item {item_id!r}; add it with PUT /v1/items/{{id}}"
    return HTTPException(404, next(iter(form_notes([item_id], served.model.vocabulary)), add))


def names_in(fields: str) -> list[str]:
    """Split the names of columns in a query, as `price,image`."""
    return [name.strip() for name in fields.split(",") if name.strip()]


def described(served: Served, rows: list[int], fields: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the items at these rows as answers show them, with all columns or only `fields`."""
    return [
        {
            "item_id": served.model.vocabulary.ids[row],
            "title": title,
            "attributes": attributes,
        }
        for row, title, attributes in zip(
            rows, served.titles_at(rows), served.attributes_of(rows, fields), strict=True
        )
    ]
