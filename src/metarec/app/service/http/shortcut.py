"""A faster path for POST requests with a plain JSON body, without the steps of the framework."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metarec.app.service.http.addresses import key_twice


class Shortcut:
    """ASGI middleware that answers routes which take nothing but a JSON body without the
    framework's steps in between.

    Where pydantic refuses a body, or a key stands twice in it, the framework handles the request
    and says what is wrong with it; errors go to the framework's handlers. So both
    paths accept and refuse the same requests.
    """

    def __init__(
        self, app: ASGIApp, *, routes: Sequence[BaseRoute], handlers: Mapping[Any, Any]
    ) -> None:
        self._app, self._handlers = app, handlers
        self._routes = {
            route.path: (route, *body)
            for route in routes
            if isinstance(route, APIRoute) and (body := _only_body(route))
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        matched = (
            self._routes.get(scope["path"])
            if scope["type"] == "http" and scope["method"] == "POST"
            else None
        )
        if (
            matched is None
            or scope.get("query_string")
            or (b"content-type", b"application/json") not in scope["headers"]
        ):
            await self._app(scope, receive, send)
            return
        scope["route"], name, shape = matched
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # no client is left to be answered
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        try:
            read = shape.model_validate_json(body)
            is_strict = key_twice(body) is None
        except (ValidationError, ValueError, RecursionError):
            is_strict = False
        if not is_strict:
            await self._app(scope, replayed(body, receive), send)
            return
        try:
            answer: Response = await matched[0].endpoint(**{name: read})
        # Any exception: the framework's handlers answer those they know and raise the others to the
        # middleware.
        except Exception as error:
            await ExceptionMiddleware(_raising(error), self._handlers)(scope, receive, send)
        else:
            await answer(scope, receive, send)


def _only_body(route: APIRoute) -> tuple[str, type[BaseModel]] | None:
    """Return name and type of the body of a POST route that takes nothing else; None for other
    routes.
    """
    wants = route.dependant
    others = (
        wants.path_params,
        wants.query_params,
        wants.header_params,
        wants.cookie_params,
        wants.dependencies,
    )
    if "POST" not in (route.methods or ()) or any(others) or len(wants.body_params) != 1:
        return None
    shape = wants.body_params[0].field_info.annotation
    return (
        (wants.body_params[0].name, shape)
        if isinstance(shape, type) and issubclass(shape, BaseModel)
        else None
    )


def _raising(error: Exception) -> ASGIApp:
    async def raising(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    return raising


def replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was already read once more, followed by later
    messages.
    """
    sent = False

    async def replaying() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying
