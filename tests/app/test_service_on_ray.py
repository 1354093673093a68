"""The service on a Ray cluster of two nodes: slates as the ordinary service gives them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from journeys.running import free_port
from metarec import BadInput
from metarec.app.service.processes.set_up import check_can_serve
from metarec.app.service.settings_sources import load_settings
from served_model import saved_model

EVENTS = [{"item_id": "r01", "value": 5}, {"item_id": "s02", "kind": "dislike"}]
BODIES = [
    {"k": 5},
    {"k": 30, "history": EVENTS, "explain": True},
    {"k": 4, "wish": "rope", "diversity": 0.4},
    {"k": 3, "filter": "year > 1990", "pin": ["r03"], "history": EVENTS},
    {"k": 3, "filter": "yeer > 1990"},
    {"k": 5, "user_id": "nina/2"},
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes on this machine."""
    from ray.cluster_utils import Cluster

    both = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
    both.add_node(num_cpus=2)
    yield both.address
    both.shutdown()


def command(cluster: str, said: Path, *words: str) -> subprocess.Popen[bytes]:
    """`metarec serve` on Ray, which writes what it says into a file."""
    serve = [sys.executable, "-m", "metarec.app.cli", "serve", str(said.parent / "model")]
    with said.open("wb") as file:
        return subprocess.Popen(
            [*serve, "--backend", "ray", *words],
            env={**os.environ, "RAY_ADDRESS": cluster, "METAREC_COLD_SHARE": "0"},
            stdout=file,
            stderr=file,
        )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a model of our own lies."""
    made = tmp_path_factory.mktemp("served")
    shutil.copytree(saved_model(), made / "model")
    return made


@pytest.fixture(scope="module")
def service(cluster: str, folder: Path) -> Iterator[httpx.Client]:
    """The command, with two shards; it ends in order."""
    said, port = folder / "said", str(free_port())
    running = command(cluster, said, "--shards", "2", "--port", port)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        until = time.monotonic() + 400
        while not answers(client):
            assert running.poll() is None, said.read_text()
            assert time.monotonic() < until
            time.sleep(0.5)
        yield client
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0, said.read_text()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def told(answer: httpx.Response) -> object:
    """What a slate says, its own name aside and scores rounded."""
    said = answer.json()
    said.pop("slate_id", None)
    for item in said.get("items", ()):
        item["score"] = pytest.approx(item["score"], abs=1e-4)
    return answer.status_code, said


def slates(client: httpx.Client) -> list[object]:
    return [told(client.post("/v1/recommendations", json=body)) for body in BODIES]


def missed(client: httpx.Client) -> float:
    lines = client.get("/metrics").text.splitlines()
    return next(float(x.split()[1]) for x in lines if x.startswith("metarec_shards_missed_total "))


@pytest.mark.ray
def test_slates_are_those_of_the_ordinary_service(
    service: httpx.Client, clients, tmp_path: Path
) -> None:
    model = shutil.copytree(saved_model(), tmp_path / "plain")
    here = clients(model=str(model), store=str(tmp_path / "events.db"), cold_share=0.0)
    assert slates(service) == slates(here)
    event = {"user_id": "nina/2", "item_id": "r04", "kind": "rate", "value": 5.0}
    item = {"title": "A rope of rock", "categories": ["rock"], "year": 2001}
    for client in (here, service):
        assert client.post("/v1/events", json={"events": [event]}).status_code == 200
        assert client.put("/v1/items/new%2F1", json={"attributes": item}).status_code in (200, 201)
    time.sleep(3)
    before = missed(service)
    assert slates(service) == slates(here)
    assert missed(service) == before, "the shards know the new item by now"


@pytest.mark.ray
def test_a_shard_that_is_killed_costs_no_slate_and_is_replaced(service: httpx.Client) -> None:
    wanted, [first] = slates(service), pids("shard-1")
    os.kill(first, signal.SIGKILL)
    until = time.monotonic() + 90
    while not (others := [pid for pid in pids("shard-1") if pid != first]) or is_missed(service):
        assert slates(service) == wanted
        assert time.monotonic() < until
    assert len(others) == 1


def is_missed(service: httpx.Client) -> bool:
    """Whether a slate is made without one of the shards."""
    before = missed(service)
    slates(service)
    return missed(service) > before


def pids(shard: str) -> list[int]:
    """Processes that score a shard."""
    shown = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True)
    lines = [line.split() for line in shown.stdout.splitlines() if f"metarec:{shard}" in line]
    return [int(words[0]) for words in lines if words[1].startswith("ray::ServeReplica")]


@pytest.mark.ray
def test_more_processes_than_cpus_are_refused(cluster: str, folder: Path) -> None:
    told = folder / "refused"
    nine = ("--shards", "9", "--replicas", "2", "--port", str(free_port()))
    assert command(cluster, told, *nine).wait(300) == 2
    assert "take 19 CPUs, the cluster has 4; give fewer" in told.read_text().splitlines()[-1]


def test_shards_need_ray_and_an_item_each() -> None:
    many = load_settings(model=str(saved_model()), backend="ray", shards=25)
    with pytest.raises(BadInput, match="25 shards of 24 items: give at most one shard an item"):
        check_can_serve(many)
    with pytest.raises(BadInput, match="shards and replicas are of Ray: give backend ray too"):
        load_settings(model="m", shards=2)
    with pytest.raises(BadInput, match="backend must be one of here, ray, got 'moon'"):
        load_settings(model="m", backend="moon")
