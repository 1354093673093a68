"""Errors as one sentence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from errno import EACCES, EDQUOT, ENOSPC, EPERM, EROFS
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from metarec.app.service.http.addresses import IdRoute
from metarec.app.service.http.validation_errors import validation_message
from metarec.data.schema import BadInput
from metarec.feedback.events import StoreUnavailable
from metarec.runtime.extras import MissingExtra

log = logging.getLogger("metarec.service")
NOTHING_HERE = "there is nothing at this address; /docs lists those there are"
UNWRITABLE = frozenset({EACCES, EDQUOT, ENOSPC, EPERM, EROFS})
UNREADABLE_BODY = "There was an error parsing the body"
"""What the framework says of a body that is no text, or too deep for its reader."""
WRITE_AS = "there is nothing at this address; a `/` within an id is written %2F"


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
        app.exception_handler(OSError)(self._unwritable)

    async def _invalid(self, request: Request, error: RequestValidationError) -> JSONResponse:
        kind = request.headers.get("content-type")
        fields = _fields_at(request.scope.get("route"))
        return _problem(422, validation_message(error.errors(), error.body, kind, fields))

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
        if error.detail == UNREADABLE_BODY:
            return _problem(400, "body: is no JSON that can be read; send UTF-8, not deeply nested")
        return _problem(error.status_code, str(error.detail), error.headers)

    async def _bad(self, _request: Request, error: BadInput) -> JSONResponse:
        return _problem(422, str(error))

    async def _missing(self, _request: Request, error: MissingExtra) -> JSONResponse:
        return _problem(501, str(error))

    async def _away(self, _request: Request, error: StoreUnavailable) -> JSONResponse:
        log.warning("the store is away", extra={"problem": str(error)})
        sentence = str(error) if self.tell_details else without_details(str(error))
        return _problem(503, sentence, {"Retry-After": "2"})

    async def _unwritable(self, _request: Request, error: OSError) -> JSONResponse:
        """What the operator of the machine can put right; anything else is a fault of ours."""
        if error.errno not in UNWRITABLE:
            raise error
        log.error("nothing can be written", extra={"problem": str(error)})
        where = f" ({error})" if self.tell_details else ""
        return _problem(
            503,
            f"the service cannot write the model's folder{where}; its disk is full, or it is "
            f"read-only for the service",
        )


def _problem(status: int, sentence: str, headers: Any = None) -> JSONResponse:
    # It may name what was sent, which may hold anything: one sentence is one line.
    line = "".join(letter if letter.isprintable() else " " for letter in sentence)
    return JSONResponse({"error": " ".join(line.split())[:500]}, status, headers)


def _fields_at(route: Any) -> Sequence[str]:
    """What a body may hold at this route; nothing where that is no single shape."""
    body = getattr(route, "body_field", None)
    shape = None if body is None else body.field_info.annotation
    return tuple(getattr(shape, "model_fields", ()))


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
