"""What the dearest requests cost, in plain slates, and how others fare while they are asked.

    python benchmarks/attack/costs.py [--model MODEL]

Each kind is asked alone a few times, then all of them at once beside somebody who wants plain
slates. Kinds that are refused say so with the status. Loopback only.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

from service import KEY, ask, serving, watched

ROUNDS, PLAIN_ROUNDS = 5, 60


def kinds(ids: list[str]) -> dict[str, tuple[str, dict]]:
    """Path and body of each kind."""
    slates, explanations = "/v1/recommendations", "/v1/explanations"
    known = [{"item_id": item_id, "value": 4.0} for item_id in ids]
    few = {"history": known[:5]}
    return {
        "long slate": (slates, {**few, "k": 200}),
        "long history": (slates, {"history": known[:1000]}),
        "explored": (slates, {**few, "explore": 1.0}),
        "explored, long": (slates, {**few, "explore": 1.0, "k": 200}),
        "diverse, long": (slates, {**few, "diversity": 0.5, "k": 200}),
        "10 quotas": (slates, {**few, "quota": {f"none{n}": 1 for n in range(10)}}),
        "50 quotas": (slates, {**few, "quota": {f"none{n}": 1 for n in range(50)}}),
        "long filter": (
            slates,
            {**few, "filter": " or ".join(f'title contains "a{n}"' for n in range(70))},
        ),
        "all excluded": (slates, {**few, "exclude": ids[:10_000]}),
        "explained": (slates, {**few, "explain": True, "k": 100}),
        "everything": (slates, {**few, "explain": True, "explore": 1.0, "k": 200}),
        "explanation": (explanations, {**few, "item_id": ids[6]}),
        "explanation of 1,000 events": (
            explanations,
            {"history": known[:1000], "item_id": ids[-1]},
        ),
    }


def measured(port: int, path: str, body: dict, rounds: int = ROUNDS) -> dict[str, float]:
    """Median milliseconds, or the status of a refusal."""
    took = []
    for _ in range(rounds):
        try:
            took.append(ask(port, path, body))
        except urllib.error.HTTPError as error:
            return {"refused": error.code}
    return {"ms": round(1e3 * statistics.median(took), 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    with serving(options.model, items=5_000, requests_per_second=0) as (port, _):
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/v1/recommendations",
            json.dumps({"k": 200}).encode(),
            {"content-type": "application/json", "x-api-key": KEY},
        )
        found = json.load(urllib.request.urlopen(request))["items"]
        asked = kinds([item["item_id"] for item in found] * 5)
        few = {"history": asked["explored"][1]["history"]}
        plain = measured(port, "/v1/recommendations", few, PLAIN_ROUNDS)
        costs = {name: measured(port, *what) for name, what in asked.items()}
        for cost in costs.values():
            if "ms" in cost:
                cost["plain_slates"] = round(cost["ms"] / plain["ms"], 1)

        def attack(port: int, stop: object) -> None:
            while not stop.is_set():
                for path, body in asked.values():
                    with suppress(OSError):
                        ask(port, path, body)
                    if stop.is_set():
                        return
                time.sleep(0)

        others = watched(port, attack, options.seconds)
    print(json.dumps({"plain_ms": plain["ms"], "kinds": costs, "others": others}, indent=2))


if __name__ == "__main__":
    main()
