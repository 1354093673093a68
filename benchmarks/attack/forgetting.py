"""Forget users while requests name them and the service retrains; then search for their ids.

    python benchmarks/attack/forgetting.py [--store postgresql] [--rounds 30] [--json FILE]

Each round sends slates, batches, events, searches, attributes, friends of both directions and
agents' calls of one user, under the user's own id and under one merged into it, until the user is
forgotten by either id. Then all bytes of the store are searched. Some are training users of the
model. Loopback only.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bounds import Check, arguments, conclude, none_of
from service import call, serving

from feedback.cluster import private_cluster
from journeys.kills_amid import MARK, held_bytes, held_users
from worlds import told_model

PLACES = (
    "event store, table events",
    "event store, table slates",
    "event store, table users",
    "event store, table friends",
    "event store, table exposures",
    "model version",
    "reports kept with models",
    "services that run",
    "data",
    "backups and copies",
)
"""Places that every receipt must name."""


def calls_of(user: str) -> list[tuple[str, str, Any]]:
    """Return requests of every kind that name a user."""
    slate = {"user_id": user, "k": 5}
    agent = {"name": "recommend", "arguments": slate}
    event = {"user_id": user, "item_id": "i4", "kind": "view"}
    search = {"user_id": user, "kind": "search", "query": f"kind1 for {user}"}
    other = "friend-of-many"
    return [
        ("POST", "/v1/recommendations", slate),
        ("POST", "/v1/recommendations/batch", {"requests": [slate, slate]}),
        ("POST", "/v1/events", {"events": [event, search]}),
        ("PUT", f"/v1/users/{user}", {"profile": {"city": "Ulm", "of": user}}),
        ("PUT", f"/v1/users/{user}/friends", {"friends": [other, "u4"]}),
        ("PUT", f"/v1/users/{other}/friends", {"friends": [user]}),
        ("POST", "/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": agent}),
    ]


def send_until(stop: threading.Event, port: int, calls: list[tuple[str, str, Any]]) -> None:
    while not stop.is_set():
        for said in calls:
            with contextlib.suppress(OSError):
                call(port, *said)
            if stop.is_set():
                return


def race(port: int, number: int) -> tuple[list[str], list[str], dict[str, Any]]:
    """Forget one user amid requests that name them. Return the ids, what is left of them, and the
    receipt.
    """
    user = f"u{number}{MARK}" if number % 3 == 0 else f"race-{number}{MARK}"
    visitor = f"anonymous-{number}{MARK}"
    call(port, "POST", "/v1/events", {"events": [{"user_id": visitor, "item_id": "i1"}]})
    call(port, "POST", f"/v1/users/{visitor}/merge", {"into": user})
    stop = threading.Event()
    senders = [
        threading.Thread(target=send_until, args=(stop, port, calls_of(name)))
        for name in (user, user, visitor)
    ]
    for sender in senders:
        sender.start()
    time.sleep(0.3)
    threading.Timer(0.01, stop.set).start()
    receipt = call(port, "DELETE", f"/v1/users/{user if number % 2 else visitor}")
    for sender in senders:
        sender.join()
    left = []
    for name in (user, visitor):
        with contextlib.suppress(urllib.error.HTTPError):
            kept = call(port, "GET", f"/v1/users/{name}")
            left.append(f"{name}: {json.dumps(kept)[:200]}")
    if any(one["friend_id"] == user for one in friends_of_many(port)):
        left.append(f"{user} is still somebody's friend")
    return [user, visitor], left, receipt


def friends_of_many(port: int) -> list[dict[str, Any]]:
    return call(port, "GET", "/v1/users/friend-of-many/friends")["friends"]


@contextlib.contextmanager
def retraining(model: Path, store: str) -> Iterator[None]:
    """Run retraining meanwhile, which is promoted whatever its results."""
    command = [sys.executable, "-m", "metarec.app.cli", "retrain", str(model), "--force"]
    process = subprocess.Popen(
        [*command, "--store", store],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield
        _, said = process.communicate(timeout=600)
        if process.returncode:
            raise SystemExit(f"the retraining failed: {said[-500:]}")
    finally:
        process.kill()


def missing_places(receipt: dict[str, Any]) -> list[str]:
    named = [place["place"] for place in receipt["places"]]
    return [f"{wanted} in {named}" for wanted in PLACES if not any(wanted in one for one in named)]


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--rounds", type=int, default=30)
    options = parser.parse_args()
    server = private_cluster() if options.store == "postgresql" else contextlib.nullcontext()
    with tempfile.TemporaryDirectory() as temporary, server as cluster:
        folder = Path(temporary)
        store = cluster.new_database("races") if cluster else str(folder / "events.db")
        model = told_model(300, folder / "model", mark=MARK)
        ids, left, receipts = attacked(model, store, folder / "log", options.rounds)
        checks = [
            none_of("users found by a request after their receipt", left, len(receipts)),
            none_of(
                "places that a receipt says nothing of",
                [place for receipt in receipts for place in missing_places(receipt)],
                len(receipts),
            ),
            *looked_for(ids, folder, model, store, cluster),
        ]
    conclude(checks, {"receipts": receipts[:2], "n_receipts": len(receipts)}, options.json)


def attacked(
    model: Path, store: str, log: Path, rounds: int
) -> tuple[list[str], list[str], list[dict[str, Any]]]:
    """Return forgotten ids, what requests still found of them, and the receipts."""
    ids: list[str] = []
    left: list[str] = []
    receipts: list[dict[str, Any]] = []
    with serving(
        model, log=log, store=store, mcp=True, requests_per_second=0, log_level="debug"
    ) as (port, _):
        events = [{"user_id": f"new{n % 60}", "item_id": f"i{n % 90}"} for n in range(900)]
        call(port, "POST", "/v1/events", {"events": events})
        with retraining(model, store):
            for number in range(rounds):
                names, found, receipt = race(port, number)
                ids, left, receipts = [*ids, *names], [*left, *found], [*receipts, receipt]
    return ids, left, receipts


def looked_for(ids: list[str], folder: Path, model: Path, store: str, cluster: Any) -> list[Check]:
    """Return the ids found in the bytes of all files, and in tables whose bytes are compressed."""
    if cluster:
        command = [sys.executable, "-m", "metarec.app.cli", "store", "erase", store]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with cluster.connected() as connection:
            connection.execute("CHECKPOINT")
    found = {
        "model folders, store, log": held_bytes(ids, folder),
        "tables of all model versions": set(ids) & held_users(model),
    }
    if cluster:
        found["the server's tables"] = held_bytes(ids, cluster.folder / "data" / "base")
    return [
        none_of(f"forgotten ids in the bytes of {where}", sorted(names), len(ids))
        for where, names in found.items()
    ]


if __name__ == "__main__":
    main()
