"""What one connection may take, seen from a plain socket."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
import time
from contextlib import suppress

import pytest

uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("httptools")

from metarec.app.service.security.limits import (  # noqa: E402
    LimitedServer,
    Limits,
    options_of,
)
from metarec.app.service.security.open_files import (  # noqa: E402
    SPARE_FILES,
    within_file_limit,
)
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from waiting import eventually  # noqa: E402  # once what it needs is there

RELEASE = threading.Event()


async def echo(scope, receive, send):
    """Answers with the body's length: after a while at `/slow`, once `RELEASE` is set at `/held`,
    without reading it at `/early`.
    """
    size, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
    while scope["path"] == "/held" and not RELEASE.is_set():
        await asyncio.sleep(0.01)
    body = b"x" * 20_000_000 if scope["path"] == "/big" else str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def serve():
    """Serves `echo` within limits; gives the port, and keeps the servers."""
    running = []
    RELEASE.clear()

    def serving(**limits):
        settings = ServiceSettings(model="m", **{"header_seconds": 0.5, **limits})
        listening = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            echo, lifespan="off", log_level="warning", **{**options_of(settings), "loop": "asyncio"}
        )
        server = LimitedServer(config, Limits.of(settings))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        running.append((server, thread))
        return listening.getsockname()[1]

    serving.running = running
    yield serving
    RELEASE.set()
    for server, thread in running:
        server.should_exit = server.force_exit = True
        thread.join(60)


def opened(port):
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def answer(one):
    """Status and body of one answer; 0 where the connection ended without."""
    got = b""
    while b"\r\n\r\n" not in got:
        try:
            piece = one.recv(65_536)
        except ConnectionResetError:
            piece = b""
        if not piece:
            return (int(got.split()[1]), b"") if got else (0, b"")
        got += piece
    head, _, body = got.partition(b"\r\n\r\n")
    size = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if b"content-length" in line
    )
    while len(body) < size:
        body += one.recv(65_536)
    return int(head.split()[1]), body


def asked(port, request):
    with opened(port) as one:
        one.sendall(request)
        return answer(one)


def test_a_plain_request_is_answered_and_its_connection_kept(serve):
    with opened(serve()) as one:
        for size in (0, 3, 100_000):
            body = b"x" * size
            one.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + body)
            assert answer(one) == (200, str(size).encode())


def test_a_long_url_is_refused(serve):
    port = serve(max_url_bytes=1_000)
    assert asked(port, b"GET /" + b"a" * 900 + b" HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 200
    status, body = asked(port, b"GET /" + b"a" * 1_001 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert status == 414
    assert json.loads(body) == {"error": "a URL may have 1,000 bytes"}
    assert asked(port, b"GET /" + b"a" * 70_000)[0] == 414


@pytest.mark.parametrize("header", [b"a: b\r\n" * 20_000, b"a: " + b"b" * 400_000])
def test_endless_headers_are_refused_whether_many_or_long(serve, header):
    port = serve(max_header_bytes=2_000)
    fits = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"a: b\r\n" * 99 + b"\r\n"
    assert asked(port, fits)[0] == 200
    status, body = asked(port, fits[:-2] + b"a: b\r\n\r\n")
    assert status == 431
    assert json.loads(body) == {"error": "a request may have 100 headers of 2,000 bytes together"}
    with opened(port) as one:
        one.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n")
        try:
            for start in range(0, len(header), 10_000):
                one.sendall(header[start : start + 10_000])
        except OSError:
            pass  # refused meanwhile
        assert answer(one)[0] in (431, 0)
    assert asked(port, fits)[0] == 200


def test_unfinished_requests_end_in_time_and_whole_ones_are_not_hurried(serve):
    port = serve(body_seconds=0.5, idle_seconds=0.5)
    with opened(port) as slow, opened(port) as head, opened(port) as body, opened(port) as silent:
        slow.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
        head.sendall(b"GET / HT")
        body.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
        assert answer(silent)[0] == 0
        assert answer(head)[0] == 408
        assert answer(body)[0] == 408
        RELEASE.set()  # all others have had their time by now
        assert answer(slow) == (200, b"0")
        assert answer(slow)[0] == 0  # idle


def test_bytes_that_trickle_do_not_make_time(serve):
    port = serve()
    with opened(port) as one:
        one.sendall(b"GET / HTTP/1.1\r\na: ")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(600):  # as long as 120 times the half second that a head may take
                one.sendall(b"b")
                time.sleep(0.1)


def test_the_rest_of_a_body_that_was_answered_already_is_read_so_far_and_no_further(
    serve, monkeypatch
):
    monkeypatch.setattr("metarec.app.service.security.limits.MAX_DRAINED", 1_000_000)
    port = serve(max_body_bytes=1_000)
    with opened(port) as one:
        one.sendall(b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n")
        assert answer(one) == (200, b"0")
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            for _ in range(1_000):
                one.sendall(b"x" * 10_000)
                time.sleep(0.001)


HEAD = b"POST /early HTTP/1.1\r\nHost: a\r\n"


@pytest.mark.parametrize("kept", [b"", b"Connection: close\r\n"])
@pytest.mark.parametrize("form", ["plain", "chunked", "expect"])
def test_a_client_that_sends_far_too_much_reads_why_it_was_refused(serve, form, kept):
    """As `http.client` does: it sends all of the body before it reads the answer."""
    port, size = serve(max_body_bytes=1_000), 20_000_000
    body, length = b"x" * size, b"Content-Length: %d\r\n" % size
    if form == "chunked":
        body, length = b"%x\r\n%s\r\n0\r\n\r\n" % (size, body), b"Transfer-Encoding: chunked\r\n"
    expect = b"Expect: 100-continue\r\n" if form == "expect" else b""
    with opened(port) as one:
        one.sendall(HEAD + length + expect + kept + b"\r\n")
        one.sendall(body)
        time.sleep(0.2)  # a reset that follows would discard what the client has not read yet
        assert answer(one) == (200, b"0")
        assert one.recv(1) == b""


def test_a_url_of_megabytes_is_refused_with_the_reason(serve):
    with opened(serve(max_url_bytes=1_000)) as one:
        one.sendall(b"GET /" + b"a" * 20_000_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        time.sleep(0.2)
        assert answer(one)[0] == 414
        assert one.recv(1) == b""


def test_requests_sent_ahead_are_answered_in_order_and_an_unfinished_one_ends(serve):
    port = serve(body_seconds=0.5)
    with opened(port) as one:
        whole = b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
        one.sendall(whole + b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx")
        assert answer(one) == (200, b"1")
        assert answer(one)[0] == 408


def test_an_answer_that_is_not_taken_ends(serve):
    port = serve(body_seconds=0.5)
    with opened(port) as one:
        one.sendall(b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
        [(server, _)] = serve.running
        eventually(lambda: server.server_state.connections)
        eventually(lambda: not server.server_state.connections)
        got = 0
        with suppress(ConnectionResetError):
            while piece := one.recv(1_000_000):
                got += len(piece)
        assert got < 20_000_000


def test_who_waits_without_a_request_makes_room(serve, caplog):
    port = serve(max_connections=8, header_seconds=30.0)
    with caplog.at_level(logging.WARNING):
        idle = [opened(port) for _ in range(20)]
        time.sleep(0.3)
        for _ in range(3):
            assert asked(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n") == (200, b"0")
    assert answer(idle[0])[0] == 0
    for one in idle:
        one.close()


def test_where_all_are_being_answered_a_new_user_is_told_to_come_again(serve):
    port = serve(max_connections=8, header_seconds=60.0)
    busy = [opened(port) for _ in range(8)]
    for one in busy:
        one.sendall(b"GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
    [(server, _)] = serve.running
    state = server.server_state
    eventually(lambda: len(state.connections) == 8 and not state.waiting)
    with opened(port) as one:
        assert answer(one)[0] == 503
    RELEASE.set()
    assert [answer(one) for one in busy] == [(200, b"0")] * 8
    for one in busy:
        one.close()


def test_what_is_no_http_is_refused_in_one_sentence(serve):
    status, body = asked(serve(), b"\x16\x03\x01 hello\r\n\r\n")
    assert (status, json.loads(body)) == (400, {"error": "this is no HTTP request"})


def test_connections_stay_below_the_limit_of_open_files(monkeypatch):
    resource = pytest.importorskip("resource")
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 1_024))
    monkeypatch.setattr(resource, "setrlimit", lambda _which, _limits: None)
    assert within_file_limit(10) == 10
    assert within_file_limit(5_000) == 256 - SPARE_FILES
