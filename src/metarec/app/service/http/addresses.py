"""Addresses: ids that may contain a `/`, and query parameters that a route does not know."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

from fastapi.routing import APIRoute
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
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


class IdRoute(APIRoute):
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
            names = sorted(field.alias for field in route.dependant.query_params)
            route.app = _with_known_parameters(route.app, names)


def _with_known_parameters(app: ASGIApp, names: Sequence[str]) -> ASGIApp:
    async def checking(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["query_string"]:
            for name in QueryParams(scope["query_string"]):
                if name not in names:
                    there = f"; known are {', '.join(names)}" if names else "; none is"
                    near = get_close_matches(name, names, 1)
                    there = f"; did you mean {near[0]!r}?" if near else there
                    raise HTTPException(422, f"query.{name[:80]}: is not known here{there}")
        await app(scope, receive, send)

    return checking
