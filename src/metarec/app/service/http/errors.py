"""Answers to errors, each one sentence."""

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
from metarec.data.errors import BrokenPart
from metarec.data.schema import BadInput
from metarec.feedback.events import StoreUnavailable
from metarec.runtime.extras import MissingExtra

log = logging.getLogger("metarec.service")
NOTHING_HERE = "there is nothing at this address; /docs lists those there are"
UNWRITABLE = frozenset({EACCES, EDQUOT, ENOSPC, EPERM, EROFS})
UNREADABLE_BODY = "There was an error parsing the body"
"""The framework's message on a body that is not text, or nested too deeply to be read."""
WRITE_AS = "there is nothing at this address; a `/` within an id is written %2F"


def without_details(sentence: str) -> str:
    """Remove the text in parentheses from a sentence: what a database server reports, such as its
    address, is for the operator only.
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
    """Answers every error with `{"error": one sentence}`."""

    routes: Sequence[BaseRoute]
    """All routes of the service."""
    tell_details: bool
    """Whether clients may read the message of the store's own library; the log always has it."""

    def install(self, app: FastAPI) -> None:
        """Register the handlers of all errors with an application."""
        app.exception_handler(RequestValidationError)(self._invalid)
        app.exception_handler(HTTPException)(self._refused)
        app.exception_handler(BadInput)(self._bad)
        app.exception_handler(BrokenPart)(self._broken)
        app.exception_handler(MissingExtra)(self._missing)
        app.exception_handler(StoreUnavailable)(self._away)
        app.exception_handler(OSError)(self._unwritable)

    async def _invalid(self, request: Request, error: RequestValidationError) -> JSONResponse:
        kind = request.headers.get("content-type")
        fields = _fields_at(request.scope.get("route"))
        return _problem(422, validation_message(error.errors(), error.body, kind, fields))

    async def _refused(self, request: Request, error: HTTPException) -> JSONResponse:
        takes = _methods_at(self.routes, request.scope)
        # Where no route accepts the method, the page's files are searched last: the error is then
        # theirs, not that of the address.
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

    async def _broken(self, _request: Request, error: BrokenPart) -> JSONResponse:
        """Answer 500: the request is fine, and a part that another package adds is not."""
        log.error("a part of another package fails", extra={"problem": str(error)})
        where = f" ({error})" if self.tell_details else ""
        return _problem(500, f"the served model cannot score{where}; see the log")

    async def _missing(self, _request: Request, error: MissingExtra) -> JSONResponse:
        return _problem(501, str(error))

    async def _away(self, _request: Request, error: StoreUnavailable) -> JSONResponse:
        log.warning("the store is away", extra={"problem": str(error)})
        sentence = str(error) if self.tell_details else without_details(str(error))
        return _problem(503, sentence, {"Retry-After": "2"})

    async def _unwritable(self, _request: Request, error: OSError) -> JSONResponse:
        """Answer 503 for errors that the operator of the machine can fix; raise any other, which is
        a fault of the program.
        """
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
    # The sentence may quote what was sent, which may contain anything; it becomes one line.
    line = "".join(letter if letter.isprintable() else " " for letter in sentence)
    return JSONResponse({"error": " ".join(line.split())[:500]}, status, headers)


def _fields_at(route: Any) -> Sequence[str]:
    """Return the fields of a route's body; empty where it has no body of one shape."""
    body = getattr(route, "body_field", None)
    shape = None if body is None else body.field_info.annotation
    return tuple(getattr(shape, "model_fields", ()))


def _methods_at(routes: Sequence[BaseRoute], scope: Scope) -> set[str]:
    """Return the methods that all routes of an address accept."""
    return {
        method
        for route in routes
        if isinstance(route, Route) and route.matches(scope)[0] is not Match.NONE
        for method in route.methods or ()
    }


def _nothing_at(routes: Sequence[BaseRoute], path: str) -> str:
    """Return the message on an address that no route has."""
    is_id = any(isinstance(route, IdRoute) and route.path_regex.match(path) for route in routes)
    return WRITE_AS if is_id else NOTHING_HERE
