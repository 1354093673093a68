"""Routes for items: find, look at, add, and what is like what."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request

from metarec.app.items import items_frame
from metarec.app.service import schemas
from metarec.app.service.feed import read_feed
from metarec.app.service.http import IdRoute, Json, Service, answers
from metarec.app.service.live_model import Likeness, Served
from metarec.app.service.request_conversion import request_of, stated_user

ItemId = Annotated[schemas.IdText, Path(description="The item's id; write a `/` in it as %2F.")]
Asking = Annotated[
    schemas.IdText | None, Query(description="Whom they are for: what is kept of them counts.")
]
Stated = Annotated[
    list[Annotated[str, Query(max_length=300)]],
    Query(max_length=50, description="An attribute of the user, as NAME=VALUE; may be repeated."),
]
Offset = Annotated[int, Query(ge=0, le=100_000, description="Items to pass over.")]
Fields = Annotated[
    str, Query(max_length=2_000, description="Columns of the items to give, as price,image.")
]
Most = Annotated[int, Query(ge=1, le=100, alias="k", description="At most so many.")]


def catalog_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(tags=["items"], route_class=IdRoute)
    read, write = service.keys.needs("read"), service.keys.needs("write")

    @router.get(
        "/v1/items",
        dependencies=read,
        summary="Items whose title holds all words of `q`",
        **answers(schemas.Items),
    )
    async def search(
        q: Annotated[str, Query(max_length=200)] = "",
        k: Most = 20,
        offset: Offset = 0,
        fields: Fields = "",
    ) -> Json:
        served = service.live.served
        rows = await asyncio.to_thread(served.search, q, k + offset)
        return Json({"items": described(served, rows[offset:], names_in(fields))})

    @router.get(
        "/v1/items/{item_id:id}/similar",
        dependencies=read,
        summary="Items like another",
        **answers(schemas.SimilarItems, 404, 503),
    )
    async def similar(
        item_id: ItemId,
        k: Most = 10,
        user_id: Asking = None,
        profile: Stated = [],  # noqa: B006  # FastAPI copies it
        by: Annotated[
            Likeness,
            Query(description="Alike by taste and text, or met by the same users."),
        ] = "taste",
        fields: Fields = "",
    ) -> Json:
        served = service.live.served
        row, user = _row(served, item_id), stated_user(user_id, profile)
        request = await asyncio.to_thread(  # a user may have thousands of events
            request_of, user, served, service.store, service.settings.history_length
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

    @router.get(
        "/v1/items/{item_id:id}",
        dependencies=read,
        summary="One item",
        **answers(schemas.Item, 404),
    )
    async def item(item_id: ItemId, fields: Fields = "") -> Json:
        served = service.live.served
        return Json(described(served, [_row(served, item_id)], names_in(fields))[0])

    @router.put(
        "/v1/items/{item_id:id}",
        dependencies=write,
        summary="Add an item, or change its content; recommendable at once",
        **answers(schemas.ItemAdded, 501, 503),
    )
    async def put(item_id: ItemId, body: schemas.ItemContent) -> Json:
        version, notes = await stored([(item_id, body.content)])
        return Json({"item_id": item_id, "items_version": version, "notes": notes})

    @router.patch(
        "/v1/items/{item_id:id}",
        dependencies=write,
        summary="Change some attributes of an item that is there, or whether it can be had",
        **answers(schemas.ItemAdded, 404, 501, 503),
    )
    async def patch(item_id: ItemId, body: schemas.ItemContent) -> Json:
        _row(service.live.served, item_id)
        version, notes = await stored([(item_id, body.content)])
        return Json({"item_id": item_id, "items_version": version, "notes": notes})

    @router.delete(
        "/v1/items/{item_id:id}",
        dependencies=write,
        summary="Show an item no more",
        **answers(schemas.ItemDeleted, 404, 503),
    )
    async def delete(item_id: ItemId) -> Json:
        _row(service.live.served, item_id)
        version = await asyncio.wrap_future(service.store.delete_item(item_id))
        await taken_up()
        return Json({"item_id": item_id, "items_version": version})

    @router.put(
        "/v1/items",
        dependencies=write,
        summary="Add or change the items of a feed, a JSON object a line; all of them or none",
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/x-ndjson": {"schema": {"type": "string"}}},
            }
        },
        **answers(schemas.ItemsAdded, 501, 503),
    )
    async def feed(request: Request) -> Json:
        items = read_feed(await request.body())
        version, notes = await stored(items)
        return Json({"items": len(items), "items_version": version, "notes": notes})

    async def stored(items: list[tuple[str, dict[str, Any]]]) -> tuple[int, list[str]]:
        _, notes = items_frame(items, service.live.served.model.catalog.frame.schema)
        version = await asyncio.wrap_future(service.store.put_items(items))
        await taken_up()
        return version, notes

    async def taken_up() -> None:
        service.metrics.items_added.inc(await asyncio.to_thread(service.live.refresh_items))

    return router


def _row(served: Served, item_id: str) -> int:
    row = served.row_of(item_id)
    if row < 0:
        raise HTTPException(404, f"there is no item {item_id!r}; add it with PUT /v1/items/{{id}}")
    return row


def names_in(fields: str) -> list[str]:
    """Columns named in a query, as `price,image`."""
    return [name.strip() for name in fields.split(",") if name.strip()]


def described(served: Served, rows: list[int], fields: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Items at these rows as the service shows them, with all columns or these."""
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
