"""Workers are asked whether they live, never waited for."""

from __future__ import annotations

import multiprocessing
import time

import pytest

uvicorn = pytest.importorskip("uvicorn")

from metarec.app.service.supervisor import Worker  # noqa: E402


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
    assert mute.is_alive(timeout=0.5)
    assert time.monotonic() - began < 0.4
    time.sleep(0.6)
    assert not mute.is_alive(timeout=0.5)


def test_a_killed_worker_is_seen_at_once(mute):
    assert mute.is_alive(timeout=100)
    mute.process.kill()
    mute.process.join()
    began = time.monotonic()
    assert not mute.is_alive(timeout=100)
    assert time.monotonic() - began < 1


def test_one_that_answers_goes_on(mute):
    for _ in range(3):
        assert mute.is_alive(timeout=0.5)
        mute.child_conn.recv()
        mute.child_conn.send(True)
        time.sleep(0.3)
    assert mute.is_alive(timeout=0.5)
