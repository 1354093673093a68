"""What the routes share: the parts of one running service, answers as JSON, and errors as one
sentence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, TypeVar

import numpy as np
import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metarec.app.service.arms import Arms
from metarec.app.service.authentication import ApiKeys
from metarec.app.service.batching import Batcher
from metarec.app.service.live_model import LiveModel
from metarec.app.service.metrics import Metrics
from metarec.app.service.monitoring import Monitor
from metarec.app.service.request_conversion import ScoreRequest
from metarec.app.service.schedule import StartedHere
from metarec.app.service.schemas import Problem
from metarec.app.service.settings import ServiceSettings
from metarec.app.service.thread_pools import Pools
from metarec.app.service.validation_errors import validation_message
from metarec.data.schema import BadInput
from metarec.feedback.events import StoreUnavailable
from metarec.feedback.store.event_store import Store
from metarec.recommendation.slate import Slate
from metarec.runtime.extras import MissingExtra

log = logging.getLogger("metarec.service")
T = TypeVar("T")
NOTHING_HERE = "there is nothing at this address; /docs lists those there are"
WRITE_AS = "there is nothing at this address; a `/` within an id is written %2F"


@dataclass(frozen=True, kw_only=True)
class Service:
    """The parts of one running service."""

    settings: ServiceSettings
    store: Store
    live: LiveModel
    metrics: Metrics
    keys: ApiKeys
    scorer: Batcher[ScoreRequest, Slate]
    pools: Pools
    monitor: Monitor
    arms: Arms
    started_here: StartedHere
    answer: Callable[[Sequence[ScoreRequest], np.random.Generator], list[Slate]]
    """Slates for several requests at once, scored here or by shards."""
    forgotten_at: dict[str, float] = field(default_factory=dict)
    """Users forgotten here a moment ago, and when: slates asked for before are not remembered."""

    async def read(self, fetch: Callable[[], T]) -> T:
        """Read from the store: at once from a local file, in a thread from a server, whose answers
        the loop must not wait for.
        """
        return fetch() if self.store.is_sqlite else await asyncio.to_thread(fetch)


class AnyId(Convertor[str]):
    """An id in an address, as in `{user_id:id}`; it may hold a `/`, written `%2F` (see `IdRoute`).

    Starlette's own `path` ends before a line's end, so that the id of somebody else would be read
    from an id that is none.
    """

    regex = r"[\s\S]+"

    def convert(self, value: str) -> str:
        """As it is."""
        return value

    def to_string(self, value: str) -> str:
        """As it is."""
        return value


def let_addresses_hold_ids() -> None:
    """Make `{name:id}` known to the framework; before any route is written with it."""
    register_url_convertor("id", AnyId())


class IdRoute(APIRoute):
    """A route whose address holds an id: one part of the address as it was written, so that
    `x/friends` is what `x` has and `x%2Ffriends` a user.
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for this route; a server that does not tell how an address was
        written is believed.
        """
        written = scope.get("raw_path")
        if written is not None and written.count(b"/") != self.path.count("/"):
            return Match.NONE, {}
        return super().matches(scope)


class Json(JSONResponse):
    """Plain data, written by orjson; what has no number in JSON becomes null."""

    def render(self, content: Any) -> bytes:
        """The bytes."""
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


class Shortcut:
    """ASGI middleware: a route that takes nothing but a JSON body is answered without the
    framework's steps between.

    A body that pydantic does not read at once goes the framework's way, which says what is wrong
    with it, and errors go to the framework's handlers; so both ways take and refuse the same.
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
        """Answer one request, or hand it on."""
        found = (
            self._routes.get(scope["path"])
            if scope["type"] == "http" and scope["method"] == "POST"
            else None
        )
        if (
            found is None
            or scope.get("query_string")
            or (b"content-type", b"application/json") not in scope["headers"]
        ):
            await self._app(scope, receive, send)
            return
        scope["route"], name, shape = found
        given = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return  # nobody is there to be answered
            given += message.get("body", b"")
            if not message.get("more_body"):
                break
        try:
            read = shape.model_validate_json(given)
        except ValidationError:
            await self._app(scope, replayed(given, receive), send)
            return
        try:
            answer: Response = await found[0].endpoint(**{name: read})
        # Of whatever kind: the framework's handlers answer those they know and raise the others to
        # the guard
        except Exception as error:
            await ExceptionMiddleware(_raising(error), self._handlers)(scope, receive, send)
        else:
            await answer(scope, receive, send)


def _only_body(route: APIRoute) -> tuple[str, type[BaseModel]] | None:
    """Name and shape of the body of a POST route that takes nothing else."""
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


def refuse_unknown_parameters(routes: Sequence[BaseRoute]) -> None:
    """Let each route of the interface refuse query parameters that it does not read, so that a
    misspelled one is noticed; probes may add what they like.
    """
    for route in routes:
        if isinstance(route, APIRoute) and route.path.startswith(("/v1/", "/mcp")):
            known = sorted(field.alias for field in route.dependant.query_params)
            route.app = _with_known_parameters(route.app, known)


def _with_known_parameters(app: ASGIApp, known: Sequence[str]) -> ASGIApp:
    async def checking(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["query_string"]:
            for name in QueryParams(scope["query_string"]):
                if name not in known:
                    there = f"; known are {', '.join(known)}" if known else "; none is"
                    near = get_close_matches(name, known, 1)
                    there = f"; did you mean {near[0]!r}?" if near else there
                    raise HTTPException(422, f"query.{name[:80]}: is not known here{there}")
        await app(scope, receive, send)

    return checking


def _raising(error: Exception) -> ASGIApp:
    async def raising(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise error

    return raising


def replayed(body: bytes, receive: Receive) -> Receive:
    """`receive` as if a body that was read already came once more."""
    sent = False

    async def replaying() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replaying


def answers(shape: Any, *problems: int, status: int = 200) -> dict[str, Any]:
    """A route's answers for OpenAPI; the route itself writes `Json`, already in this shape."""
    said = {
        400: "The body cannot be read.",
        401: "No key, or an unknown one.",
        403: "The key's role may not do this.",
        404: "There is no such thing.",
        409: "Not now.",
        413: "Too large.",
        421: "Not called by this name.",
        422: "Something in the request is wrong.",
        429: "Too many requests.",
        500: "A fault here.",
        501: "An optional library is not installed.",
        503: "The store is busy or away; try again.",
    }
    codes = sorted({400, 401, 403, 413, 421, 422, 429, 500, *problems})
    return {
        "response_model": None,
        "response_class": Json,
        "responses": {
            status: {"model": shape},
            **{code: {"model": Problem, "description": said[code]} for code in codes},
        },
    }


def without_details(sentence: str) -> str:
    """A sentence without what stands in parentheses: what a database server says of itself, such as
    its address, is for its operator.
    """
    kept, depth = [], 0
    for letter in sentence:
        depth += letter == "("
        if not depth:
            kept.append(letter)
        depth = max(0, depth - (letter == ")"))
    return "".join(kept).replace(" ;", ";").strip()


@dataclass(frozen=True)
class ErrorAnswers:
    """Every error as `{"error": one sentence}`."""

    routes: Sequence[BaseRoute]
    """All of the service's."""
    tell_details: bool
    """Whether those who call may read what the store's own library said; the log holds it."""

    def install(self, app: FastAPI) -> None:
        """Let an application answer errors so."""
        app.exception_handler(RequestValidationError)(self._invalid)
        app.exception_handler(HTTPException)(self._refused)
        app.exception_handler(BadInput)(self._bad)
        app.exception_handler(MissingExtra)(self._missing)
        app.exception_handler(StoreUnavailable)(self._away)

    async def _invalid(self, request: Request, error: RequestValidationError) -> JSONResponse:
        kind = request.headers.get("content-type")
        return _problem(422, validation_message(error.errors(), error.body, kind))

    async def _refused(self, request: Request, error: HTTPException) -> JSONResponse:
        takes = _methods_at(self.routes, request.scope)
        # The page stands behind all routes and is asked where none takes the method; it knows of no
        # other address than its files.
        if error.status_code == 405 or (
            error.status_code == 404 and takes and request.method not in takes
        ):
            if not takes and request.scope["path"].startswith("/v1/"):
                return _problem(404, _nothing_at(self.routes, request.scope["path"]))
            allowed = ", ".join(sorted(takes or {"GET", "HEAD"}))
            return _problem(
                405,
                f"{request.method} is not for this address; it takes {allowed}",
                {"Allow": allowed},
            )
        if error.status_code == 404 and error.detail == HTTPStatus.NOT_FOUND.phrase:
            return _problem(404, _nothing_at(self.routes, request.scope["path"]))
        return _problem(error.status_code, str(error.detail), error.headers)

    async def _bad(self, _request: Request, error: BadInput) -> JSONResponse:
        return _problem(422, str(error))

    async def _missing(self, _request: Request, error: MissingExtra) -> JSONResponse:
        return _problem(501, str(error))

    async def _away(self, _request: Request, error: StoreUnavailable) -> JSONResponse:
        log.warning("the store is away", extra={"problem": str(error)})
        sentence = str(error) if self.tell_details else without_details(str(error))
        return _problem(503, sentence, {"Retry-After": "2"})


def _problem(status: int, sentence: str, headers: Any = None) -> JSONResponse:
    # It may name what was sent, which may hold anything: one sentence is one line.
    line = "".join(letter if letter.isprintable() else " " for letter in sentence)
    return JSONResponse({"error": " ".join(line.split())[:500]}, status, headers)


def _methods_at(routes: Sequence[BaseRoute], scope: Scope) -> set[str]:
    """What may be done at an address, by all its routes together."""
    return {
        method
        for route in routes
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


def _nothing_at(routes: Sequence[BaseRoute], path: str) -> str:
    """What to say of an address that no route has."""
    is_id = any(isinstance(route, IdRoute) and route.path_regex.match(path) for route in routes)
    return WRITE_AS if is_id else NOTHING_HERE
