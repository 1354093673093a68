"""Workers are asked whether they live, never waited for."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import time

import pytest

uvicorn = pytest.importorskip("uvicorn")

from metarec.app.service.processes.supervisor import Worker, processes  # noqa: E402


@pytest.fixture
def mute():
    """A worker whose process runs and never answers."""
    worker = Worker(uvicorn.Config("nothing:at_all"), [])
    worker.process = multiprocessing.get_context("spawn").Process(target=time.sleep, args=(60,))
    worker.start()
    yield worker
    worker.process.kill()
    worker.process.join()


def test_a_worker_that_does_not_answer_is_given_its_time_and_no_more(mute):
    began = time.monotonic()
    assert mute.is_alive(timeout=100)
    assert time.monotonic() - began < 50
    time.sleep(0.2)
    assert not mute.is_alive(timeout=0.1)


def test_a_killed_worker_is_seen_at_once(mute):
    assert mute.is_alive(timeout=100)
    mute.process.kill()
    mute.process.join()
    began = time.monotonic()
    assert not mute.is_alive(timeout=100)
    assert time.monotonic() - began < 50


def test_one_that_answers_goes_on(mute):
    for _ in range(3):
        assert mute.is_alive(timeout=0.5)
        mute.child_conn.recv()
        mute.child_conn.send(True)
        time.sleep(0.3)
    assert mute.is_alive(timeout=0.5)


FORKING = '''
from metarec.app.service.processes.supervisor import processes
TOLD = """
import sys
lines = open("/proc/self/smaps_rollup").read().splitlines()[1:]
held = {line.split(":")[0]: int(line.split()[1]) for line in lines}
is_imported = "metarec.app.service.application" in sys.modules
for_fits = {"pandas", "sklearn", "scipy.stats", "scipy.optimize"} & set(sys.modules)
print(is_imported, held["Private_Dirty"], held["Rss"], *for_fits, flush=True)
"""
process = processes().Process(target=exec, args=(TOLD, {}))
process.start()
process.join()
'''
"""A process says whether it has the service, the KiB that it shares with nobody, and in all, and
which libraries it has that only fits need: they made a third of its memory.
"""


def test_where_the_address_of_a_socket_would_be_too_long_workers_import_by_themselves(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "x" * 80)
    assert processes().get_start_method() == "spawn"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere each worker imports by itself")
def test_workers_share_the_memory_of_what_they_import():
    assert type(Worker(uvicorn.Config("nothing:at_all"), []).process) is processes().Process
    told = subprocess.run([sys.executable, "-c", FORKING], stdout=subprocess.PIPE, check=True)
    is_imported, own, whole, *for_fits = told.stdout.split()
    assert not for_fits
    assert is_imported == b"True"
    assert int(own) < int(whole) / 5
