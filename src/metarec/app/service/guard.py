"""What stands before every route: limits on size, rate and host; a number for each request; logs
and metrics without people.

Written against ASGI itself: it runs for every request, and the frameworks' own middleware costs
more than the route.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import time
from collections import OrderedDict
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metarec.app.service.http import replayed
from metarec.app.service.keys import Keys
from metarec.app.service.meters import Meters
from metarec.app.service.settings import ServiceSettings

log = logging.getLogger("metarec.service")
_MOST_CLIENTS = 10_000
_HEALTH = {"/healthz", "/readyz"}
"""Not limited: a supervisor behind the same proxy as a busy client would take a living process for
a dead one.
"""
_NO_SNIFF = (b"x-content-type-options", b"nosniff")


class Guard:
    """ASGI middleware around the whole service."""

    def __init__(self, app: ASGIApp, *, settings: ServiceSettings, meters: Meters) -> None:
        self._app, self._settings, self._meters = app, settings, meters
        self._rate = RateLimit(settings.requests_per_second, settings.burst)
        self._keys = Keys(settings.keys)
        self._numbers, self._process = itertools.count(1), f"{os.getpid():x}"
        self._hosts = set(settings.hosts) or (
            {"127.0.0.1", "localhost", "[::1]"} if settings.is_local and not settings.keys else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it with one sentence."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500
        number = f"{self._process}-{next(self._numbers):x}"

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", number.encode()),
                    _NO_SNIFF,
                ]
            await send(message)

        try:
            await self._guarded(scope, receive, sending)
        except Exception as error:
            if status != 500:
                raise  # the answer has begun; nothing sensible can be added
            # The message of an unforeseen error may hold what a person sent; its kind and place do
            # not.
            log.error(
                "unforeseen error",
                extra={"request": number, "kind": type(error).__name__, "at": _place(error)},
            )
            await _refuse(
                sending,
                500,
                f"something went wrong here; please report it with the number {number}",
            )
        finally:
            self._note(scope, status, time.perf_counter() - started, number)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {
            name: value
            for name, value in reversed(
                scope["headers"]
            )  # the first of a name counts, as for the framework
            if name
            in (b"host", b"content-length", b"authorization", b"x-api-key", b"transfer-encoding")
        }
        host = headers.get(b"host", b"").decode("latin-1")
        if self._hosts is not None and _without_port(host) not in self._hosts:
            await _refuse(
                send,
                421,
                f"this service is not called {host[:100]!r}; name it in the setting `hosts`",
            )
            return
        if scope["path"] not in _HEALTH and not self._rate.allows(self._client(scope, headers)):
            await _refuse(
                send,
                429,
                f"more than {self._settings.requests_per_second:g} requests a second; wait and "
                f"try again",
                [(b"retry-after", b"1")],
            )
            return
        most = self._settings.max_body_bytes
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length) > most):
            await _refuse(
                send,
                413,
                f"a request may have {most:,} bytes, this one says "
                f"{length[:20].decode('latin-1')}; send it in parts",
            )
            return
        if b"transfer-encoding" not in headers:
            await self._app(
                scope, receive, send
            )  # the server itself holds the body to its stated length
            return
        body = await _whole(receive, most)
        if body is None:
            await _refuse(send, 413, f"a request may have {most:,} bytes; send it in parts")
        else:
            await self._app(scope, replayed(body, receive), send)

    def _client(self, scope: Scope, headers: dict[bytes, bytes]) -> bytes:
        """Whose bucket a request empties: that of a known key, else of its address; made-up keys
        would each have a full one.
        """
        if self._keys:
            given = (headers.get(name) for name in (b"authorization", b"x-api-key"))
            holder = self._keys.holder(
                *(None if value is None else value.decode("latin-1") for value in given)
            )
            if holder is not None:
                return holder
        return (scope.get("client") or ("",))[0].encode()

    def _note(self, scope: Scope, status: int, seconds: float, number: str) -> None:
        route = getattr(
            scope.get("route"), "path_format", "none"
        )  # the template, not the path: paths hold ids
        self._meters.answered(route, status, seconds)
        if status >= 500 or log.isEnabledFor(logging.DEBUG):
            log.log(
                logging.WARNING if status >= 500 else logging.DEBUG,
                "answered",
                extra={
                    "request": number,
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "ms": round(seconds * 1e3, 2),
                },
            )


class RateLimit:
    """A bucket for each client that fills at a steady rate and holds a burst."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second, self._burst = per_second, float(burst)
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def allows(self, client: bytes, now: float | None = None) -> bool:
        """Whether this client may send one more request now (seconds, monotonic)."""
        if not self._per_second:
            return True
        now = time.monotonic() if now is None else now
        left, at = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        allowed = left >= 1.0
        self._buckets[client] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > _MOST_CLIENTS:
            self._buckets.popitem(last=False)  # the client heard of longest ago
        return allowed


def _without_port(host: str) -> str:
    return (
        host[: host.index("]") + 1]
        if host.startswith("[") and "]" in host
        else host.split(":")[0].lower()
    )


async def _whole(receive: Receive, most: int) -> bytes | None:
    """A body of unstated length, or None once it is too long."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > most:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


async def _refuse(send: Send, status: int, sentence: str, headers: Any = ()) -> None:
    body = json.dumps({"error": sentence}).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


def _place(error: BaseException) -> list[str]:
    """File and line of each step that led to the error."""
    places, trace = [], error.__traceback__
    while trace is not None:
        places.append(
            f"{trace.tb_frame.f_code.co_filename.rsplit('site-packages/')[-1]}:{trace.tb_lineno}"
        )
        trace = trace.tb_next
    return places[-8:]
