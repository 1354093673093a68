"""Tools for agents, by the Model Context Protocol."""

from __future__ import annotations

import io
import json
import shutil

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("sqlalchemy")
pytest.importorskip("httpx")

from starlette.testclient import TestClient  # noqa: E402

from metarec.app.service.application import create_app  # noqa: E402
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from metarec.runtime.logs import LoggedProgress, setup_logs  # noqa: E402
from served_model import saved_model  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return shutil.copytree(saved_model(), tmp_path_factory.mktemp("agents") / "model")


@pytest.fixture(scope="module")
def client(model):
    app = create_app(ServiceSettings(model=str(model), mcp=True))
    with TestClient(app, base_url="http://127.0.0.1") as opened:
        yield opened


def rpc(client, method, **params):
    message = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    answer = client.post("/mcp", json=message).json()
    assert answer["id"] == 7
    return answer


def call(client, tool, **arguments):
    return rpc(client, "tools/call", name=tool, arguments=arguments)["result"]


def test_an_agent_is_greeted_and_told_the_tools(client):
    hello = rpc(client, "initialize", protocolVersion="2025-03-26")["result"]
    assert hello["protocolVersion"] == "2025-03-26"
    assert hello["serverInfo"]["name"] == "metarec"
    note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert client.post("/mcp", json=note).status_code == 202
    tools = rpc(client, "tools/list")["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["recommend", "explain", "similar", "search"]
    assert all(tool["annotations"]["readOnlyHint"] for tool in tools)
    assert all(tool["inputSchema"]["type"] == "object" for tool in tools)


def test_tools_answer_as_their_routes_do(client):
    body = {"history": ["s00", "s01"], "k": 4}
    routed = client.post("/v1/recommendations", json=body).json()
    told = call(client, "recommend", **body)
    assert told["structuredContent"]["items"] == routed["items"]
    assert json.loads(told["content"][0]["text"]) == told["structuredContent"]
    similar = call(client, "similar", item_id="s00", k=3)["structuredContent"]
    assert similar == client.get("/v1/items/s00/similar?k=3").json()
    stated = {"profile": ["age=30"], "by": "also_viewed", "fields": "title"}
    asked = call(client, "similar", item_id="s00", k=3, **stated)["structuredContent"]
    assert asked == client.get("/v1/items/s00/similar?k=3", params=stated).json()
    assert asked != similar
    found = call(client, "search", q="rocket", k=2, offset=1, fields="title")["structuredContent"]
    assert found == client.get("/v1/items?q=rocket&k=2&offset=1&fields=title").json()
    why = call(client, "explain", history=["s00"], item_id="s02")
    assert why["structuredContent"]["item_id"] == "s02"


def test_nothing_an_agent_asks_is_kept(client):
    assert not call(client, "recommend", user_id="ann", k=3)["isError"]
    assert client.get("/v1/users/ann").status_code == 404
    client.post("/v1/recommendations", json={"user_id": "ann", "k": 3})


def test_what_is_wrong_is_said(client):
    assert call(client, "similar", item_id="none")["isError"]
    assert "k" in call(client, "recommend", k=0)["content"][0]["text"]
    assert "filter" in call(client, "recommend", filter="(")["content"][0]["text"]
    assert rpc(client, "tools/call", name="forget")["error"]["code"] == -32602
    assert rpc(client, "resources/list")["error"]["code"] == -32601
    headers = {"content-type": "application/json"}
    assert client.post("/mcp", content="{", headers=headers).json()["error"]["code"] == -32700
    twice = '{"jsonrpc": "2.0", "id": 1, "method": "tools/list", "method": "ping"}'
    error = client.post("/mcp", content=twice, headers=headers).json()["error"]
    assert error == {"code": -32600, "message": "the key 'method' stands twice in an object"}
    assert client.post("/mcp", json=[1]).json()["error"]["code"] == -32600
    assert client.get("/mcp").status_code == 405
    assert "let" in client.post("/mcp?let=all", json={}).json()["error"]


@pytest.mark.parametrize(
    ("message", "number", "code"),
    [
        ({"id": 1, "method": "ping"}, 1, -32600),
        ({"jsonrpc": "1.0", "id": 1, "method": "ping"}, 1, -32600),
        ({"jsonrpc": "2.0", "id": {"a": 1}, "method": "ping"}, None, -32600),
        ({"jsonrpc": "2.0", "id": [1], "method": "ping"}, None, -32600),
        ({"jsonrpc": "2.0", "id": True, "method": "ping"}, None, -32600),
        ({"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": [1]}, "a", -32602),
        (
            {"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": []}},
            "a",
            -32602,
        ),
        ({"jsonrpc": "2.0", "id": "a", "method": 5}, None, -32600),
    ],
)
def test_malformed_messages_are_told_as_json_rpc_says(client, message, number, code):
    answer = client.post("/mcp", json=message)
    assert (answer.status_code, answer.json()["id"]) == (200, number)
    assert answer.json()["error"]["code"] == code


def test_notifications_are_never_answered(client):
    for method in ("notifications/cancelled", "tools/call", "none"):
        answer = client.post("/mcp", json={"jsonrpc": "2.0", "method": method, "params": 5})
        assert (answer.status_code, answer.content) == (202, b"")


def test_it_is_off_unless_asked_for_and_needs_a_key_where_others_do(model, tmp_path):
    store = str(tmp_path / "events.db")
    with TestClient(create_app(ServiceSettings(model=str(model), store=store))) as off:
        assert off.post("http://127.0.0.1/mcp", json={}).status_code == 405
    keyed = ServiceSettings(model=str(model), store=store, mcp=True, keys={"k": "read"})
    with TestClient(create_app(keyed), base_url="http://127.0.0.1") as closed:
        assert closed.post("/mcp", json={}).status_code == 401
        ping = {"jsonrpc": "2.0", "id": 7, "method": "ping"}
        assert closed.post("/mcp", json=ping, headers={"x-api-key": "k"}).json()["result"] == {}


def test_jobs_that_nobody_watches_log_how_far_they_are():
    lines = io.StringIO()
    setup_logs(as_json=True, stream=lines)
    progress = LoggedProgress(seconds=0.0)
    for stage, done in (("read", 0.0), ("read", 0.1), ("read", 0.6), ("fit", 0.0)):
        progress(stage, done)
    setup_logs("warning", stream=io.StringIO())
    told = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(one["stage"], one["done"]) for one in told] == [("read", 0), ("read", 0.6), ("fit", 0)]
