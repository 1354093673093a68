"""Answers as JSON, and their description in OpenAPI."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi.responses import JSONResponse

from metarec.app.service.schemas import Problem


class Json(JSONResponse):
    """An answer of plain data, written by orjson; numbers that JSON does not have, such as NaN,
    become null.
    """

    def render(self, content: Any) -> bytes:
        """Return the content as JSON bytes."""
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def answers(shape: Any, *problems: int, status: int = 200) -> dict[str, Any]:
    """Return the arguments of a route that describe its answers in OpenAPI; the route itself
    returns `Json`, which has this shape already.
    """
    descriptions = {
        400: "The body cannot be read.",
        401: "No key, or an unknown one.",
        403: "The key's role may not do this.",
        404: "It does not exist.",
        409: "It conflicts with the current state.",
        413: "The body is too large.",
        421: "The service is not called by this host name.",
        422: "The request is invalid.",
        429: "Too many requests; wait and try again.",
        500: "A fault of the service.",
        501: "An optional library is not installed.",
        503: "The store or the service is busy or unavailable; try again.",
    }
    codes = sorted({400, 401, 403, 413, 421, 422, 429, 500, *problems})
    return {
        "response_model": None,
        "response_class": Json,
        "responses": {
            status: {"model": shape},
            **{code: {"model": Problem, "description": descriptions[code]} for code in codes},
        },
    }
