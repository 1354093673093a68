"""A shop's whole path with real processes: import, serve, stock, a new product, an anonymous user
who becomes a customer, a retraining at night, the way back, a backup restored.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys

import polars as pl
import pytest

for module in ("fastapi", "uvicorn", "sqlalchemy"):
    pytest.importorskip(module)

from journeys.running import Running  # noqa: E402
from served_model import fitted_model, saved_model  # noqa: E402
from waiting import eventually  # noqa: E402

LEAVES = fitted_model().training.interactions.frame["user_id"][0]


def metarec(*words):
    """A command in a process of its own; its JSON and what it logged."""
    done = subprocess.run(
        [sys.executable, "-m", "metarec.app.cli", *map(str, words), "--json"],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def answer(service, method, path, body=None):
    status, told = service.ask(method, path, body, timeout=60.0)
    assert status == 200, told
    return told


def items(service, **body):
    slate = answer(service, "POST", "/v1/recommendations", {"k": 40, **body})
    return [item["item_id"] for item in slate["items"]]


def test_the_whole_path_of_a_shop(tmp_path):
    model, store = shutil.copytree(saved_model(), tmp_path / "model"), tmp_path / "events.db"
    backup = tmp_path / "backup"
    imported, _ = metarec("import", model, "--store", store)
    assert imported["events"] == fitted_model().training.interactions.frame.height
    service = Running(model, str(store), settings={"mcp": True})
    with service:
        known = fitted_model().training.interactions.frame["user_id"][1]
        assert answer(service, "GET", f"/v1/users/{known}")["events"]
        a_day_in_the_shop(service)
        an_agent_asks(service)
        first = answer(service, "GET", "/v1/status")["model_version"]
        second = a_night(service, model, store, first)
        answer(service, "POST", f"/v1/models/{first}/promote", {"reason": "complaints"})
        eventually(lambda: answer(service, "GET", "/v1/status")["model_version"] == first)
        answer(service, "POST", f"/v1/models/{second}/promote", {"reason": "no, all is well"})
        shutil.copytree(model, backup / "model")
        answer(service, "DELETE", f"/v1/users/{LEAVES}")
        with contextlib.closing(sqlite3.connect(store)) as connection:
            connection.execute("VACUUM INTO ?", (str(backup / "events.db"),))
    shutil.rmtree(model)
    store.unlink()
    shutil.copytree(backup / "model", model)
    shutil.copy(backup / "events.db", store)
    with service:
        assert answer(service, "GET", "/v1/status")["model_version"] == second
        assert len(answer(service, "GET", "/v1/users/ann")["events"]) == 3
        assert "s05" not in items(service, history=["s00"])
        eventually(lambda: not holding(model, LEAVES))
    assert '"level": "error"' not in service.log()


def a_day_in_the_shop(service):
    assert "s05" in items(service, history=["s00", "s01"])
    answer(service, "PATCH", "/v1/items/s05", {"available": False})
    assert "s05" not in items(service, history=["s00", "s01"])
    answer(service, "PUT", "/v1/items", {"item_id": "new-1", "title": "rocket comet", "stock": 3})
    assert "new-1" in items(service, history=["s00", "s01"], k=60)
    events = [{"user_id": "cookie", "item_id": i, "kind": "like"} for i in ("s00", "s01", "s02")]
    answer(service, "POST", "/v1/events", {"events": events})
    assert answer(service, "POST", "/v1/users/cookie/merge", {"into": "ann"})["events"] == 3
    assert answer(service, "GET", "/v1/users/cookie")["user_id"] == "ann"
    assert not {"s00", "s01", "s02"} & set(items(service, user_id="ann"))


def an_agent_asks(service):
    arguments = {"name": "recommend", "arguments": {"user_id": "ann", "k": 3}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": arguments}
    told = answer(service, "POST", "/mcp", message)["result"]
    assert len(told["structuredContent"]["items"]) == 3


def a_night(service, model, store, first):
    """A retraining; gives the version that serves in the morning."""
    done, logged = metarec("retrain", model, "--store", store, "--force")
    stages = [json.loads(line) for line in logged.splitlines() if line.startswith("{")]
    assert {"events read", "progress", "challenger trained", "retrained"} <= {
        one["message"] for one in stages
    }
    assert done["promoted"]
    assert done["challenger"] != first
    eventually(lambda: answer(service, "GET", "/v1/status")["model_version"] == done["challenger"])
    assert "s05" not in items(service, history=["s00", "s01"])
    assert "new-1" in items(service, history=["s00", "s01"], k=60)
    return done["challenger"]


def holding(model, user_id):
    """Tables of model folders that hold a user."""
    return [
        path.name
        for path in model.rglob("*.parquet")
        if user_id in (pl.read_parquet(path).to_dict().get("user_id", []))
    ]
