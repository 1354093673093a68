"""Tools for agents by the Model Context Protocol: JSON-RPC in a POST, answered in JSON. All of them
only read; no request of an agent is stored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import orjson
from fastapi import HTTPException, Request
from fastapi.routing import APIRoute
from pydantic import BaseModel, Field, ValidationError
from starlette.responses import Response
from starlette.routing import BaseRoute

from metarec import __version__
from metarec.app.service import schemas
from metarec.app.service.http.addresses import key_twice
from metarec.app.service.http.answers import Json
from metarec.app.service.http.errors import without_details
from metarec.app.service.http.validation_errors import validation_message
from metarec.app.service.parts import Service
from metarec.app.service.routes.base import Routes, route
from metarec.app.service.routes.slate_answers import IS_REMEMBERED
from metarec.app.service.scoring.likeness import Likeness
from metarec.data.schema import BadInput
from metarec.feedback.events import StoreUnavailable
from metarec.runtime.extras import MissingExtra

VERSIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
"""Supported versions of the protocol, the newest first."""
PARSE, INVALID, UNKNOWN, PARAMS = -32700, -32600, -32601, -32602
"""Error codes of JSON-RPC."""
REFUSED = (HTTPException, BadInput, StoreUnavailable, MissingExtra)


Columns = Annotated[
    str, Field(max_length=2_000, description="Columns of the items to return, as price,image.")
]


class SimilarTo(schemas.Shape):
    """Items similar to another."""

    item_id: schemas.Id
    k: schemas.Whole = Field(10, ge=1, le=100, description="Largest number of items.")
    user_id: schemas.Id | None = Field(None, description="The user they are for.")
    profile: list[Annotated[str, Field(max_length=300)]] = Field(
        [], max_length=50, description="Attributes of the user, each as NAME=VALUE."
    )
    by: Likeness = Field(
        "taste", description="Similar by embeddings and texts, or by users in common."
    )
    fields: Columns = ""


class Words(schemas.Shape):
    """Items whose title contains all these words."""

    q: str = Field("", max_length=200, description="Words of the title.")
    k: schemas.Whole = Field(20, ge=1, le=100, description="Largest number of items.")
    offset: schemas.Whole = Field(0, ge=0, le=100_000, description="Number of items to skip.")
    fields: Columns = ""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool that an agent may call."""

    about: str
    takes: type[BaseModel]
    path: str
    """Address of the route that answers."""
    has_body: bool
    """Whether the route takes the arguments as its body."""


TOOLS = {
    "recommend": Tool(
        about="Recommend items to a user: known by user_id, or by a history, a profile or a query "
        "in words (wish).",
        takes=schemas.RecommendationRequest,
        path="/v1/recommendations",
        has_body=True,
    ),
    "explain": Tool(
        about="Explain the rank of an item for a user.",
        takes=schemas.ExplanationRequest,
        path="/v1/explanations",
        has_body=True,
    ),
    "similar": Tool(
        about="Items similar to another.",
        takes=SimilarTo,
        path="/v1/items/{item_id:id}/similar",
        has_body=False,
    ),
    "search": Tool(
        about="Find items by words of their title.", takes=Words, path="/v1/items", has_body=False
    ),
}


class Fault(ValueError):
    """An error that JSON-RPC answers instead of a result."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class McpRoutes(Routes):
    """The single address of the protocol."""

    tags = ()

    def __init__(self, service: Service, routes: Sequence[BaseRoute]) -> None:
        """Create the routes of a service whose tools call these routes."""
        super().__init__(service)
        self._endpoints = {
            route.path: route.endpoint
            for route in routes
            if isinstance(route, APIRoute) and (route.methods or set()) & {"GET", "POST"}
        }

    @route("POST", "/mcp", "read", include_in_schema=False)
    async def mcp(self, request: Request) -> Response:
        """Answer one message of an agent."""
        answer = await self._reply(await request.body())
        return Response(status_code=202) if answer is None else Json(answer)

    async def _reply(self, body: bytes) -> dict[str, Any] | None:
        """Return the answer to a message; None for a notification, which gets no answer."""
        number: Any = None
        try:
            message = _read(body)
            if "id" not in message:
                return None
            number = _number(message["id"])
            _check_version(message)
            is_telling = self.store.is_sqlite
            result = await _answer(message, self._endpoints, tell_details=is_telling)
        except Fault as fault:
            error = {"code": fault.code, "message": str(fault)}
            return {"jsonrpc": "2.0", "id": number, "error": error}
        return {"jsonrpc": "2.0", "id": number, "result": result}


def _read(body: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Fault(PARSE, f"the message is no JSON: {error}") from error
    if (key := key_twice(body)) is not None:
        raise Fault(INVALID, f"the key {key[:80]!r} stands twice in an object")
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        raise Fault(INVALID, "send one JSON-RPC message with a method")
    return message


def _number(value: Any) -> str | int | float | None:
    if value is None or (isinstance(value, str | int | float) and not isinstance(value, bool)):
        return value
    raise Fault(INVALID, "id must be a text or a number")


def _check_version(message: Mapping[str, Any]) -> None:
    if message.get("jsonrpc") != "2.0":
        raise Fault(INVALID, "jsonrpc must be '2.0'")


async def _answer(
    message: dict[str, Any],
    endpoints: Mapping[str, Callable[..., Awaitable[Json]]],
    *,
    tell_details: bool,
) -> dict[str, Any]:
    method, params = message["method"], message.get("params", {})
    if not isinstance(params, dict):
        raise Fault(PARAMS, "params must be an object")
    if method == "initialize":
        version = params.get("protocolVersion")
        return {
            "protocolVersion": version if version in VERSIONS else VERSIONS[0],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "metarec", "version": __version__},
        }
    if method == "ping" or method.startswith("notifications/"):
        return {}
    if method == "tools/list":
        return {"tools": [_described(name, tool) for name, tool in TOOLS.items()]}
    if method == "tools/call":
        return await _called(params, endpoints, tell_details=tell_details)
    raise Fault(UNKNOWN, f"there is no method {method[:80]!r}")


def _described(name: str, tool: Tool) -> dict[str, Any]:
    return {
        "name": name,
        "description": tool.about,
        "inputSchema": tool.takes.model_json_schema(),
        "annotations": {"readOnlyHint": True},
    }


async def _called(
    params: dict[str, Any],
    endpoints: Mapping[str, Callable[..., Awaitable[Json]]],
    *,
    tell_details: bool,
) -> dict[str, Any]:
    name, arguments_sent = params.get("name"), params.get("arguments", {})
    tool = TOOLS.get(name) if isinstance(name, str) else None
    if tool is None:
        raise Fault(PARAMS, f"there is no tool {str(name)[:80]!r}; there are {', '.join(TOOLS)}")
    before = IS_REMEMBERED.set(False)
    try:
        read = tool.takes.model_validate(arguments_sent)
        arguments = {"body": read} if tool.has_body else dict(read)
        answer = bytes((await endpoints[tool.path](**arguments)).body)
    except ValidationError as error:
        errors = [{**one, "loc": ("arguments", *one["loc"])} for one in error.errors()]
        return _text_result(
            validation_message(errors, arguments_sent, "application/json"), is_error=True
        )
    except REFUSED as error:
        message = str(error.detail if isinstance(error, HTTPException) else error)
        is_telling = tell_details or not isinstance(error, StoreUnavailable)
        return _text_result(message if is_telling else without_details(message), is_error=True)
    finally:
        IS_REMEMBERED.reset(before)
    return {**_text_result(answer.decode()), "structuredContent": orjson.loads(answer)}


def _text_result(text: str, *, is_error: bool = False) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}], "isError": is_error}
