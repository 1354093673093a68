from __future__ import annotations

import asyncio
import json
import logging

import pytest

from metarec.app.service.http.errors import without_details
from metarec.app.service.http.middleware import Middleware, RateLimit
from metarec.app.service.monitoring.metrics import Metrics
from metarec.app.service.settings import ServiceSettings


async def echo(scope, receive, send):
    """Answers with the body it was given, or fails as told."""
    if scope["path"] == "/fails":
        raise RuntimeError("ann-private")
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    scope["route"] = type("Route", (), {"path_format": "/things/{id}"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def call(guard, path="/things/ann-private", body=b"", headers=(), client="1.2.3.4", parts=None):
    sent, chunks = [], list(parts if parts is not None else [body])

    async def receive():
        return {"type": "http.request", "body": chunks.pop(0), "more_body": bool(chunks)}

    async def send(message):
        sent.append(message)

    named = {b"host": b"127.0.0.1:8000", **dict(headers)}
    if parts is None:
        named[b"content-length"] = str(len(body)).encode()
    sent_headers = [(name, value) for name, value in named.items() if value is not None]
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": sent_headers,
        "client": (client, 1),
    }
    asyncio.run(guard(scope, receive, send))
    return (
        sent[0]["status"],
        b"".join(m.get("body", b"") for m in sent[1:]),
        dict(sent[0]["headers"]),
    )


def guarded(**settings):
    return Middleware(echo, settings=ServiceSettings(model="m", **settings), metrics=Metrics())


def test_a_good_request_passes_with_a_number():
    status, body, headers = call(guarded(), body=b"hello")
    assert (status, body) == (200, b"hello")
    assert headers[b"x-request-id"]
    assert headers[b"server-timing"].startswith(b"total;dur=")
    assert headers[b"x-content-type-options"] == b"nosniff"


def test_a_long_body_is_refused_whether_its_length_is_said_or_not():
    guard = guarded(max_body_bytes=1000)
    assert call(guard, body=b"x" * 1000)[0] == 200
    assert call(guard, body=b"x" * 1001)[0] == 413
    chunked = {b"transfer-encoding": b"chunked"}
    assert call(guard, parts=[b"x" * 500, b"y" * 500], headers=chunked)[:2] == (
        200,
        b"x" * 500 + b"y" * 500,
    )
    status, body, _ = call(guard, parts=[b"x" * 500, b"y" * 501], headers=chunked)
    assert status == 413
    assert json.loads(body) == {"error": "a request may have 1,000 bytes; send it in parts"}
    assert call(guard, headers={b"content-length": b"-5"}, parts=[b""])[0] == 413


@pytest.mark.parametrize(
    ("host", "settings", "status"),
    [
        (b"127.0.0.1:8000", {}, 200),
        (b"localhost", {}, 200),
        (b"[::1]:8000", {}, 200),
        (b"evil.example", {}, 421),
        (None, {}, 421),
        (b"evil.example", {"keys": {"k": "read"}}, 200),
        (b"shop.example:80", {"hosts": ("shop.example",)}, 200),
        (b"127.0.0.1", {"hosts": ("shop.example",)}, 421),
    ],
)
def test_a_page_elsewhere_cannot_reach_an_open_service_by_another_name(host, settings, status):
    assert call(guarded(**settings), headers={b"host": host})[0] == status


def test_each_client_has_its_own_rate():
    guard = guarded(requests_per_second=0.001, burst=3)
    assert [call(guard, client="1.1.1.1")[0] for _ in range(4)] == [200, 200, 200, 429]
    assert call(guard, client="2.2.2.2")[0] == 200
    assert call(guard, client="1.1.1.1")[2][b"retry-after"] == b"1"


def test_only_a_known_key_has_a_rate_of_its_own():
    guard = guarded(requests_per_second=0.001, burst=3, keys={"secret": "read", "other": "admin"})

    def asks(**headers):
        return call(
            guard,
            headers={name.replace("_", "-").encode(): value for name, value in headers.items()},
        )[0]

    guesses = [asks(x_api_key=b"guess%d" % n) for n in range(2)] + [
        asks(authorization=b"Bearer guess%d" % n) for n in range(2)
    ]
    assert guesses == [200, 200, 200, 429]
    assert asks() == 429
    ways = [
        {"authorization": b"Bearer secret"},
        {"authorization": b"bearer    secret "},
        {"x_api_key": b"secret"},
        {"authorization": b"Basic guess", "x_api_key": b"secret"},
    ]
    assert [asks(**way) for way in ways] == [200, 200, 200, 429]
    assert (
        asks(authorization=b"Bearer guess", x_api_key=b"other") == 429
    )  # the routes would not look at the second
    assert asks(x_api_key=b"other") == 200


def test_keys_of_a_service_without_keys_are_nobody():
    guard = guarded(requests_per_second=0.001, burst=3)
    assert [call(guard, headers={b"x-api-key": b"k%d" % n})[0] for n in range(4)] == [
        200,
        200,
        200,
        429,
    ]


def test_whether_it_lives_may_be_asked_at_any_time():
    guard = guarded(requests_per_second=0.001, burst=1)
    assert [call(guard)[0] for _ in range(2)] == [200, 429]
    assert [call(guard, path=path)[0] for path in ("/healthz", "/readyz", "/readyz/x")] == [
        200,
        200,
        429,
    ]


def test_a_bucket_fills_at_its_rate_up_to_its_burst():
    limit = RateLimit(2.0, 2)
    assert [limit.allows(b"a", 0.0) for _ in range(3)] == [True, True, False]
    assert [limit.allows(b"a", 0.5), limit.allows(b"a", 0.5)] == [True, False]
    assert [limit.allows(b"a", 100.0) for _ in range(3)] == [True, True, False]
    assert all(RateLimit(0.0, 1).allows(b"a", 0.0) for _ in range(10))


def test_an_unforeseen_error_is_one_sentence_and_its_log_holds_nobody(caplog):
    with caplog.at_level(logging.DEBUG, "metarec.service"):
        status, body, _ = call(guarded(), path="/fails")
        call(guarded())
    assert status == 500
    assert "please report it with the number" in json.loads(body)["error"]
    assert b"ann-private" not in body
    said = [record.__dict__ for record in caplog.records]
    assert any(
        record.get("kind") == "RuntimeError" and "test_service_middleware.py" in str(record["at"])
        for record in said
    )
    assert any(record.get("route") == "/things/{id}" for record in said)
    assert "ann-private" not in str(said)


def test_what_a_database_server_says_of_itself_is_not_for_those_who_call():
    said = (
        'the store does not answer (connection to server at "db.inside" (10.0.0.3), port 5432 '
        "failed); try again later"
    )
    assert without_details(said) == "the store does not answer; try again later"
    assert without_details("the store is closed") == "the store is closed"


async def unread():
    raise AssertionError("the body was read")


def refused_unread(guard, headers, path="/v1/events"):
    """Status of an answer that was given before any of the body was read."""
    sent = []

    async def send(message):
        sent.append(message)

    named = {b"host": b"127.0.0.1", b"content-length": b"900000", **headers}
    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": list(named.items()),
        "client": ("1.1.1.1", 1),
    }
    asyncio.run(guard(scope, unread, send))
    return sent[0]["status"]


def test_a_key_is_looked_at_before_the_body():
    guard = guarded(keys={"secret": "read"})
    assert refused_unread(guard, {}) == 401
    assert refused_unread(guard, {b"x-api-key": b"guess"}) == 401
    assert refused_unread(guard, {b"x-api-key": b"secret"}) == 500  # the route reads it


def test_a_digest_in_the_settings_stands_for_its_key():
    import hashlib

    digest = "sha256:" + hashlib.sha256(b"secret").hexdigest()
    guard = guarded(keys={digest: "read"})
    assert call(guard, path="/v1/x", headers={b"x-api-key": b"secret"})[0] == 200
    assert call(guard, path="/v1/x", headers={b"x-api-key": digest.encode()})[0] == 401


JSON = (b"content-type", b"application/json")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([JSON], 200),
        ([], 403),
        ([(b"x-requested-with", b"shop")], 200),
        ([JSON, (b"origin", b"http://127.0.0.1:8000")], 200),
        ([JSON, (b"origin", b"http://127.0.0.1:9999")], 403),
        ([JSON, (b"origin", b"http://evil.example")], 403),
        ([JSON, (b"origin", b"null")], 403),
        ([JSON, (b"origin", b"http://shop.example")], 200),
        ([JSON, (b"origin", b"http://shop.example"), (b"sec-fetch-site", b"cross-site")], 200),
        ([JSON, (b"sec-fetch-site", b"cross-site")], 403),
        ([JSON, (b"sec-fetch-site", b"same-site")], 403),
        ([JSON, (b"sec-fetch-site", b"same-origin")], 200),
        ([(b"content-type", b"application/x-www-form-urlencoded")], 403),
        ([(b"content-type", b"text/plain")], 403),
    ],
)
def test_without_keys_no_foreign_page_changes_anything(headers, status):
    open_guard = guarded(cors_origins=("http://shop.example",))
    path = "/v1/models/1/promote"
    assert call(open_guard, path=path, headers=dict(headers))[0] == status
    keyed = guarded(keys={"secret": "admin"})
    with_key = dict([*headers, (b"x-api-key", b"secret")])
    assert call(keyed, path=path, headers=with_key)[0] == 200  # no browser adds a key by itself


def test_answers_are_in_no_frame_and_data_in_no_cache():
    for path, cache in (("/v1/items", b"no-store"), ("/", b"no-cache")):
        headers = call(guarded(), path=path)[2]
        assert headers[b"x-frame-options"] == b"DENY"
        assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]
        assert headers[b"cache-control"] == cache


def test_a_request_keeps_its_id_if_it_is_one():
    guard = guarded()
    assert call(guard, headers={b"x-request-id": b"shop-42.a"})[2][b"x-request-id"] == b"shop-42.a"
    for bad in (b"", b"a b", b"x" * 65, b'"}\x1b[31m', "é".encode()):
        made = call(guard, headers={b"x-request-id": bad})[2][b"x-request-id"]
        assert made != bad
        assert made


@pytest.mark.parametrize("chunked", [True, False])
def test_a_client_that_leaves_is_no_fault_here(caplog, chunked):
    metrics, sent = Metrics(), []

    async def leaves(_scope, receive, _send):
        while (await receive())["type"] != "http.disconnect":
            pass

    async def receive():
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    guard = Middleware(leaves, settings=ServiceSettings(model="m"), metrics=metrics)
    headers = [(b"host", b"127.0.0.1"), *([(b"transfer-encoding", b"chunked")] if chunked else [])]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers, "client": ("a", 1)}
    with caplog.at_level(logging.WARNING):
        asyncio.run(guard(scope, receive, send))
    assert (sent, caplog.records) == ([], [])
    assert b'status="499"' in metrics.page()
    assert b'status="500"' not in metrics.page()


def test_the_audit_log_says_who_was_refused_and_who_changed_what(caplog):
    guard = guarded(keys={"secret": "admin"})

    async def routed(scope, receive, send):
        scope["path_params"] = {"item_id": "i1", "user_id": "ann-private"}
        await echo(scope, receive, send)

    guard._app = routed
    key = {b"x-api-key": b"secret"}
    call(guard, path="/v1/items/i1")
    call(guard, path="/v1/items/i1", headers={**key, b"x-request-id": b"mine"})
    call(guard, path="/v1/models/2/promote", headers=key)
    call(guard, path="/v1/recommendations", headers=key)
    records = [record for record in caplog.records if record.name == "metarec.audit"]
    assert [(r.getMessage(), r.status, r.role) for r in records] == [
        ("refused", 401, None),
        ("item change", 200, "admin"),
        ("promotion", 200, "admin"),
    ]
    assert (records[1].request, records[1].item_id, len(records[1].key)) == ("mine", "i1", 8)
    assert "ann-private" not in str([vars(record) for record in records])
