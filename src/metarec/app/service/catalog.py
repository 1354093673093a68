"""Routes for items: find, look at, add, and what is like what."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query
from fastapi.routing import APIRoute
from starlette.routing import Match
from starlette.types import Scope

from metarec.app.items import items_frame
from metarec.app.service import schemas
from metarec.app.service.answering import request_of, stated_person
from metarec.app.service.http import Json, Service, answers
from metarec.app.service.live import Served

ItemId = Annotated[schemas.Id, Path(description="The item's id as you write it.")]
Asking = Annotated[
    schemas.Id | None, Query(description="Whom they are for: what is kept of them counts.")
]
Stated = Annotated[
    list[Annotated[str, Query(max_length=300)]],
    Query(max_length=50, description="An attribute of the user, as NAME=VALUE; may be repeated."),
]
Most = Annotated[int, Query(ge=1, le=100, alias="k", description="At most so many.")]


def catalog_routes(service: Service) -> APIRouter:
    """Routes of this file."""
    router = APIRouter(tags=["items"])
    read, write = service.keys.needs("read"), service.keys.needs("write")

    @router.get(
        "/v1/items",
        dependencies=read,
        summary="Items whose title holds all words of `q`",
        **answers(schemas.Items),
    )
    async def search(q: Annotated[str, Query(max_length=200)] = "", k: Most = 20) -> Json:
        served = service.live.served
        return Json({"items": described(served, await asyncio.to_thread(served.search, q, k))})

    async def similar(
        item_id: ItemId,
        k: Most = 10,
        user_id: Asking = None,
        profile: Stated = [],  # noqa: B006  # FastAPI copies it
    ) -> Json:
        served = service.live.served
        row, person = _row(served, item_id), stated_person(user_id, profile)
        request = await service.read(
            lambda: request_of(person, served, service.store, service.settings.history_length)
        )
        rows, closeness = await asyncio.to_thread(served.similar, row, k, request)
        return Json(
            {
                "items": [
                    {**item, "similarity": cosine}
                    for item, cosine in zip(described(served, rows), closeness, strict=True)
                ],
                "notes": served.model.policy_notes(request, rows),
            }
        )

    # Before the routes of one item, whose ids may hold `/`.
    router.add_api_route(
        "/v1/items/{item_id:id}/similar",
        similar,
        dependencies=read,
        summary="Items like another",
        route_class_override=_Similar,
        **answers(schemas.SimilarItems, 404, 503),
    )

    @router.get(
        "/v1/items/{item_id:id}",
        dependencies=read,
        summary="One item",
        **answers(schemas.Item, 404),
    )
    async def item(item_id: ItemId) -> Json:
        served = service.live.served
        return Json(described(served, [_row(served, item_id)])[0])

    @router.put(
        "/v1/items/{item_id:id}",
        dependencies=write,
        summary="Add an item, or change its content; recommendable at once",
        **answers(schemas.ItemAdded, 501, 503),
    )
    async def put(item_id: ItemId, body: schemas.ItemContent) -> Json:
        _, notes = items_frame(
            [(item_id, body.attributes)], service.live.served.model.catalog.frame.schema
        )
        version = await asyncio.wrap_future(service.store.put_item(item_id, body.attributes))
        service.meters.items_added.inc(await asyncio.to_thread(service.live.refresh_items))
        return Json({"item_id": item_id, "items_version": version, "notes": notes})

    return router


class _Similar(APIRoute):
    """Where items alike are asked for: an id that itself ends in `/similar` is told from it by how
    the slash was written, as `%2F`.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this route."""
        written = scope.get("raw_path")
        return (
            super().matches(scope)
            if written is None or written.endswith(b"/similar")
            else (Match.NONE, {})
        )


def _row(served: Served, item_id: str) -> int:
    row = int(served.model.vocabulary.indexes([item_id])[0])
    if row < 0:
        raise HTTPException(404, f"there is no item {item_id!r}; add it with PUT /v1/items/{{id}}")
    return row


def described(served: Served, rows: list[int]) -> list[dict[str, Any]]:
    """Items at these rows as the service shows them."""
    return [
        {
            "item_id": served.model.vocabulary.ids[row],
            "title": served.titles[row],
            "attributes": attributes,
        }
        for row, attributes in zip(rows, served.attributes_of(rows), strict=True)
    ]
