"""Send forged requests: from a foreign page, with other addresses, of other events, and of the
future.

    python benchmarks/attack/forgery.py [--model MODEL] [--json FILE]

Each must be refused (4xx); all of them were accepted once. Loopback only.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from pathlib import Path

from bounds import Check, arguments, conclude
from service import serving


def status(
    port: int, method: str, path: str, body: object = None, headers: dict | None = None
) -> int:
    data = None if body is None else json.dumps(body).encode()
    kind = {"content-type": "application/json"} if body is not None else {}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data, {**kind, **(headers or {})}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def event(event_id: str, **more: object) -> dict:
    return {"events": [{"user_id": "ann", "item_id": "i1", "event_id": event_id, **more}]}


def foreign_pages(port: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models") as answer:
        version = json.load(answer)["models"][0]["version"]
    promote = f"/v1/models/{version}/promote"
    evil = {"origin": "http://evil.example", "sec-fetch-site": "cross-site"}
    form = {"content-type": "application/x-www-form-urlencoded"}
    return {
        "promotes with an empty POST": status(port, "POST", promote, None, evil),
        "promotes with an empty POST that says nothing of itself": status(port, "POST", promote),
        "promotes with an empty form": status(port, "POST", promote, None, form),
        "forgets a user": status(port, "DELETE", "/v1/users/ann", None, evil),
        "stores events": status(port, "POST", "/v1/events", event("f"), evil),
    }


def other_events(port: int) -> dict[str, int]:
    status(port, "POST", "/v1/events", event("a"))
    future = time.time() + 1e9
    return {
        "an event id used again for another item": status(
            port, "POST", "/v1/events", event("a", item_id="i2")
        ),
        "an event in thirty years": status(
            port, "POST", "/v1/events", event("b", timestamp=future)
        ),
        "a misspelled query parameter": status(port, "GET", "/v1/items?limit=5"),
    }


def forged_addresses(port: int) -> dict[str, int]:
    answers = [
        status(port, "GET", "/v1/items", None, {"x-forwarded-for": f"9.9.{n // 250}.{n % 250}"})
        for n in range(60)
    ]
    return {"60 requests of a burst of 20, each from another address": max(answers)}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    with serving(options.model, keyed=False) as (port, _):
        found = {**foreign_pages(port), **other_events(port)}
        held = status(port, "POST", "/v1/events", event("a"))
    with serving(options.model, keyed=False, requests_per_second=1, burst=20) as (port, _):
        found |= forged_addresses(port)
    checks = [
        Check(what=what, measured=code, bound="refused, 4xx", holds=400 <= code < 500)
        for what, code in found.items()
    ]
    checks.append(
        Check(what="the same event sent again", measured=held, bound="200", holds=held == 200)
    )
    conclude(checks, found, options.json)


if __name__ == "__main__":
    main()
