"""What an operator sees of real processes: several workers, restarts, swaps, kills."""

from __future__ import annotations

import shutil
import threading
import time

import pytest

for module in ("fastapi", "uvicorn", "sqlalchemy"):
    pytest.importorskip(module)

from journeys.kills import kill_again_and_again  # noqa: E402
from journeys.running import Running, Senders  # noqa: E402
from metarec.feedback.registry import Registry  # noqa: E402
from served_model import fitted_model, saved_model  # noqa: E402
from waiting import eventually  # noqa: E402


@pytest.fixture
def model(tmp_path):
    return shutil.copytree(saved_model(), tmp_path / "model")


def test_one_life_of_a_service(model, tmp_path):
    """Two workers: an item put in one is soon shown by both, a swap drops nothing, a stop is
    graceful, a start remembers.
    """
    service = Running(model, str(tmp_path / "events.db"), workers=2)
    service.start()
    try:
        service.wait_for_all_workers()
        one_page_of_metrics_counts_all_workers(service, slates=put_an_item(service))
        swap_under_load(service, model)
        with Senders(service) as senders:
            senders.wait_for_answer(time.monotonic())
            assert service.stop() == 0  # SIGTERM while requests run
        told = senders.told
        service.start()
        held = held_by(service, [f"user{n}" for n in range(3)])
        assert set(told.acknowledged) <= held
        assert "new" in shown_by(service)
    finally:
        service.stop()
    assert '"level": "error"' not in service.log()
    assert "user0" not in service.log()


def shown_by(service):
    body = {"history": [{"item_id": "s00", "value": 5}], "k": 30}
    return {
        item["item_id"] for item in service.ask("POST", "/v1/recommendations", body)[1]["items"]
    }


def held_by(service, users):
    return {
        e["event_id"]
        for user in users
        for e in service.ask("GET", f"/v1/users/{user}?last=1000")[1]["events"]
    }


def put_an_item(service):
    status, answer = service.ask(
        "PUT",
        "/v1/items/new",
        {"attributes": {"title": "New", "text": "rocket planet", "categories": "space"}},
    )
    assert status == 200, answer
    shown = []
    eventually(lambda: shown.append("new" in shown_by(service)) or all(shown[-12:]) and shown[11:])
    return len(shown)  # each connection may reach either worker


def one_page_of_metrics_counts_all_workers(service, slates):
    """Each connection may reach either worker, whose own counts would differ. An answer is counted
    just after it is sent.
    """
    line = 'metarec_requests_total{route="/v1/recommendations",status="200"}'

    def told():
        return [
            row.split()[-1]
            for row in service.ask("GET", "/metrics")[1].splitlines()
            if row.startswith(line)
        ]

    eventually(lambda: told() == [f"{slates}.0"])
    assert {count for _ in range(6) for count in told()} == {f"{slates}.0"}


def swap_under_load(service, model):
    registry, challenger = Registry(model), fitted_model(seed=1)
    challenger.save(registry.place_of(challenger.version))
    answers, stop = [], threading.Event()

    def ask():
        while not stop.is_set():
            answers.append(service.ask("POST", "/v1/recommendations", {"k": 3}))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert service.ask("POST", f"/v1/models/{challenger.version}/promote")[0] == 200
    served = lambda: {answer["model_version"] for status, answer in answers[-40:]}  # noqa: E731
    try:
        eventually(lambda: served() == {challenger.version})
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert {status for status, _ in answers} == {200}


def test_kills_under_load_lose_nothing(model, tmp_path):
    outcome = kill_again_and_again(model, str(tmp_path / "events.db"), kills=3)
    assert outcome.acknowledged > 20
    assert (outcome.lost, outcome.doubled, outcome.unsent) == (0, 0, 0)
    assert max(outcome.back["one worker"]) < 60


@pytest.mark.postgres
def test_kills_under_load_lose_nothing_on_postgresql(model):
    from feedback.cluster import private_cluster

    with private_cluster() as cluster:
        outcome = kill_again_and_again(model, cluster.new_database("kills"), kills=2)
    assert (outcome.lost, outcome.doubled, outcome.unsent) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "store", ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
)
def test_fifty_kills_under_load_lose_nothing(model, tmp_path, store):
    from feedback.cluster import private_cluster

    if store == "sqlite":
        outcome = kill_again_and_again(model, str(tmp_path / "events.db"), kills=50)
    else:
        with private_cluster() as cluster:
            outcome = kill_again_and_again(model, cluster.new_database("kills"), kills=50)
    assert (outcome.kills, outcome.lost, outcome.doubled, outcome.unsent) == (50, 0, 0, 0)


@pytest.mark.postgres
def test_a_server_that_crashes_and_comes_back_costs_nothing_acknowledged(model):
    """PostgreSQL is stopped as in a crash while events come in; the service answers 503 meanwhile
    and goes on by itself.
    """
    import signal

    from feedback.cluster import private_cluster
    from metarec.feedback import open_store

    with private_cluster() as cluster:
        url = cluster.new_database("crash")
        with Running(model, url) as service, Senders(service) as senders:
            senders.wait_for_answer(time.monotonic())
            for _ in range(2):
                time.sleep(0.3)
                cluster.stop(signal.SIGQUIT)
                down = time.monotonic()
                assert service.ask("GET", "/readyz")[0] == 503
                status, slate = service.ask(
                    "POST", "/v1/recommendations", {"user_id": "u1", "k": 3}
                )
                assert (status, slate["without_store"], len(slate["items"])) == (200, True, 3)
                cluster.start()
                senders.wait_for_answer(down)
        store = open_store(url)
        held = store.as_frame()["event_id"].to_list()
        store.close()
    assert not set(senders.told.acknowledged) - set(held)
    assert len(held) == len(set(held))


def test_it_starts_with_the_model_before_where_the_promoted_one_is_broken(model, tmp_path):
    (model / "current").write_text("gone\n")
    with Running(model, str(tmp_path / "events.db")) as service:
        assert service.ask("GET", "/readyz")[1]["model_version"] == Registry(model).ways_back()[-1]
        assert "a model cannot be read, trying the one before" in service.log()


def test_a_wrong_start_is_one_clear_line(tmp_path, model):
    import subprocess
    import sys

    def start(*arguments):
        command = [sys.executable, "-m", "metarec.app.cli", "serve", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
        assert not done.stdout  # no address is told where nothing will answer
        return done.returncode, done.stderr.strip()

    code, said = start(str(tmp_path / "none"))
    assert (code, "no model folder" in said, "Traceback" in said) == (2, True, False)
    code, said = start(str(model), "--host", "0.0.0.0")
    assert (code, "lets anyone read and forget users" in said) == (2, True)
    (model / "model.safetensors").write_bytes(b"broken")
    code, said = start(str(model), "--store", str(tmp_path / "e.db"))
    assert code != 0
    assert "model.safetensors" in said
    assert "Traceback" not in said
