"""Translates answers into the language that a client requests with Accept-Language, else into the
service's own.

Routes and errors are in English; their sentences are replaced here, in the finished answer.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metarec.runtime.language import ENGLISH, accepted, translated_answer

_VARY = (b"vary", b"accept-language")


class Translation:
    """ASGI middleware that translates JSON answers."""

    def __init__(self, app: ASGIApp, *, default: str) -> None:
        self._app, self._default = app, default

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and send its answer in the requested language."""
        language = self._language(scope) if scope["type"] == "http" else ENGLISH
        if language == ENGLISH:
            await self._app(scope, receive, send)
        else:
            await self._app(scope, receive, Translating(send, language))

    def _language(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"accept-language":
                return accepted(value.decode("latin-1"), self._default)
        return self._default


class Translating:
    """Sends one answer; a JSON answer is held back until it is complete, then translated."""

    def __init__(self, send: Send, language: str) -> None:
        self._send, self._language = send, language
        self._start: Message | None = None
        self._body: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        """Handle one message of the answer."""
        if message["type"] == "http.response.start" and _is_json(message):
            self._start = message
        elif self._start is None:
            await self._send(message)
        else:
            self._body.append(message.get("body", b""))
            if not message.get("more_body"):
                await self._finish(self._start, b"".join(self._body))

    async def _finish(self, start: Message, body: bytes) -> None:
        translated = _translated_body(body, self._language)
        kept = [pair for pair in start["headers"] if pair[0].lower() != b"content-length"]
        length = (b"content-length", str(len(translated)).encode())
        spoken = (b"content-language", self._language.encode())
        await self._send({**start, "headers": [*kept, length, spoken, _VARY]})
        await self._send({"type": "http.response.body", "body": translated})


def _is_json(start: Message) -> bool:
    headers: Any = start.get("headers", ())
    return any(
        name.lower() == b"content-type" and value.split(b";")[0] == b"application/json"
        for name, value in headers
    )


def _translated_body(body: bytes, language: str) -> bytes:
    """Translate the sentences of a body; the empty body of a HEAD request stays empty."""
    return orjson.dumps(translated_answer(orjson.loads(body), language)) if body else body
