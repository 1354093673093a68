"""Measure the cost of expensive requests, in plain slates, and the latency of other clients.

    python benchmarks/attack/costs.py [--model MODEL] [--json FILE]

CPU time of the service is measured, which depends little on the load of the machine. Each kind of
request is sent alone a few times, then all of them at once beside a client of plain slates. Refused
kinds show their status. Loopback only.
"""

from __future__ import annotations

import json
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bounds import Check, arguments, at_most, conclude
from service import KEY, serving, watched

from worlds import told_model

ROUNDS, PLAIN_ROUNDS = 5, 100
MAX_SLATES, OTHERS = 20.0, 4.0
SLATES, EXPLANATIONS = "/v1/recommendations", "/v1/explanations"


@dataclass(frozen=True)
class Call:
    """One request."""

    method: str
    path: str
    body: Any = None
    parts: int = 1
    """Number of slates, events or items in it; the bound applies to each."""


def slates(ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return bodies of requests for one slate."""
    known = [{"item_id": item_id, "value": 4.0} for item_id in ids]
    few = {"history": known[:5]}
    friends = [f"u{n}" for n in range(5_000)]
    place = {"location": {"lat": 50.0, "lon": 11.0}}
    return {
        "long slate": {**few, "k": 200},
        "far page": {**few, "k": 200, "offset": 2_000},
        "long history": {"history": known[:1000]},
        "explored": {**few, "explore": 1.0},
        "explored, long": {**few, "explore": 1.0, "k": 200},
        "diverse, long": {**few, "diversity": 0.5, "k": 200},
        "10 quotas": {**few, "quota": {f"none{n}": 1 for n in range(10)}},
        "50 quotas": {**few, "quota": {f"none{n}": 1 for n in range(50)}},
        "long filter": {
            **few,
            "filter": " or ".join(f'title contains "a{n}"' for n in range(70)),
        },
        "all excluded": {**few, "exclude": ids[:10_000]},
        "all allowed": {**few, "allow": ids[:10_000]},
        "explained": {**few, "explain": True, "k": 100},
        "everything": {**few, "explain": True, "explore": 1.0, "k": 200},
        "wish": {**few, "wish": "kind3 " * 80},
        "searches": {**few, "searches": [f"kind{n} " * 30 for n in range(20)]},
        "5,000 friends": {**few, "friends": friends},
        "context and place": {**few, **place, "context": {"mood": "wild"}},
        "within_km": {**few, **place, "within_km": 5},
        "basket of 100": {**few, "basket": ids[:100]},
        "all pinned": {**few, "pin": ids[:200], "k": 200},
        "all fields": {**few, "k": 200, "fields": ["title", "year", "categories", "latitude"]},
        "all that is allowed at once": {
            **few,
            **place,
            "within_km": 50,
            "friends": friends[:500],
            "context": {"mood": "wild"},
            "searches": ["kind1"],
            "wish": "kind2",
            "k": 100,
        },
    }


def tool(name: str, given: dict[str, Any]) -> Call:
    """Return a call of an agent."""
    params = {"name": name, "arguments": given}
    return Call(
        "POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    )


def batch_of(bodies: list[dict[str, Any]]) -> Call:
    """Return a request for several slates."""
    return Call("POST", f"{SLATES}/batch", {"requests": bodies}, len(bodies))


def kinds(ids: list[str]) -> dict[str, Call]:
    """Return every kind of expensive request."""
    bodies = slates(ids)
    known, few = bodies["long history"]["history"], {"history": bodies["explored"]["history"]}
    explain = {"item_id": ids[-1]}
    return {
        **{name: Call("POST", SLATES, body) for name, body in bodies.items()},
        "explanation": Call("POST", EXPLANATIONS, {**few, **explain}),
        "explanation of a slate's first": Call("POST", EXPLANATIONS, {**few, "item_id": ids[5]}),
        "explanation of a long slate's": Call(
            "POST", EXPLANATIONS, {"history": known[10:200], "item_id": ids[5], "k": 200}
        ),
        "explanation of 1,000 events": Call("POST", EXPLANATIONS, {"history": known, **explain}),
        "onboarding": Call("GET", "/v1/onboarding?k=50"),
        "similar": Call("GET", f"/v1/items/{ids[0]}/similar?k=100"),
        "also viewed": Call("GET", f"/v1/items/{ids[0]}/similar?k=100&by=also_viewed"),
        "search": Call("GET", "/v1/items?q=title%20of%20kind1&k=100&offset=4000"),
        "popular": Call("GET", "/v1/items/popular?k=100&category=c3"),
        "trending": Call("GET", "/v1/items/trending?k=100&days=3000"),
        "newest": Call("GET", "/v1/items/newest?k=100"),
        "batch of 50": batch_of([few] * 50),
        "batch of 50 that differ": batch_of(
            [{**few, "k": 11 + n, "explore": 0.0} for n in range(50)]
        ),
        "batch of 50 long histories": batch_of([{"history": known[:200]}] * 50),
        "batch of 3 long histories": batch_of([{"history": known[n : 199 + n]} for n in range(3)]),
        "batch of 9 filters": batch_of([{**few, "filter": f"year > {1950 + n}"} for n in range(9)]),
        "batch of 3 with reasons": batch_of(
            [{**few, "explain": True, "k": 10 + n} for n in range(3)]
        ),
        "batch of 50 dear ones": batch_of([bodies["explored"]] * 50),
        "agent: recommend": tool("recommend", {**few, "k": 200}),
        "agent: everything": tool("recommend", bodies["everything"]),
        "agent: explain": tool("explain", {"history": known, **explain}),
        "agent: similar": tool("similar", {"item_id": ids[0], "k": 100}),
        "agent: search": tool("search", {"q": "title", "k": 100}),
        "1,000 events": Call(
            "POST",
            "/v1/events",
            {"events": [{"user_id": f"e{n}", "item_id": ids[n]} for n in range(1_000)]},
            1_000,
        ),
        "feed of 1,000": Call(
            "PUT", "/v1/items", "\n".join(_line(item) for item in ids[:1_000]), 1_000
        ),
    }


def _line(item_id: str) -> str:
    return json.dumps({"item_id": item_id, "title": f"Title of {item_id}", "available": True})


def send(port: int, call: Call) -> None:
    body = call.body if isinstance(call.body, str) or call.body is None else json.dumps(call.body)
    told = "application/x-ndjson" if isinstance(call.body, str) else "application/json"
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{call.path}",
        None if body is None else body.encode(),
        {"content-type": told, "x-api-key": KEY},
        method=call.method,
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()


def processor_seconds(process: int) -> float:
    """Return the CPU seconds of all threads of a process."""
    times = Path(f"/proc/{process}/task").glob("*/schedstat")
    return sum(int(one.read_text().split()[0]) for one in times) / 1e9


def measured(port: int, process: int, call: Call, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the CPU milliseconds of the service per request, or the status of a refusal."""
    try:
        send(port, call)
        before = processor_seconds(process)
        for _ in range(rounds):
            send(port, call)
    except urllib.error.HTTPError as error:
        return {"refused": error.code}
    return {"ms": round(1e3 * (processor_seconds(process) - before) / rounds, 2)}


def ids_of(port: int) -> list[str]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/recommendations",
        json.dumps({"k": 200}).encode(),
        {"content-type": "application/json", "x-api-key": KEY},
    )
    found = json.load(urllib.request.urlopen(request))["items"]
    return [item["item_id"] for item in found] + [f"i{n % 2_000}" for n in range(4_000)]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or told_model(options.items, Path(folder) / "model")
        with serving(model, requests_per_second=0, mcp=True) as (port, process):
            asked = kinds(ids_of(port))
            plain_call = Call("POST", SLATES, {"history": asked["explored"].body["history"]})
            plain = measured(port, process.pid, plain_call, PLAIN_ROUNDS)["ms"]
            costs = {name: measured(port, process.pid, call) for name, call in asked.items()}
            for cost in costs.values():
                if "ms" in cost:
                    cost["plain_slates"] = round(cost["ms"] / plain, 1)
            others = watched(port, lambda port, stop: attack(port, stop, asked), options.seconds)
    checks = [check_of(name, asked[name], cost) for name, cost in costs.items()]
    checks.append(at_most("others' p99 to before", others["p99_ratio"], OTHERS))
    conclude(checks, {"plain_ms": plain, "kinds": costs, "others": others}, options.json)


def check_of(name: str, call: Call, cost: dict[str, float]) -> Check:
    """Return a check: a refusal passes; a request of many parts may cost the bound, or one plain
    slate per part.
    """
    if "refused" in cost:
        said = f"refused ({cost['refused']:.0f})"
        return Check(what=name, measured=said, bound="422", holds=cost["refused"] == 422)
    return at_most(name, cost["plain_slates"], max(MAX_SLATES, float(call.parts)))


def attack(port: int, stop: Any, asked: dict[str, Call]) -> None:
    """Send all kinds in turn, without end."""
    while not stop.is_set():
        for call in asked.values():
            with suppress(OSError):
                send(port, call)
            if stop.is_set():
                return
        time.sleep(0)


if __name__ == "__main__":
    main()
