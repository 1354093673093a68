"""Stopping stops: exit codes, the port, children, and what lies about on disk."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

pytest.importorskip("uvicorn")
pytest.importorskip("sqlalchemy")

from journeys.running import free_port  # noqa: E402  # as above
from metarec.app.service.monitoring import metrics_folder  # noqa: E402
from metarec.app.service.processes import retraining  # noqa: E402
from metarec.app.service.settings import ServiceSettings  # noqa: E402
from served_model import saved_model  # noqa: E402
from waiting import eventually  # noqa: E402  # once what it needs is there

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


def answers(port):
    with suppress(OSError):
        return urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).status == 200
    return False


def is_free(port):
    with suppress(OSError), socket.create_server(("127.0.0.1", port)):
        return True
    return False


@pytest.fixture
def serve(tmp_path):
    """Starts `metarec serve` with so many workers; gives its process and port."""
    running, short = [], ExitStack()  # of a short name, since a socket lies there

    def serving(workers, **settings):
        port = free_port()
        temporary = Path(short.enter_context(tempfile.TemporaryDirectory(prefix="m")))
        environment = {
            **os.environ,
            "TMPDIR": str(temporary),
            "METAREC_STORE": str(tmp_path / "events.db"),
            "METAREC_SHUTDOWN_SECONDS": "2",
            **{f"METAREC_{name.upper()}": str(value) for name, value in settings.items()},
        }
        model = shutil.copytree(saved_model(), temporary / "model")
        place = [str(model), "--port", str(port), "--workers", str(workers)]
        process = subprocess.Popen(
            [sys.executable, "-m", "metarec.app.cli", "serve", *place], env=environment
        )
        running.append(process)
        eventually(lambda: answers(port))
        return process, port, temporary

    yield serving
    for process in running:
        process.kill()
        process.wait()
    short.close()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "number"), [(1, signal.SIGTERM), (2, signal.SIGTERM), (1, signal.SIGINT)]
)
def test_a_stopped_service_exits_with_0_and_leaves_nothing(serve, workers, number, capfd):
    process, port, temporary = serve(workers)
    with socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(b"no HTTP at all\r\n\r\n")
        assert b"400" in stranger.recv(1000)
    process.send_signal(number)
    assert process.wait(30) == 0
    log = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    assert "Invalid HTTP request received." in [one["message"] for one in log]
    assert is_free(port)
    assert list(temporary.glob("metarec-*")) == []


@pytest.mark.slow
def test_workers_of_a_killed_supervisor_end_and_free_the_port(serve):
    process, port, temporary = serve(2)
    assert len(list(temporary.glob(f"{metrics_folder.METRICS_PREFIX}*"))) == 1
    process.kill()
    process.wait()
    eventually(lambda: is_free(port))
    eventually(lambda: not list(temporary.glob(f"{metrics_folder.METRICS_PREFIX}*")))


def test_folders_of_services_that_were_killed_are_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for owner in (gone.pid, os.getpid()):
        (tmp_path / f"{metrics_folder.METRICS_PREFIX}{owner}-x").mkdir()
    with metrics_folder.metrics_folder(2):
        assert len(list(tmp_path.iterdir())) == 2  # ours, and that of the other service here
    left = [path.name for path in tmp_path.iterdir()]
    assert left == [f"{metrics_folder.METRICS_PREFIX}{os.getpid()}-x"]


def opened_by_a_reader(pipe):
    """The end of a pipe to write into, or None while nobody reads it."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return None


def test_a_running_retraining_ends_with_the_service(tmp_path):
    """The round waits for data from a pipe into which nothing is written."""
    pipe, stop = tmp_path / "events.toml", threading.Event()
    os.mkfifo(pipe)
    settings = ServiceSettings(
        model=str(shutil.copytree(saved_model(), tmp_path / "model")),
        store=str(tmp_path / "events.db"),
        data=str(pipe),
        retrain_hours=1e-6,
    )
    thread = threading.Thread(target=retraining.retrain_periodically, args=(settings, stop))
    thread.start()
    writing = []
    eventually(lambda: writing.append(opened_by_a_reader(pipe)) or writing[-1] is not None)
    stop.set()
    thread.join(120)
    assert not thread.is_alive()
    os.close(writing[-1])
    assert multiprocessing.active_children() == []


def _parent(place: str) -> None:
    """Starts a child that ends with it, and lasts."""
    child = multiprocessing.get_context("spawn").Process(target=_child, args=(place,))
    child.start()
    child.join()


def _child(place: str) -> None:
    from metarec.app.service.processes.parent_process import end_with_parent

    end_with_parent()
    Path(place).write_text(str(os.getpid()))
    time.sleep(60)


def test_a_child_ends_with_a_parent_that_was_killed(tmp_path):
    place = tmp_path / "child"
    parent = multiprocessing.get_context("spawn").Process(target=_parent, args=(str(place),))
    parent.start()
    eventually(lambda: place.exists() and place.read_text())
    parent.kill()
    parent.join()

    def has_ended():
        try:
            os.kill(int(place.read_text()), 0)
        except ProcessLookupError:
            return True
        state = Path(f"/proc/{place.read_text()}/stat")
        return state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z"

    eventually(has_ended)
