"""ASGI middleware: limits on body, rate and host; API keys, checked before a body is read; request
ids; logs and metrics without users.

It is written for ASGI itself: it runs for every request, and the frameworks' own middleware costs
more time than a route.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from metarec.app.service.http.shortcut import replayed
from metarec.app.service.monitoring.metrics import Metrics
from metarec.app.service.security import audit_log
from metarec.app.service.security.authentication import KEY_NEEDED, KEY_UNKNOWN, ApiKeys
from metarec.app.service.security.browser_security import (
    answer_headers,
    cross_site_problem,
    is_data,
)
from metarec.app.service.settings import ServiceSettings

log = logging.getLogger("metarec.service")
_MAX_CLIENTS = 10_000
HEALTH = frozenset({"/healthz", "/readyz"})
"""Paths without a rate limit: else a supervisor behind the same proxy as a busy client would take a
living process for a dead one.
"""
LEFT = 499
"""Status counted for clients that disconnected before their answer; it is never sent."""
_HEADERS = frozenset(
    {
        b"host",
        b"content-length",
        b"content-type",
        b"transfer-encoding",
        b"authorization",
        b"x-api-key",
        b"origin",
        b"sec-fetch-site",
        b"x-requested-with",
        b"x-request-id",
    }
)
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._\-]{1,64}")
Header = tuple[bytes, bytes]


class Middleware:
    """ASGI middleware around the whole service."""

    def __init__(self, app: ASGIApp, *, settings: ServiceSettings, metrics: Metrics) -> None:
        self._app, self._settings, self._metrics = app, settings, metrics
        self._rate = RateLimit(settings.requests_per_second, settings.burst)
        self._keys = ApiKeys(settings.keys)
        self._numbers, self._process = itertools.count(1), f"{os.getpid():x}"
        self._origins = frozenset(settings.cors_origins)
        self._hosts = set(settings.hosts) or (
            {"127.0.0.1", "localhost", "[::1]"} if settings.is_local and not settings.keys else None
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with one sentence."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _Call.of(scope, self._keys, f"{self._process}-{next(self._numbers):x}")
        started, status = time.perf_counter(), LEFT
        more_headers = [(b"x-request-id", call.number.encode()), *answer_headers(scope["path"])]

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                taken = f"total;dur={1000 * (time.perf_counter() - started):.1f}"
                message["headers"] = [
                    *message.get("headers", ()),
                    *more_headers,
                    (b"server-timing", taken.encode()),
                ]
            await send(message)

        try:
            await self._guarded(scope, receive, sending, call)
        except ClientDisconnect:
            pass  # no client is left to be answered
        except Exception as error:
            if status != LEFT:
                raise  # the answer has begun, so no other can be sent
            # The message of an unforeseen error may contain what a user sent; its type and place
            # in the code do not.
            log.error(
                "unforeseen error",
                extra={"request": call.number, "kind": type(error).__name__, "at": _place(error)},
            )
            await _refuse(
                sending,
                500,
                f"something went wrong here; please report it with the number {call.number}",
            )
        finally:
            self._note(scope, status, time.perf_counter() - started, call)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send, call: _Call) -> None:
        refusal = self._refusal(scope, call)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        max_bytes = self._settings.max_body_bytes
        length = call.headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length) > max_bytes):
            await _refuse(
                send,
                413,
                f"a request may have {max_bytes:,} bytes, this one says "
                f"{length[:20].decode('latin-1')}; send it in parts",
            )
            return
        if b"transfer-encoding" not in call.headers:
            await self._app(scope, receive, send)  # the server enforces the stated length itself
            return
        body = await _read_body(receive, max_bytes)
        if body is None:
            await _refuse(send, 413, f"a request may have {max_bytes:,} bytes; send it in parts")
        else:
            await self._app(scope, replayed(body, receive), send)

    def _refusal(self, scope: Scope, call: _Call) -> tuple[int, str, list[Header]] | None:
        """Return status, sentence and headers of the refusal of a request, before its body is read;
        None if it may pass.
        """
        path, headers = scope["path"], call.headers
        host = headers.get(b"host", b"").decode("latin-1")
        if self._hosts is not None and _without_port(host) not in self._hosts:
            sentence = f"this service is not called {host[:100]!r}; name it in the setting `hosts`"
            return 421, sentence, []
        if path in HEALTH:
            return None
        query = scope.get("query_string", b"")
        if "\ufffd" in path or b"%" in query:
            sent = scope.get("raw_path") or path.encode(), query
            if not all(map(_is_utf8, sent)):
                return 400, "the address is not UTF-8; write its letters in UTF-8, then with %", []
        # The bucket of a known key, else of the address: each invented key would have a full one.
        if not self._rate.allows(call.holder or call.client.encode()):
            limit = self._settings.requests_per_second
            sentence = f"more than {limit:g} requests a second; wait and try again"
            return 429, sentence, [(b"retry-after", b"1")]
        if self._keys:
            if is_data(path) and call.holder is None:
                sentence = KEY_UNKNOWN if call.has_key else KEY_NEEDED
                return 401, sentence, [(b"www-authenticate", b"Bearer")]
        elif (
            is_data(path)
            and (reason := cross_site_problem(scope["method"], headers, self._origins)) is not None
        ):
            return 403, reason, []
        return None

    def _note(self, scope: Scope, status: int, seconds: float, call: _Call) -> None:
        # The template, not the path: paths contain ids.
        route = getattr(scope.get("route"), "path_format", "none")
        self._metrics.answered(route, status, seconds)
        if (what := audit_log.what_happened(scope["method"], scope["path"], status)) is not None:
            audit_log.note(
                what,
                request=call.number,
                method=scope["method"],
                route=route,
                status=status,
                client=call.client,
                holder=call.holder,
                role=None if call.holder is None else self._keys.role(call.holder),
                params=scope.get("path_params", {}),
            )
        if status >= 500 or log.isEnabledFor(logging.DEBUG):
            log.log(
                logging.WARNING if status >= 500 else logging.DEBUG,
                "answered",
                extra={
                    "request": call.number,
                    "method": scope["method"],
                    "route": route,
                    "status": status,
                    "ms": round(seconds * 1e3, 2),
                },
            )


@dataclass(frozen=True, kw_only=True)
class _Call:
    """Facts about a request from its headers."""

    headers: dict[bytes, bytes]
    """The headers used here; of those with the same name the first counts, as in the framework."""
    number: str
    """Id of the request: the client's own where it sent a valid one, so that logs can be joined."""
    client: str
    """Address of the client."""
    has_key: bool
    holder: bytes | None
    """Digest of the known key that was sent; None without one."""

    @classmethod
    def of(cls, scope: Scope, keys: ApiKeys, number: str) -> _Call:
        """Read the headers of a request; `number` is its id where the client sent none."""
        headers = {name: value for name, value in reversed(scope["headers"]) if name in _HEADERS}
        sent_id = headers.get(b"x-request-id")
        credentials = [
            None if (value := headers.get(name)) is None else value.decode("latin-1")
            for name in (b"authorization", b"x-api-key")
        ]
        return cls(
            headers=headers,
            number=sent_id.decode()
            if sent_id is not None and _REQUEST_ID.fullmatch(sent_id)
            else number,
            client=(scope.get("client") or ("",))[0],
            has_key=any(credentials),
            holder=keys.holder(*credentials) if keys and any(credentials) else None,
        )


class RateLimit:
    """Token buckets, one per client, refilled at a constant rate up to the burst."""

    def __init__(self, per_second: float, burst: int) -> None:
        self._per_second, self._burst = per_second, float(burst)
        self._buckets: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def allows(self, client: bytes, now: float | None = None) -> bool:
        """Return whether this client may send one more request now (seconds, monotonic), and count
        it.
        """
        if not self._per_second:
            return True
        now = time.monotonic() if now is None else now
        left, at = self._buckets.pop(client, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        allowed = left >= 1.0
        self._buckets[client] = (left - 1.0 if allowed else left, now)
        if len(self._buckets) > _MAX_CLIENTS:
            self._buckets.popitem(last=False)  # the client whose last request is the oldest
        return allowed


def _is_utf8(address: bytes) -> bool:
    """Return whether an address is UTF-8: the framework replaces what is not, so that two ids would
    be one user.
    """
    try:
        unquote_to_bytes(address.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _without_port(host: str) -> str:
    return (
        host[: host.index("]") + 1]
        if host.startswith("[") and "]" in host
        else host.split(":")[0].lower()
    )


async def _read_body(receive: Receive, max_bytes: int) -> bytes | None:
    """Read a body of unknown length; None once it is longer than `max_bytes`."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > max_bytes:
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
    """Return file and line of the last 8 steps of the stack that led to the error."""
    places, trace = [], error.__traceback__
    while trace is not None:
        places.append(
            f"{trace.tb_frame.f_code.co_filename.rsplit('site-packages/')[-1]}:{trace.tb_lineno}"
        )
        trace = trace.tb_next
    return places[-8:]
