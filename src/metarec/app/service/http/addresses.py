"""Addresses: ids that may contain a `/`, and query parameters that a route does not know, or that
are given twice; and bodies in which a key stands twice.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_origin

from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send


class AnyId(Convertor[str]):
    """An id in an address, as in `{user_id:id}`; it may contain a `/`, written `%2F` (see
    `IdRoute`).

    Starlette's own `path` stops before a line break, so that an invalid id would be read as the id
    of another user.
    """

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        """Return the value unchanged."""
        return value

    def to_string(self, value: str) -> str:
        """Return the value unchanged."""
        return value


def register_id_addresses() -> None:
    """Register `{name:id}` with the framework; call this before any route uses it."""
    register_url_convertor("id", AnyId())


class _Request(Request):
    async def json(self) -> Any:
        """Return the body, read as JSON.

        Raises:
            HTTPException: if a key stands twice in an object.
        """
        body = await self.body()
        if (key := key_twice(body)) is not None:
            raise HTTPException(422, f"body: the key {key[:80]!r} stands twice in an object")
        return await super().json()


def key_twice(body: bytes) -> str | None:
    """Return a key that stands twice in an object of JSON, None without one. Parsers take the last
    value, so that an event, say, would be stored for one of two users.

    Raises:
        ValueError, RecursionError: if it is no JSON.
    """
    try:
        _ONCE.decode(body.decode(json.detect_encoding(body), "surrogatepass"))
    except _TwiceError as error:
        return str(error)
    return None


class _TwiceError(Exception):
    """Says which key stands twice."""


def _once(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        raise _TwiceError(next(name for name in names if names.count(name) > 1))


_ONCE = json.JSONDecoder(object_pairs_hook=_once)


class StrictRoute(APIRoute):
    """A route that refuses bodies in which a key stands twice."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return the handler of the framework, with our reading of bodies."""
        handler = super().get_route_handler()

        async def handling(request: Request) -> Response:
            return await handler(_Request(request.scope, request.receive))

        return handling


class IdRoute(StrictRoute):
    """A route whose address contains an id. The id is one segment of the address as it was sent:
    `x/friends` is the address of the friends of `x`, and `x%2Ffriends` that of a user.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Return whether a request is for this route. Where the server does not pass on the address
        as it was sent, the decoded one decides.
        """
        written = scope.get("raw_path")
        if written is not None and written.count(b"/") != self.path.count("/"):
            return Match.NONE, {}
        return super().matches(scope)


def refuse_unknown_parameters(routes: Sequence[BaseRoute]) -> None:
    """Let each route under `/v1/` and `/mcp` refuse query parameters that it does not know, so that
    a misspelled one is noticed. Other routes, such as health checks, ignore them.
    """
    for route in routes:
        if isinstance(route, APIRoute) and route.path.startswith(("/v1/", "/mcp")):
            is_list = {
                field.alias: get_origin(field.field_info.annotation) is list
                for field in route.dependant.query_params
            }
            route.app = _with_known_parameters(route.app, dict(sorted(is_list.items())))


def _with_known_parameters(app: ASGIApp, names: Mapping[str, bool]) -> ASGIApp:
    """Return an app that refuses other parameters, and lists where one value is taken."""

    async def checking(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["query_string"]:
            parameters = QueryParams(scope["query_string"])
            for name in parameters:
                if not names.get(name, True) and len(parameters.getlist(name)) > 1:
                    raise HTTPException(422, f"query.{name}: is given twice; it takes one value")
                if name not in names:
                    there = f"; known are {', '.join(names)}" if names else "; none is"
                    near = get_close_matches(name, names, 1)
                    there = f"; did you mean {near[0]!r}?" if near else there
                    raise HTTPException(422, f"query.{name[:80]}: is not known here{there}")
        await app(scope, receive, send)

    return checking
