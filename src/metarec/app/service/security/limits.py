"""What one connection may take of a worker: bytes, time, and a place among the others.

uvicorn reads a request as it comes, of any length and for any time. Here each request has a longest
URL, longest headers and a deadline, and each worker a number of connections below its limit of open
files. When all are taken, the one that has waited longest without a whole request makes room, so
that nobody can hold places by doing nothing.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter, OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from socket import socket
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from metarec.app.service.settings import ServiceSettings

log = logging.getLogger("metarec.service")
BACKLOG = 1024
"""Connections that the system lets wait to be accepted."""
ACCEPTED_AT_ONCE = 64
"""At most so many are accepted before the first of them is looked at."""
SPARE_FILES = 192
"""Open files that are never connections: the store's, the model's, and those accepted at once."""
MAX_HEADERS = 100
"""Of a request: reading thousands of short ones takes longer than answering a slate."""
SLACK = 65_536
"""Bytes of a body that a refused request may send beyond the limit before its connection ends."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Of each connection, and of all of a worker."""

    connections: int
    url_bytes: int
    header_bytes: int
    body_bytes: int
    header_seconds: float
    body_seconds: float
    idle_seconds: float

    @classmethod
    def of(cls, settings: ServiceSettings) -> Limits:
        """As the settings say."""
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
    """What a connection is about."""

    IDLE = "between two requests"
    HEAD = "its URL and headers are coming"
    BODY = "its body is coming"
    BUSY = "its whole request is being answered"


class Connections(ServerState):
    """All connections of a worker."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.most = within_file_limit(limits.connections)
        self.waiting: OrderedDict[LimitedProtocol, None] = OrderedDict()
        """Those without a whole request, the longest waiting first."""
        self.ended: Counter[str] = Counter()
        """Connections that a limit ended since this was last logged, by reason."""

    def admit(self) -> bool:
        """Whether there is a place for a connection just made; the longest waiting makes room."""
        if len(self.connections) <= self.most:
            return True
        if not self.waiting:
            return False
        self.waiting.popitem(last=False)[0].make_room()
        return True

    def sweep(self, now: float) -> None:
        """End what took too long; called about twice a second."""
        for connection in list(self.connections):
            if isinstance(connection, LimitedProtocol):
                connection.end_if_overdue(now)

    def tell(self) -> None:
        """Log what was ended since the last time, if anything was."""
        if self.ended:
            log.warning("connections ended by limits", extra={"connections": dict(self.ended)})
            self.ended.clear()


class _Refused(Exception):
    """Stops the parser; the answer is sent already."""


class LimitedProtocol(HttpToolsProtocol):
    """One connection, read by uvicorn, within limits."""

    server_state: Connections
    _phase = Phase.HEAD
    _since = 0.0
    """When the phase began, on the loop's clock."""
    _fed = 0
    """Bytes of the head that came since the chunk it began in."""
    _head = 0
    """Bytes of the headers told of so far."""
    _body = 0
    _partial = False
    """A message has begun and not ended."""
    _refused = False
    _stuck_since: float | None = None
    """Since when the client has not taken what was written."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, or be told that there is none."""
        super().connection_made(transport)
        if self.server_state.admit():
            self._enter(Phase.HEAD)
        else:
            self._refuse(503, "all connections are taken; try again", (b"retry-after: 1",))

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave the place."""
        self.server_state.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, unless this was refused."""
        if self._refused:
            return
        if self._phase is Phase.IDLE:
            self._enter(Phase.HEAD)
        self._fed += len(data)
        super().data_received(data)
        limits = self.server_state.limits
        # The parser tells of a header once it is whole, and holds it until then
        in_head = self._phase is Phase.HEAD and not self._refused
        if in_head and self._fed > limits.url_bytes + limits.header_bytes:
            self._refuse_head()

    def on_message_begin(self) -> None:
        """A request begins; one that is sent ahead waits for the one before."""
        super().on_message_begin()
        self._partial, self._fed, self._head, self._body = True, 0, 0, 0

    def on_url(self, url: bytes) -> None:
        """A piece of the URL."""
        super().on_url(url)
        if len(self.url) > self.server_state.limits.url_bytes:
            most = self.server_state.limits.url_bytes
            self._refuse(414, f"a URL may have {most:,} bytes")
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """A whole header."""
        self._head += len(name) + len(value) + 4
        if self._head > self.server_state.limits.header_bytes or len(self.headers) >= MAX_HEADERS:
            self._refuse_head()
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The application is called; the body has its own deadline."""
        super().on_headers_complete()
        self._fed = 0
        if self._phase is Phase.HEAD:
            self._enter(Phase.BODY)

    def on_body(self, body: bytes) -> None:
        """A piece of the body; what comes after an answer is dropped, up to a limit."""
        super().on_body(body)
        self._body += len(body)
        if self._body > self.server_state.limits.body_bytes + SLACK and self._answered():
            self._end("body too long")

    def on_message_complete(self) -> None:
        """The request is whole."""
        super().on_message_complete()
        self._partial = False
        if self._phase in (Phase.HEAD, Phase.BODY):
            self._enter(Phase.IDLE if self._answered() else Phase.BUSY)

    def on_response_complete(self) -> None:
        """Answered: the next request may be here already, whole or in part."""
        ahead = bool(self.pipeline)
        super().on_response_complete()
        if self._phase is not Phase.BUSY:
            return
        if self._partial:
            self._enter(Phase.BODY if ahead else Phase.HEAD)
        else:
            self._enter(Phase.BUSY if ahead else Phase.IDLE)

    def pause_writing(self) -> None:
        """The client does not take what is written."""
        self._stuck_since = self.loop.time()
        super().pause_writing()

    def resume_writing(self) -> None:
        """It does again."""
        self._stuck_since = None
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 (the library's own words)
        """What cannot be read is refused in this service's words, once."""
        if not self._refused:
            self._refuse(400, "this is no HTTP request")

    def make_room(self) -> None:
        """End at once, for another connection."""
        self.server_state.ended["made room"] += 1
        self.server_state.connections.discard(self)
        self.transport.abort()

    def end_if_overdue(self, now: float) -> None:
        """End where the present phase took too long."""
        limits = self.server_state.limits
        if self._stuck_since is not None and now - self._stuck_since > limits.body_seconds:
            self.server_state.ended["answer not taken"] += 1
            self.transport.abort()
            return
        seconds = {
            Phase.IDLE: limits.idle_seconds,
            Phase.HEAD: limits.header_seconds,
            Phase.BODY: limits.body_seconds,
        }.get(self._phase)
        if seconds is None or now - self._since <= seconds or self.transport.is_closing():
            return
        untouched = self._phase is Phase.HEAD and not self._fed and not self._partial
        if self._phase is Phase.IDLE or untouched or (self.cycle and self.cycle.response_started):
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
        most = self.server_state.limits.header_bytes
        self._refuse(431, f"a request may have {MAX_HEADERS} headers of {most:,} bytes together")

    def _refuse(self, status: int, sentence: str, headers: tuple[bytes, ...] = ()) -> None:
        """Answer in place of the application, which hears that the client has gone."""
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
        self.transport.close()

    def _end(self, reason: str) -> None:
        self._refused = True
        self.server_state.ended[reason] += 1
        self.transport.close()


class LimitedServer(uvicorn.Server):
    """uvicorn's server, with its connections within limits."""

    def __init__(self, config: uvicorn.Config, limits: Limits) -> None:
        super().__init__(config)
        self.server_state: ServerState = Connections(limits)

    async def startup(self, sockets: list[socket] | None = None) -> None:
        """Listen; more may wait than are accepted at once."""
        await super().startup(sockets)
        for one in sockets or ():
            one.listen(BACKLOG)

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second."""
        state = self.server_state
        if isinstance(state, Connections):
            if counter % 5 == 0:
                state.sweep(asyncio.get_running_loop().time())
            if counter % 100 == 0:
                state.tell()
        return await super().on_tick(counter)


def options_of(settings: ServiceSettings) -> dict[str, Any]:
    """How uvicorn is configured so that the limits hold."""
    return {
        "http": "metarec.app.service.security.limits:LimitedProtocol",
        "ws": "none",
        "proxy_headers": False,
        "timeout_keep_alive": max(1, round(settings.idle_seconds)),
        "backlog": ACCEPTED_AT_ONCE,
    }


def within_file_limit(connections: int) -> int:
    """At most `connections`, and few enough that `SPARE_FILES` more files can be open; the
    process's own limit is raised as far as the system lets it.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return connections
    most = max(8, soft - SPARE_FILES)
    log.warning(
        "fewer connections than set, for this process may open few files",
        extra={"connections": most, "open_files": soft},
    )
    return most
