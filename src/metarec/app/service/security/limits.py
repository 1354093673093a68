"""Limits of each connection of a worker: bytes, seconds and their number.

uvicorn reads requests of any length for any time. Here each request has a longest URL, longest
headers and a deadline, and each worker a number of connections below its limit of open files. When
all are taken, the connection that has waited longest without a complete request is closed, so that
idle clients cannot block others.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from socket import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from metarec.app.service.security.open_files import within_file_limit
from metarec.app.service.settings import ServiceSettings

log = logging.getLogger("metarec.service")
BACKLOG = 1024
"""Number of connections that the system keeps waiting to be accepted."""
ACCEPTED_AT_ONCE = 64
"""Largest number of connections accepted before the first of them is read."""
MAX_HEADERS = 100
"""Largest number of headers of a request; reading thousands of short ones takes longer than a
slate.
"""
SLACK = 65_536
"""Bytes of a body beyond the limit that a refused client may send on a connection that is kept."""
MAX_DRAINED = 256 * 2**20
"""Bytes that are read and dropped after a refusal. A connection closed with unread bytes is reset,
and many clients send all of a request before they read why it was refused.
"""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of each connection, and the number of connections of a worker."""

    connections: int
    url_bytes: int
    header_bytes: int
    body_bytes: int
    header_seconds: float
    body_seconds: float
    idle_seconds: float

    @classmethod
    def of(cls, settings: ServiceSettings) -> Limits:
        """Take the limits from the settings."""
        return cls(
            connections=settings.max_connections,
            url_bytes=settings.max_url_bytes,
            header_bytes=settings.max_header_bytes,
            body_bytes=settings.max_body_bytes,
            header_seconds=settings.header_seconds,
            body_seconds=settings.body_seconds,
            idle_seconds=settings.idle_seconds,
        )


class Phase(Enum):
    """State of a connection."""

    IDLE = "between two requests"
    HEAD = "its URL and headers are coming"
    BODY = "its body is coming"
    BUSY = "its whole request is being answered"
    LEAVING = "it was answered for the last time, and what still comes is dropped"


class Connections(ServerState):
    """All connections of a worker."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.most = within_file_limit(limits.connections)
        self.waiting: OrderedDict[LimitedProtocol, None] = OrderedDict()
        """Connections without a complete request, the longest waiting first."""
        self.ended: Counter[str] = Counter()
        """Reason -> number of connections ended by a limit since the last log line."""

    def admit(self) -> bool:
        """Return whether a new connection fits; if all are taken, the longest waiting one is closed
        for it.
        """
        if len(self.connections) <= self.most:
            return True
        if not self.waiting:
            return False
        self.waiting.popitem(last=False)[0].make_room()
        return True

    def sweep(self, now: float) -> None:
        """End the connections beyond their deadlines; called about twice a second."""
        for connection in list(self.connections):
            if isinstance(connection, LimitedProtocol):
                connection.end_if_overdue(now)

    def log_ended(self) -> None:
        """Log the number of connections ended since the last call, if there are any."""
        if self.ended:
            log.warning("connections ended by limits", extra={"connections": dict(self.ended)})
            self.ended.clear()


class _Refused(Exception):
    """Stops the parser; the answer was sent already."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection, read by uvicorn within the limits."""

    server_state: Connections
    _phase = Phase.HEAD
    _since = 0.0
    """Start of the phase, on the loop's clock."""
    _fed = 0
    """Bytes received of the head of the current request."""
    _head = 0
    """Bytes of the headers parsed so far."""
    _body = 0
    _partial = False
    """Whether a request has begun and is not complete."""
    _refused = False
    _dropped = 0
    """Bytes dropped since the phase `LEAVING` began."""
    _stuck_since: float | None = None
    """Time since when the client has not read the answer; None while it does."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit the connection, or answer 503."""
        super().connection_made(transport)
        if self.server_state.admit():
            self._enter(Phase.HEAD)
        else:
            self._refuse(503, "all connections are taken; try again", (b"retry-after: 1",))

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the waiting ones."""
        self.server_state.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data, or drop them once the connection was refused."""
        if self._refused:
            self._dropped += len(data)
            if self._dropped > MAX_DRAINED:
                self._end("body too long")
            return
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEAD)
        self._fed += len(data)
        super().data_received(data)
        limits = self.server_state.limits
        # The parser reports a header once it is complete, and keeps it in memory until then.
        in_head = self._phase is Phase.HEAD and not self._refused
        if in_head and self._fed > limits.url_bytes + limits.header_bytes:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """Reset the counts for a new request; one that is sent ahead waits for the one before."""
        super().on_message_begin()
        self._partial, self._fed, self._head, self._body = True, 0, 0, 0

    def on_url(self, url: bytes) -> None:
        """Handle a piece of the URL."""
        super().on_url(url)
        if len(self.url) > self.server_state.limits.url_bytes:
            limit = self.server_state.limits.url_bytes
            self._refuse(414, f"a URL may have {limit:,} bytes")
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """Handle a complete header."""
        self._head += len(name) + len(value) + 4
        if self._head > self.server_state.limits.header_bytes or len(self.headers) >= MAX_HEADERS:
            self._refuse_head()
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Call the application; the body has a deadline of its own."""
        super().on_headers_complete()
        # It closes the connection after an answer where the client asked for that. It has all of a
        # transport that an answer uses, not all of the class.
        self.cycle.transport = _Lingering(self)  # type: ignore[assignment]
        self._fed = 0
        if self._phase is Phase.HEAD:
            self._enter(Phase.BODY)

    def on_body(self, body: bytes) -> None:
        """Handle a piece of the body; after the answer it is ignored, up to a limit."""
        super().on_body(body)
        self._body += len(body)
        if self._body > self.server_state.limits.body_bytes + SLACK and self._answered():
            self.server_state.ended["body too long"] += 1
            self._leave()

    def on_message_complete(self) -> None:
        """Mark the request as complete."""
        super().on_message_complete()
        self._partial = False
        if self._phase in (Phase.HEAD, Phase.BODY):
            self._enter(Phase.IDLE if self._answered() else Phase.BUSY)

    def on_response_complete(self) -> None:
        """Mark the request as answered. The next one may have arrived already, complete or in
        part.
        """
        if self._phase is Phase.LEAVING:
            self.server_state.total_requests += 1
            return
        ahead = bool(self.pipeline)
        super().on_response_complete()
        if self._phase is not Phase.BUSY:
            return
        if self._partial:
            self._enter(Phase.BODY if ahead else Phase.HEAD)
        else:
            self._enter(Phase.BUSY if ahead else Phase.IDLE)

    def pause_writing(self) -> None:
        """Start the deadline of a client that does not read the answer."""
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """End the deadline of `pause_writing`."""
        self._stuck_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (the library's own words)
        """Refuse data that are not HTTP with this service's own message, once."""
        if not self._refused:
            self._refuse(400, "this is no HTTP request")

    def close_answered(self) -> None:
        """Close the connection after an answer; where its request is not complete, once the client
        could read the answer.
        """
        if self._partial and not self.transport.is_closing():
            self._leave()
        else:
            self.transport.close()

    def shutdown(self) -> None:
        """Close the connection, or let its request finish."""
        if self._phase is Phase.LEAVING:
            self.transport.close()
        else:
            super().shutdown()

    def make_room(self) -> None:
        """Close the connection at once, for another one."""
        self.server_state.ended["made room"] += 1
        self.server_state.connections.discard(self)
        self.transport.abort()

    def end_if_overdue(self, now: float) -> None:
        """End the connection where the current phase took too long."""
        limits = self.server_state.limits
        if self._stuck_since is not None and now - self._stuck_since > limits.body_seconds:
            self.server_state.ended["answer not taken"] += 1
            self.transport.abort()
            return
        seconds = {
            Phase.IDLE: limits.idle_seconds,
            Phase.HEAD: limits.header_seconds,
            Phase.BODY: limits.body_seconds,
            Phase.LEAVING: limits.body_seconds,
        }.get(self._phase)
        if seconds is None or now - self._since <= seconds or self.transport.is_closing():
            return
        untouched = self._phase is Phase.HEAD and not self._fed and not self._partial
        is_told = self._phase in (Phase.IDLE, Phase.LEAVING) or untouched
        if is_told or (self.cycle and self.cycle.response_started):
            self._end(self._phase.name.lower())
        else:
            self._refuse(408, f"a request must be sent whole within {seconds:g} seconds")

    def _answered(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete

    def _enter(self, phase: Phase) -> None:
        self._phase, self._since = phase, self.loop.time()
        waiting = self.server_state.waiting
        if phase is Phase.BUSY:
            waiting.pop(self, None)
        else:
            waiting[self] = None
            waiting.move_to_end(self)

    def _refuse_head(self) -> None:
        limit = self.server_state.limits.header_bytes
        self._refuse(431, f"a request may have {MAX_HEADERS} headers of {limit:,} bytes together")

    def _refuse(self, status: int, sentence: str, headers: tuple[bytes, ...] = ()) -> None:
        """Send an error in place of the application, for which the client has disconnected."""
        self._refused = True
        self.server_state.ended[str(status)] += 1
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        body = json.dumps({"error": sentence}).encode()
        lines = [
            STATUS_LINE[status].rstrip(),
            b"content-type: application/json",
            b"content-length: %d" % len(body),
            b"connection: close",
            *headers,
        ]
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.transport.close()  # no connection is left for it to linger in
        else:
            self._leave()

    def _leave(self) -> None:
        """Send no more, and drop what still comes until the client closes, within limits."""
        self._refused = True
        self._enter(Phase.LEAVING)
        self.flow.resume_reading()
        self.transport.write_eof()

    def _end(self, reason: str) -> None:
        self._refused = True
        self.server_state.ended[reason] += 1
        self.transport.close()


class _Lingering:
    """The transport of one answer: its `close` leaves the client time to read the answer."""

    def __init__(self, connection: LimitedProtocol) -> None:
        self._connection, transport = connection, connection.transport
        self.write, self.is_closing = transport.write, transport.is_closing

    def close(self) -> None:
        """Close the connection, at once or once the client could read the answer."""
        self._connection.close_answered()


class LimitedServer(uvicorn.Server):
    """uvicorn's server, with limits on its connections."""

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        super().__init__(config)
        self.server_state: ServerState = Connections(limits)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen; more connections may wait than are accepted at once."""
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(BACKLOG)

    async def on_tick(self, counter: int) -> bool:
        """Check the deadlines twice a second, and log ended connections every 10 seconds."""
        state = self.server_state
        if isinstance(state, Connections):
            if counter % 5 == 0:
                state.sweep(asyncio.get_running_loop().time())
            if counter % 100 == 0:
                state.log_ended()
        return await super().on_tick(counter)


def options_of(settings: ServiceSettings) -> dict[str, Any]:
    """Return the options of uvicorn with which the limits hold."""
    return {
        "http": "metarec.app.service.security.limits:LimitedProtocol",
        "ws": "none",
        "proxy_headers": False,
        "timeout_keep_alive": max(1, round(settings.idle_seconds)),
        "backlog": ACCEPTED_AT_ONCE,
    }
